"""OpenBTAI / MOLAB brain metastases (Ocana-Tienda and others, Scientific Data 2023;10:208), as published.

    <root>/OpenBTAI_METS_ClinicalData_Nov2023.xlsx
    <root>/010005/010005/NIFTI/010005_19010618_..._img.nii     and ..._msk.nii beside it

The file's first two `_` tokens are patient and date (shifted: the first scan is 1900-01-01, so a date is a day count).
Masks: `mask`; spreadsheets: `sheet`, where outcome columns are never read.

Cohort rule [inferred; it gives the published 109 lesions of 72 patients: 32 RN, 77 without]: a lesion is labelled if it
has a begin date of its first radiosurgery and stands in at least one mask. Label 1 = a necrosis date is recorded, 0 =
none is: there is no progression column, so 0 does not mean that progression was proven. The three published RN lesions
that stand in no mask do not count, since there is nothing to classify; one RN lesion all of whose masks precede
radiosurgery does count. Site = first two digits of the patient ID [inferred].
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from statistics import median

from rnfm.cohort.adapters.molab import mask as molab_mask
from rnfm.cohort.adapters.molab import sheet as molab_sheet
from rnfm.cohort.adapters.molab.mask import LesionMask
from rnfm.cohort.adapters.molab.sheet import LesionRow, Morphology
from rnfm.cohort.records import (
    NO_RN_RECORDED,
    RN_RECORDED,
    Fault,
    Finding,
    LesionRecord,
    Match,
    Options,
    Reading,
    ScanRecord,
)
from rnfm.cohort.source import stem, walk
from rnfm.core.ledger import Reason
from rnfm.core.progress import track

NAME = "molab"
FIRST_DAY = date(1900, 1, 1)
STRONGEST_T = 12.0  # one published row reads 15000
Table = Mapping[tuple[str, int], LesionRow]
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
    clinical_file, morphology_file = _sheet(root, "METS_ClinicalData"), _sheet(root, "MORPHOLOGICAL_MEASUREMENTS")
    table = molab_sheet.read_clinical(clinical_file) if clinical_file else {}
    morphology = molab_sheet.read_morphology(morphology_file) if morphology_file else Morphology()
    files = _files(root)
    scans, findings = [], []
    for order, (name, pair) in enumerate(track(files.items(), len(files), "masks")):
        scan, found = _scan(name, pair, table, morphology)
        scans.append(replace(scan, order=order))
        findings += found
    seen = {(scan.patient, lesion.number) for scan in scans for lesion in scan.lesions}
    findings += [*_findings_of(table, seen), *_volumes_that_disagree(scans, files, morphology)]
    return Reading(tuple(scans), tuple(findings), tuple(_notes(table, seen)))


def _scan(name: str, files: _Files, table: Table, morphology: Morphology) -> tuple[ScanRecord, list[Finding]]:
    day = _day(files.date_digits)
    masks = molab_mask.read(files.mask) if files.mask else {}
    fault = masks if isinstance(masks, Fault) else None
    lesions = {} if isinstance(masks, Fault) else masks
    vendor, tesla = morphology.scanners.get((files.patient, files.date_digits), (None, None))
    findings = [
        Finding(patient=files.patient, scan=name, reason=reason, detail=detail)
        for reason, detail in _odd(files.patient, lesions, tesla, table)
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
            for number, found in lesions.items()
            if number > 0
        ),
        fault=fault,
    )
    return scan, findings


def _lesion(number: int, mask: LesionMask, day: int | None, row: LesionRow | None) -> LesionRecord:
    """The cohort rule: a lesion that stands in a mask is labelled if its first radiosurgery has a begin date."""
    clinical = {} if row is None else row.clinical_at(day) if day is not None else row.fixed
    lesion = LesionRecord(number=number, mask_values=mask.values, volume_ml=mask.volume_ml, clinical=clinical)
    if row is None or row.srs_day is None or row.unreadable:
        return lesion
    has_rn = row.rn_day is not None
    source = RN_RECORDED if has_rn else NO_RN_RECORDED
    return replace(lesion, label=int(has_rn), label_source=source, srs_day=row.srs_day, rn_day=row.rn_day)


def _odd(
    patient: str, lesions: Mapping[int, LesionMask], tesla: float | None, table: Table
) -> list[tuple[Reason, str]]:
    found = []
    if strays := molab_mask.stray(lesions):
        found.append((Reason.VALUE_IMPLAUSIBLE, f"mask values {strays} are not lesion x 10 + 1 or 2"))
    if tesla is not None and not 0 < tesla <= STRONGEST_T:
        found.append((Reason.VALUE_IMPLAUSIBLE, f"a field strength of {tesla:g} T"))
    unknown = [number for number in lesions if number > 0 and (patient, number) not in table] if table else []
    if unknown:
        found.append((Reason.LESION_MISSING, f"lesions {unknown} of the mask are not in the clinical spreadsheet"))
    return found


def _findings_of(table: Table, seen: set[tuple[str, int]]) -> list[Finding]:
    """Lesions of the spreadsheet that no mask holds, unreadable times, and necrosis before radiosurgery."""
    findings = []
    for (patient, lesion), row in table.items():
        label = "with" if row.rn_day is not None else "without"
        found = []
        if (patient, lesion) not in seen:
            detail = f"a lesion {label} recorded necrosis stands in no mask, so it is not in the cohort"
            found.append((Reason.LESION_MISSING, detail))
        elif row.rn_day is not None and row.srs_day is not None and row.rn_day < row.srs_day:
            detail = f"necrosis is recorded {row.srs_day - row.rn_day:.0f} days before the first radiosurgery"
            found.append((Reason.LABEL_ORDER, detail))
        if row.unreadable:
            detail = f"the day of {' and '.join(row.unreadable)} is neither blank nor a number of days: not labelled"
            found.append((Reason.VALUE_IMPLAUSIBLE, detail))
        findings += [Finding(patient=patient, lesion=lesion, reason=reason, detail=detail) for reason, detail in found]
    return findings


def _volumes_that_disagree(
    scans: Sequence[ScanRecord], files: Mapping[str, _Files], morphology: Morphology
) -> Iterator[Finding]:
    """Lesion-scans whose mask and spreadsheet differ in volume by more than a factor of 2 from what is usual here.

    Compared with the median ratio, so that the sheet's unit does not matter; a wrong mask beside a scan shows as this.
    """
    ratios: dict[tuple[str, str, int], float] = {}
    for scan in scans:
        for lesion in scan.lesions:
            stated = morphology.volumes.get((scan.patient, files[scan.scan].date_digits, lesion.number))
            if stated is not None and stated > 0 and lesion.volume_ml:
                ratios[scan.patient, scan.scan, lesion.number] = lesion.volume_ml / stated
    usual = median(ratios.values()) if ratios else 1.0
    for (patient, name, number), ratio in ratios.items():
        if not 0.5 <= ratio / usual <= 2:
            detail = (
                f"lesion {number}: the mask's volume is {ratio / usual:.2g} times what the morphology sheet lets expect"
            )
            yield Finding(patient=patient, scan=name, reason=Reason.VALUE_IMPLAUSIBLE, detail=detail)


def _notes(table: Table, seen: set[tuple[str, int]]) -> Iterator[str]:
    """What counts and what does not, in numbers of this tree."""
    yield "Sites are the first two digits of the patient ID [inferred]."
    if not table:
        yield "There is no OpenBTAI_METS_ClinicalData*.xlsx with lesions in the source folder, so there are no labels."
        return
    with_rn = [key for key, row in table.items() if row.rn_day is not None]
    untreated = sum(key in seen and row.srs_day is None for key, row in table.items())
    yield (
        f"The clinical spreadsheet holds {len(table)} lesions, {len(with_rn)} with a necrosis date. Of these "
        f"{sum(key not in seen for key in with_rn)} stand in no mask and do not count, since there is nothing to classify; "
        f"nor do {sum(key not in seen for key in set(table) - set(with_rn))} others without a mask. {untreated} lesions "
        "have a mask but no first radiosurgery: they are in the cohort table without a label."
    )


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
