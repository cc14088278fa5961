"""Site B's tables and names."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from rnfm.insilico import bids, plan
from rnfm.insilico.scanners import SITE_B


def test_names_of_files(tmp_path: Path) -> None:
    image, mask = bids.paths(tmp_path, plan.site_b(0, 3)[2])
    assert image == tmp_path / "sub-003/ses-01/anat/sub-003_ses-01_ce-gad_T1w.nii.gz"
    inner = "derivatives/lesions/sub-003/ses-01/anat/sub-003_ses-01_ce-gad_label-lesion_mask.nii.gz"
    assert mask == tmp_path / inner


def test_participants(tmp_path: Path) -> None:
    patients = plan.site_b(0, 25)
    bids.write_tables(tmp_path, patients)
    with open(tmp_path / "participants.tsv") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert list(rows[0]) == (
        ["participant_id", "age", "sex", "label", "label_source", "primary", "srs_dose_gy", "months_since_srs"]
        + ["wbrt", "immunotherapy", "site"]
    )
    assert [row["label"] for row in rows].count("RN") == 9  # 36% of 25
    for row, patient in zip(rows, patients, strict=True):
        (lesion,) = patient.lesions
        assert row["participant_id"] == patient.identity
        assert row["label"] == ("RN" if lesion.label else "progression")
        assert float(row["srs_dose_gy"]) == lesion.clinical.srs_dose_gy
        assert abs(float(row["months_since_srs"]) - lesion.clinical.months_since_srs) < 0.06
        assert row["wbrt"] == ("yes" if patient.clinical.wbrt else "no")
    assert set(json.loads((tmp_path / "participants.json").read_text())) == set(rows[0])


def test_both_data_sets_describe_themselves(tmp_path: Path) -> None:
    bids.write_tables(tmp_path, plan.site_b(0, 2))
    raw, derivative = (
        json.loads((tmp_path / place / "dataset_description.json").read_text()) for place in ("", "derivatives/lesions")
    )
    assert (raw["DatasetType"], derivative["DatasetType"]) == ("raw", "derivative")
    assert all({"Name", "BIDSVersion", "GeneratedBy"} <= set(description) for description in (raw, derivative))


def test_sidecars_are_in_bids_units(tmp_path: Path) -> None:
    bids.write_sidecar(tmp_path / "sub-001_T1w.nii.gz", SITE_B[0], 2.4)
    found = json.loads((tmp_path / "sub-001_T1w.json").read_text())
    assert found["RepetitionTime"] == 0.0095  # seconds
    assert found["MagneticFieldStrength"] == 3.0
    assert found["SliceThickness"] == 2.4
