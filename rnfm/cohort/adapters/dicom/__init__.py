"""DICOM: any tree of files as a scanner, an archive or The Cancer Imaging Archive gives it.

    any/nesting/IM0001          MR images, classic or enhanced multi-frame; grouped by the ids in their headers
    any/nesting/RS.dcm          an RTSTRUCT drawn on one of the series: its regions become the mask (`rtstruct`)
    DICOMDIR                    may be there; the files themselves are read

One scan a study: its contrast-enhanced T1 series by the rules of `choice`, or the one that `--series-glob` names,
converted by dcm2niix into a folder beside the key table (`convert`). Of the headers only this leaves: maker (a word of
a short list), field strength, days since the patient's first scan, age in whole years (above 89: 90). There are no labels:
`rnfm data index` of a CSV can add them to the converted files.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

from rnfm.cohort.adapters.dicom import scans as dicom_scans
from rnfm.cohort.adapters.dicom.fields import ENDINGS, is_dicom
from rnfm.cohort.adapters.dicom.headers import candidates
from rnfm.cohort.adapters.dicom.scans import Study
from rnfm.cohort.records import ClinicalValue, Fault, LesionRecord, Match, Options, Reading, ScanRecord
from rnfm.cohort.source import once, walk

NAME = "dicom"
PROBED = 40  # nameless files looked into before a tree is said not to be DICOM


def matches(root: Path) -> Match:
    """By the endings of names; of files without a known ending, the first few are opened for the word DICM."""
    found: Match = once(("dicom", root), lambda: _match(root))
    return found


def namespace(root: Path) -> str:
    """A constant: ids are those of whatever archive the files came from. Give --namespace to tell archives apart."""
    return NAME


def sources(root: Path) -> list[Path]:
    """Files the cohort depends on beside NIfTI and tables: all that may be DICOM, which has no ending of its own."""
    return candidates(root)


def read(root: Path, options: Options) -> Reading:
    found = dicom_scans.read(root, options, trust_structures=False)
    scans = [scan_record(study, order) for order, study in enumerate(found.studies)]
    return Reading(tuple(with_days(scans)), found.findings, found.notes)


def scan_record(study: Study, order: int) -> ScanRecord:
    """A study as a record: lesions numbered as in its mask, unlabelled; `day` still an ordinal date."""
    if study.series is None or isinstance(study.result, Fault):
        fault = study.result if isinstance(study.result, Fault) else None
        return ScanRecord(patient=study.patient, scan=study.scan, image=None, order=order, fault=fault)
    known: dict[str, ClinicalValue] = {}
    if study.series.age_years is not None:
        known["age_years"] = study.series.age_years
    drawn = sorted(set(study.names) - set(study.result.empty))
    return ScanRecord(
        patient=study.patient,
        scan=study.scan,
        image=study.result.image,
        mask=study.result.mask if drawn else None,
        order=order,
        day=study.series.day,
        vendor=study.series.vendor,
        field_strength_t=study.series.tesla,
        lesions=tuple(
            LesionRecord(
                number=number, mask_values=(number,), volume_ml=study.result.volumes_ml[number], clinical=known
            )
            for number in drawn
        ),
        clinical=known,
    )


def with_days(scans: list[ScanRecord]) -> list[ScanRecord]:
    """Days counted from each patient's first scan."""
    first: dict[str, int] = {}
    for scan in scans:
        if scan.day is not None:
            first[scan.patient] = min(scan.day, first.get(scan.patient, scan.day))
    return [replace(scan, day=None if scan.day is None else scan.day - first[scan.patient]) for scan in scans]


def _match(root: Path) -> Match:
    files = candidates(root)
    named = sum(file.name.lower().endswith(ENDINGS) for file in files)
    nameless = (file for file in files if not file.name.lower().endswith(ENDINGS))
    probed = sum(is_dicom(file) for file in islice(nameless, PROBED)) if not named else 0
    if not named and not probed:
        return Match(0.0, "there is no DICOM file in it")
    what = f"{named} files ending in .dcm or .ima" if named else "DICOM files without a file ending"
    images = len(walk(root))
    if images > named + probed:
        return Match(0.4, f"there are {what}, but more NIfTI images than those ({images})")
    return Match(0.9, f"there are {what}")
