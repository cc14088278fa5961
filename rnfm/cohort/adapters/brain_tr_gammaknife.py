"""Brain-TR-GammaKnife (Wang and others, Scientific Data 2023;10:785; TCIA): DICOM of 47 patients, one MR, RTSTRUCT, RTDOSE a course.

    <root>/Brain-TR-GammaKnife-Clinical-Information.xlsx       also published with `_` between its words
    <root>/**/GK_103/<study>/<series>/*.dcm                    PatientID GK_<number>

    sheet lesion_level    unique_pt_id, Treatment Course, Lesion #, Lesion Location, mri_type, Fractions, Lesion Name in NRRD files
    sheet course_level    unique_pt_id, Course #, Primary Diagnosis, Age at Diagnosis, Gender

The MR of a course is the series its RTSTRUCT was drawn on, whatever it is called; Skull, organs and regions marked `*` are
no lesions. Courses are a patient's studies in the order of their dates [inferred]; a region is a lesion of the table if the
names agree once case, blanks and the spelling of sides are levelled.

Labels: the table tells what the lesion did after treatment. `recurrence` is label 0 (progression; its source is follow-up).
`stable` is neither necrosis nor progression: it stays without a label, and `label_source` says so. The MR is the planning
scan, so months since radiosurgery are 0. The column `duration_tx_to_imag` tells of the future and is never read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from rnfm.cohort import clinical
from rnfm.cohort.adapters import dicom
from rnfm.cohort.adapters.dicom import scans as dicom_scans
from rnfm.cohort.adapters.dicom.scans import Study
from rnfm.cohort.records import ClinicalValue, Finding, LesionRecord, Match, Options, Reading, ScanRecord
from rnfm.core.errors import DataError
from rnfm.core.ledger import Reason

NAME = "brain_tr_gammaknife"
OUTCOMES: dict[str, tuple[int | None, str]] = {
    "recurrence": (0, "follow-up: recurrence"),
    "stable": (None, "follow-up: stable"),
}
LESION_COLUMNS = ("unique_pt_id", "Treatment Course", "Lesion Location", "mri_type", "Lesion Name in NRRD files")
COURSE_COLUMNS = ("unique_pt_id", "Course #")
_PREFIX = re.compile(r"^gk\.?_?\d+_\d+_l_?", re.IGNORECASE)
_FOLDER = re.compile(r"^GK[._]\d+$")


@dataclass(frozen=True)
class _Course:
    """What the tables say of one course: outcome word by levelled lesion name, facts known before treatment."""

    outcomes: dict[str, str] = field(default_factory=dict)
    facts: dict[str, ClinicalValue] = field(default_factory=dict)


sources = dicom.sources


def matches(root: Path) -> Match:
    plain = dicom.matches(root)
    sheet = _sheet(root)
    if sheet and plain.score:
        return Match(1.0, f"{plain.why} and the Brain-TR-GammaKnife clinical spreadsheet")
    if sheet:
        return Match(0.4, "there is the Brain-TR-GammaKnife clinical spreadsheet, but no DICOM file")
    patients = {part for file in dicom.candidates(root) for part in file.relative_to(root).parts if _FOLDER.match(part)}
    if patients and plain.score:
        return Match(0.95, f"{plain.why} in {len(patients)} folders named GK_<number>")
    return Match(0.0, "there is no Brain-TR-GammaKnife spreadsheet and no folder named GK_<number>")


def namespace(root: Path) -> str:
    return "brain-tr-gammaknife"


def read(root: Path, options: Options) -> Reading:
    sheet = _sheet(root)
    table = read_table(sheet) if sheet else {}
    found = dicom_scans.read(root, options, trust_structures=True)
    scans: list[ScanRecord] = []
    findings = list(found.findings)
    seen: dict[str, int] = {}
    for order, study in enumerate(found.studies):
        course = seen[study.patient] = seen.get(study.patient, 0) + 1
        known = table.get((_number(study.patient), course))
        scan, lost = _labelled(dicom.scan_record(study, order), study, known or _Course(), course)
        scans.append(scan)
        if table and lost and scan.fault is None:
            detail = f"{lost} of {len(scan.lesions)} lesions of the structure set are not in the clinical spreadsheet"
            findings.append(
                Finding(patient=study.patient, scan=study.scan, reason=Reason.LESION_MISSING, detail=detail)
            )
    notes = [*found.notes, "Courses are a patient's studies in the order of their dates [inferred]."]
    notes.append(
        "`recurrence` is label 0; `stable` lesions have no label, for they are neither necrosis nor progression."
        if table
        else "There is no Brain-TR-GammaKnife clinical spreadsheet in the source folder, so there are no labels."
    )
    return Reading(tuple(dicom.with_days(scans)), tuple(findings), tuple(notes))


def _labelled(scan: ScanRecord, study: Study, course: _Course, number: int) -> tuple[ScanRecord, int]:
    """Lesions with their outcome; and how many the table does not know. A lesion treated twice is one a course."""
    lesions, lost = [], 0
    known = {**scan.clinical, **course.facts}
    for lesion in scan.lesions:
        outcome = course.outcomes.get(level(study.names[lesion.number]))
        lost += outcome is None
        label, source = OUTCOMES.get(outcome or "", (None, None))
        lesions.append(_lesion(lesion, 100 * number + lesion.number, label, source, known))
    return replace(scan, lesions=tuple(lesions), clinical=known), lost


def _lesion(
    lesion: LesionRecord, number: int, label: int | None, source: str | None, known: Mapping[str, ClinicalValue]
) -> LesionRecord:
    return replace(lesion, number=number, label=label, label_source=source, months_since_srs=0.0, clinical=known)


def level(name: str) -> str:
    """A lesion's name as both the table and the structure set spell it: sides shortened, only letters and digits left.

    >>> level("GK.270_3_L_RtOccipital") == level("Rt Occipital") == level("right occipital")
    True
    """
    words = re.sub(r"([a-z])([A-Z])", r"\1 \2", _PREFIX.sub("", name))
    words = re.sub(r"[^a-z0-9]+", " ", words.lower())
    sides = {"left": "lt", "right": "rt", "l": "lt", "r": "rt"}
    return "".join(sides.get(word, word) for word in words.split())


def read_table(path: Path) -> dict[tuple[int, int], _Course]:
    """(patient number, course) -> what is known. DataError for a sheet or column that is missing, naming it."""
    table: dict[tuple[int, int], _Course] = {}
    for row in _rows(path, "course_level", COURSE_COLUMNS):
        table[_key(row, "Course #")] = _Course(facts=_facts(row))
    for row in _rows(path, "lesion_level", LESION_COLUMNS):
        course = table.setdefault(_key(row, "Treatment Course"), _Course())
        outcome = str(row["mri_type"]).strip().lower()
        for name in (row["Lesion Location"], row["Lesion Name in NRRD files"]):
            if name is not None:
                course.outcomes[level(str(name))] = outcome
        if isinstance(row.get("Fractions"), int | float):
            course.facts.setdefault("srs_fractions", float(row["Fractions"]))
    return table


def _facts(row: Mapping[str, Any]) -> dict[str, ClinicalValue]:
    cells = {"age": row.get("Age at Diagnosis"), "sex": row.get("Gender"), "primary": row.get("Primary Diagnosis")}
    typed, _ = clinical.columns({name: [str(cell).strip()] for name, cell in cells.items() if cell is not None})
    return {name: values[0] for name, values in typed.items()}


def _key(row: Mapping[str, Any], course: str) -> tuple[int, int]:
    return _number(str(row["unique_pt_id"])), _number(str(row[course]))


def _number(text: str) -> int:
    match = re.search(r"\d+", text)
    return int(match[0]) if match else -1


def _rows(path: Path, title: str, columns: tuple[str, ...]) -> list[dict[str, Any]]:
    import openpyxl

    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        rows = list(book[title].iter_rows(values_only=True)) if title in book.sheetnames else []
    except Exception as error:  # no zip, no workbook, a broken sheet: whatever the library raises
        raise DataError(
            "clinical spreadsheet", f"cannot be read ({type(error).__name__})", "Download it again"
        ) from None
    head = [str(cell or "").strip() for cell in rows[0]] if rows else []
    missing = [name for name in columns if name not in head]
    if missing:
        cause = f"has no sheet {title!r} with the columns {', '.join(missing)}"
        raise DataError("clinical spreadsheet", cause, "Give the spreadsheet as it was published")
    # Spreadsheets drop empty cells at the end of a row; cells beyond the head have no name, so nothing can ask for them.
    return [dict(zip_longest(head, row[: len(head)])) for row in rows[1:] if row and row[0] is not None]


def _sheet(root: Path) -> Path | None:
    found = (file for file in root.glob("*.xlsx") if re.match(r"Brain[-_]TR[-_]GammaKnife", file.name))
    return next(iter(sorted(found)), None)
