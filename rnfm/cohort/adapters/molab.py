"""OpenBTAI / MOLAB brain metastases (Ocana-Tienda and others, Scientific Data 2023;10:208), as published.

    <root>/OpenBTAI_METS_ClinicalData_Nov2023.xlsx
    <root>/010005/010005/NIFTI/010005_19010618_..._img.nii     and ..._msk.nii beside it

The file's first two `_` tokens are patient and date (shifted: the first scan is 1900-01-01, so a date is a day count).
Mask value = lesion x 10 + segment (1 enhancing, 2 necrotic). No published table lists the lesions of a mask, so masks
are decoded here, the one exception to 'headers only'.

Cohort rule [inferred; it gives the published 109 lesions: 32 RN, 77 without]: a lesion is labelled if it has a begin
date of its first radiosurgery and stands in at least one mask. Label 1 = a necrosis date is recorded, 0 = none is.
There is no progression column: 0 does not mean that progression was proven. Site = first two digits of the patient ID
[inferred]. Outcome columns are never read (`molab_sheet`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from rnfm.cohort import headers
from rnfm.cohort.adapters import molab_sheet
from rnfm.cohort.adapters.molab_sheet import LesionRow
from rnfm.cohort.records import Fault, Finding, LesionRecord, Match, Options, Reading, ScanRecord
from rnfm.cohort.source import stem, walk
from rnfm.core.ledger import Reason
from rnfm.core.progress import track

NAME = "molab"
NO_RN = "no RN recorded"
RN = "RN date recorded"
FIRST_DAY = date(1900, 1, 1)
LARGEST_VALUE = 32_767  # mask values are int16 in the cohort table
STRONGEST_T = 12.0  # one published row reads 15000
_FILE = re.compile(r"^(?P<scan>(?P<patient>\d{6})_(?P<day>\d{8}).*)_(?P<what>img|msk)$")


@dataclass(frozen=True)
class _Files:
    patient: str
    date_digits: str
    image: Path | None = None
    mask: Path | None = None


def matches(root: Path) -> Match:
    files = _files(root)
    if files:
        sheet = _sheet(root, "METS_ClinicalData")
        why = f"there are {len(files)} scans named <PID>/<PID>/NIFTI/<PID>_<date>*_img.nii or _msk.nii"
        return Match(1.0 if sheet else 0.9, why + (" and the clinical spreadsheet" if sheet else ""))
    if _sheet(root, "METS_ClinicalData"):
        return Match(0.4, "there is an OpenBTAI spreadsheet, but no <PID>/<PID>/NIFTI/<PID>_<date>*_img.nii")
    return Match(0.0, "there are no <PID>/<PID>/NIFTI folders")


def namespace(root: Path) -> str:
    return "openbtai"


def read(root: Path, options: Options) -> Reading:
    clinical_file, scanner_file = _sheet(root, "METS_ClinicalData"), _sheet(root, "MORPHOLOGICAL_MEASUREMENTS")
    table = molab_sheet.read_clinical(clinical_file) if clinical_file else {}
    scanners = molab_sheet.read_scanners(scanner_file) if scanner_file else {}
    files = _files(root)
    scans, findings = [], []
    seen: set[tuple[str, int]] = set()
    for order, (name, pair) in enumerate(track(files.items(), len(files), "masks")):
        scan, found = _scan(name, pair, table, scanners)
        scans.append(replace(scan, order=order))
        findings += found
        seen |= {(scan.patient, lesion.number) for lesion in scan.lesions}
    findings += _findings_of(table, seen)
    notes = ["Sites are the first two digits of the patient ID [inferred]."]
    if not clinical_file:
        notes.append("There is no OpenBTAI_METS_ClinicalData*.xlsx in the source folder, so there are no labels.")
    return Reading(tuple(scans), tuple(findings), tuple(notes))


def _scan(
    name: str, files: _Files, table: Mapping[tuple[str, int], LesionRow], scanners: Mapping[tuple[str, str], Any]
) -> tuple[ScanRecord, list[Finding]]:
    day = _day(files.date_digits)
    values = _mask_values(files.mask) if files.mask else ()
    fault = values if isinstance(values, Fault) else None
    by_lesion: dict[int, list[int]] = {}
    for value in () if isinstance(values, Fault) else values:
        by_lesion.setdefault(value // 10, []).append(value)
    vendor, tesla = scanners.get((files.patient, files.date_digits), (None, None))
    findings = [
        Finding(patient=files.patient, scan=name, reason=reason, detail=detail)
        for reason, detail in _odd(files.patient, by_lesion, tesla, table)
    ]
    scan = ScanRecord(
        patient=files.patient,
        scan=name,
        image=files.image,
        mask=files.mask,
        day=day,
        site=f"{namespace(Path())}-{files.patient[:2]}",
        vendor=vendor,
        field_strength_t=tesla if tesla is not None and 0 < tesla <= STRONGEST_T else None,
        lesions=tuple(
            _lesion(number, found, day, table.get((files.patient, number)))
            for number, found in sorted(by_lesion.items())
            if number > 0
        ),
        fault=fault,
    )
    return scan, findings


def _lesion(number: int, mask_values: list[int], day: int | None, row: LesionRow | None) -> LesionRecord:
    """The cohort rule: a lesion that stands in a mask is labelled if its first radiosurgery has a begin date."""
    if row is None or row.srs_day is None:
        clinical = row.clinical_at(day) if row and day is not None else {}
        return LesionRecord(number=number, mask_values=tuple(mask_values), clinical=clinical)
    has_rn = row.rn_day is not None
    return LesionRecord(
        number=number,
        mask_values=tuple(mask_values),
        label=int(has_rn),
        label_source=RN if has_rn else NO_RN,
        srs_day=row.srs_day,
        rn_day=row.rn_day,
        clinical=row.clinical_at(day) if day is not None else row.fixed,
    )


def _odd(
    patient: str,
    by_lesion: Mapping[int, list[int]],
    tesla: float | None,
    table: Mapping[tuple[str, int], LesionRow],
) -> list[tuple[Reason, str]]:
    found = []
    stray = [value for values in by_lesion.values() for value in values if value < 10 or value % 10 not in (1, 2)]
    if stray:
        found.append((Reason.VALUE_IMPLAUSIBLE, f"mask values {stray} are not lesion x 10 + 1 or 2"))
    if tesla is not None and not 0 < tesla <= STRONGEST_T:
        found.append((Reason.VALUE_IMPLAUSIBLE, f"a field strength of {tesla:g} T"))
    unknown = [number for number in by_lesion if number > 0 and (patient, number) not in table] if table else []
    if unknown:
        found.append((Reason.LESION_MISSING, f"lesions {unknown} of the mask are not in the clinical spreadsheet"))
    return found


def _findings_of(table: Mapping[tuple[str, int], LesionRow], seen: set[tuple[str, int]]) -> list[Finding]:
    """Lesions of the spreadsheet that no mask holds, and necrosis before radiosurgery."""
    findings = []
    for (patient, lesion), row in table.items():
        label = "with" if row.rn_day is not None else "without"
        if (patient, lesion) not in seen:
            detail = f"a lesion {label} recorded necrosis stands in no mask, so it is not in the cohort"
            findings.append(Finding(patient=patient, lesion=lesion, reason=Reason.LESION_MISSING, detail=detail))
        elif row.rn_day is not None and row.srs_day is not None and row.rn_day < row.srs_day:
            detail = f"necrosis is recorded {row.srs_day - row.rn_day:.0f} days before the first radiosurgery"
            findings.append(Finding(patient=patient, lesion=lesion, reason=Reason.LABEL_ORDER, detail=detail))
    return findings


def _files(root: Path) -> dict[str, _Files]:
    """Scan name -> its files, ordered by name (that is, by patient and date)."""
    found: dict[str, _Files] = {}
    for file in walk(root):
        match = _FILE.match(stem(file))
        if match is None or file.parent.name != "NIFTI":
            continue
        files = found.get(match["scan"], _Files(match["patient"], match["day"]))
        is_image = match["what"] == "img"
        found[match["scan"]] = replace(files, image=file) if is_image else replace(files, mask=file)
    return dict(sorted(found.items()))


def _sheet(root: Path, word: str) -> Path | None:
    return next(iter(sorted(root.glob(f"OpenBTAI*{word}*.xlsx"))), None)


def _day(digits: str) -> int | None:
    """Days since 1900-01-01, which is the patient's first scan by construction; None for an impossible date."""
    try:
        return (date(int(digits[:4]), int(digits[4:6]), int(digits[6:])) - FIRST_DAY).days
    except ValueError:
        return None


def _mask_values(file: Path) -> tuple[int, ...] | Fault:
    """The values > 0 of a mask. Its header is judged first, so that no header can make us allocate terabytes."""
    import nibabel
    import numpy as np

    header = headers.read_header(file)
    if isinstance(header, Fault):
        return Fault(Reason.MASK_UNREADABLE, f"{header.reason}: {header.detail}")
    try:
        image: Any = nibabel.load(file)
        voxels = np.asanyarray(image.dataobj).ravel()
    except Exception as error:  # truncated, damaged gzip, no memory: whatever the library raises
        return Fault(Reason.MASK_UNREADABLE, f"cannot be decoded ({type(error).__name__})")
    small = voxels.dtype.kind == "u" and voxels.dtype.itemsize <= 2
    values = np.flatnonzero(np.bincount(voxels)) if small else np.unique(voxels)
    if not np.array_equal(values, np.round(values)) or values.min() < 0 or values.max() > LARGEST_VALUE:
        return Fault(Reason.MASK_UNREADABLE, "holds values that are no lesion codes")
    return tuple(int(value) for value in values if value > 0)
