"""Site B in BIDS 1.10, masks as a derivative.

site_b/
+-- dataset_description.json, README, participants.tsv, participants.json
+-- sub-001/ses-01/anat/sub-001_ses-01_ce-gad_T1w.nii.gz, .json
+-- derivatives/lesions/dataset_description.json
    +-- sub-001/ses-01/anat/sub-001_ses-01_ce-gad_label-lesion_mask.nii.gz      (1 = lesion)
"""

from __future__ import annotations

from pathlib import Path

from rnfm import __version__
from rnfm.core import files
from rnfm.insilico.plan import Patient
from rnfm.insilico.scanners import Scanner

BIDS_VERSION = "1.10.0"
SESSION = "ses-01"
COLUMNS = {
    "participant_id": "code of the participant",
    "age": "age at the first MRI [years]",
    "sex": "F or M",
    "label": "RN: radiation necrosis; progression: tumour progression",
    "label_source": "how the label was found",
    "primary": "primary tumour",
    "srs_dose_gy": "total dose of the lesion's radiosurgery [Gy]",
    "months_since_srs": "time from radiosurgery to the scan [months]",
    "wbrt": "whole-brain radiotherapy before the scan: yes or no",
    "immunotherapy": "immunotherapy before the scan: yes or no",
    "site": "centre",
}
LABELS = {1: "RN", 0: "progression"}


def paths(root: Path, patient: Patient) -> tuple[Path, Path]:
    """Image and mask of a participant's only session."""
    inner = Path(patient.identity) / SESSION / "anat"
    stem = f"{patient.identity}_{SESSION}_ce-gad"
    mask = root / "derivatives" / "lesions" / inner / f"{stem}_label-lesion_mask.nii.gz"
    return root / inner / f"{stem}_T1w.nii.gz", mask


def write_sidecar(image: Path, scanner: Scanner, slice_mm: float) -> Path:
    """The JSON beside an image: the protocol, in BIDS units (seconds, tesla, degrees). Returns its path."""
    values = {
        "Manufacturer": scanner.vendor,
        "MagneticFieldStrength": scanner.field_t,
        "RepetitionTime": round(scanner.tr_ms / 1000, 6),
        "EchoTime": round(scanner.te_ms / 1000, 6),
        "FlipAngle": scanner.flip_deg,
        "ContrastBolusIngredient": "GADOLINIUM",
        "SliceThickness": round(slice_mm, 4),
    }
    path = image.with_name(image.name.removesuffix(".nii.gz") + ".json")
    files.write_json(path, values)
    return path


def write_tables(root: Path, patients: list[Patient]) -> None:
    """Everything that describes the data set and its participants."""
    description = {"Name": "In-silico site B", "BIDSVersion": BIDS_VERSION, "DatasetType": "raw", "License": "CC0"}
    made_by = {"GeneratedBy": [{"Name": "rnfm.insilico", "Version": __version__}]}
    masks = root / "derivatives" / "lesions"
    masks.mkdir(parents=True, exist_ok=True)
    files.write_json(root / "dataset_description.json", description | made_by)
    derivative = description | made_by | {"Name": "In-silico site B: lesion masks", "DatasetType": "derivative"}
    files.write_json(masks / "dataset_description.json", derivative)
    files.write_text(root / "README", "Simulated contrast-enhanced T1 scans of brain lesions; no person was scanned.\n")
    files.write_json(root / "participants.json", {name: {"Description": text} for name, text in COLUMNS.items()})
    lines = ["\t".join(COLUMNS)] + ["\t".join(row(patient)) for patient in patients]
    files.write_text(root / "participants.tsv", "\n".join(lines) + "\n")


def row(patient: Patient) -> list[str]:
    """A participant's cells in the order of `COLUMNS`."""
    (lesion,), clinical = patient.lesions, patient.clinical
    return [
        patient.identity,
        str(clinical.age_years),
        clinical.sex,
        LABELS[lesion.label],
        "in-silico",
        clinical.primary,
        f"{lesion.clinical.srs_dose_gy:g}",
        f"{lesion.clinical.months_since_srs:.1f}",
        *("yes" if flag else "no" for flag in (clinical.wbrt, clinical.immunotherapy)),
        "B",
    ]
