"""The clinical spreadsheets of OpenBTAI/MOLAB, as they are published: no usable header, columns by position.

`OpenBTAI_METS_ClinicalData*.xlsx`, sheet `Hoja1`: titles in Excel rows 13-15, one row a lesion from row 16, two footer
rows, blanks written as ' ' or 'n/a', times in days since the patient's first scan (MR1). Only columns named in `Column`
are read; death, cause, surgery, comments and MR dates never are. Column 43 (the label) is checked by its title, since a
shifted column would be a wrong label that nobody sees.

A cell of the two columns that make the label (first radiosurgery, necrosis) that is neither blank nor a number of days
makes the lesion unlabelled and is a finding: read as blank it would be a wrong label that nobody sees.

`OpenBTAI_MORPHOLOGICAL_MEASUREMENTS.xlsx`, one row a lesion-scan: vendor (STATION NAME really is the vendor), field
strength, and TOTALVOLUME, which is only compared with the masks.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import IntEnum
from pathlib import Path
from typing import Any

from rnfm.cohort.clinical import EMPTY
from rnfm.cohort.records import ClinicalValue
from rnfm.core.errors import DataError

SHEET = "Hoja1"
LONGEST_DAYS = 36_525.0  # a hundred years: more is a calendar date such as 19010618, and no number of days
TITLE_ROWS, FIRST_ROW = (13, 14, 15), 16
PRIMARIES: tuple[str, ...] = (
    *("breast", "NSCLC", "SCLC", "melanoma", "kidney", "colon", "bladder", "unknown", "ovary", "pharynx"),
    *("bone sarcoma", "uterus"),
)
IMMUNOTHERAPIES = re.compile(
    r"immuno|pembroli|nivolu|ipilimu|atezoli|durvalu|avelu|cemiplimab|tremelimu|relatlimab", re.IGNORECASE
)


class Column(IntEnum):
    """0-based positions. A treatment is four columns: dose a fraction, fractions, begin, end; a drug is name, begin, end."""

    PATIENT = 0
    AGE_YEARS = 1
    SEX = 2
    GPA = 3
    LESION = 4
    PRIMARY = 5
    WBRT_1 = 23
    WBRT_2 = 27
    SRS_1 = 31
    RN_DAY = 43
    DRUGS = 46
    DRUGS_END = 70


@dataclass(frozen=True, kw_only=True)
class LesionRow:
    """One lesion of the sheet; days since MR1, None where blank."""

    patient: str
    lesion: int
    srs_day: float | None
    rn_day: float | None
    fixed: dict[str, ClinicalValue] = field(default_factory=dict)
    wbrt_days: tuple[float, ...] = ()
    unreadable: tuple[str, ...] = ()  # which of the two label columns hold something that is no number of days
    immunotherapy_days: tuple[float, ...] | None = ()  # None: drugs are given as numbers, so which they are is unknown

    def clinical_at(self, day: float) -> dict[str, ClinicalValue]:
        """What was known on `day`: a treatment that began later is the future, and counts as not given."""
        return {
            **self.fixed,
            "wbrt": any(begin <= day for begin in self.wbrt_days),
            "immunotherapy": None
            if self.immunotherapy_days is None
            else any(begin <= day for begin in self.immunotherapy_days),
        }


def read_clinical(file: Path) -> dict[tuple[str, int], LesionRow]:
    """(patient, lesion) -> row. DataError if the sheet is not the published one."""
    rows = list(_rows(file, SHEET))
    titles = " ".join(str(rows[n - 1][Column.RN_DAY]) for n in TITLE_ROWS if len(rows) >= n and len(rows[n - 1]) > 43)
    if "NECROSIS" not in titles.upper():
        raise DataError(
            "OpenBTAI clinical spreadsheet",
            "column 44 (AR) of rows 13-15 is not titled RADIATION NECROSIS, so its columns are not where they were published",
            "Give the published file, unchanged",
        )
    lesions: dict[tuple[str, int], LesionRow] = {}
    for number, cells in enumerate(rows[FIRST_ROW - 1 :], FIRST_ROW):
        row = _lesion_row(list(cells) + [None] * (Column.DRUGS_END - len(cells)), number)
        if row is None:
            continue
        if (row.patient, row.lesion) in lesions:
            raise DataError(
                "OpenBTAI clinical spreadsheet", f"row {number} repeats a lesion", "Give the published file"
            )
        lesions[row.patient, row.lesion] = row
    return lesions


@dataclass(frozen=True)
class Morphology:
    """What the second sheet claims: (patient, time point) -> (vendor, tesla); (patient, time point, lesion) -> volume."""

    scanners: dict[tuple[str, str], tuple[str | None, float | None]] = field(default_factory=dict)
    volumes: dict[tuple[str, str, int], float] = field(default_factory=dict)


def read_morphology(file: Path) -> Morphology:
    """Both tables of the sheet. DataError if it has not the published columns."""
    rows = _rows(file, None)
    titles = [str(title).strip().upper() for title in next(rows, ())]
    wanted = ("PATIENT", "TIME POINT", "STATION NAME", "MAGNETIC FIELD")
    missing = [name for name in wanted if name not in titles]
    if missing:
        raise DataError("OpenBTAI morphology spreadsheet", f"has no column {missing[0]}", "Give the published file")
    places = {name: titles.index(name) for name in (*wanted, "LESION", "TOTALVOLUME") if name in titles}
    found = Morphology()
    for cells in rows:
        row = {name: cells[at] if at < len(cells) else None for name, at in places.items()}
        stamp = _stamp(row["TIME POINT"])
        if stamp is None:
            continue
        scan = patient_id(row["PATIENT"]), stamp
        vendor, tesla = _text(row["STATION NAME"]), number_in(row["MAGNETIC FIELD"])
        known = found.scanners.get(scan, (None, None))
        found.scanners[scan] = (known[0] or vendor, tesla if known[1] is None else known[1])
        lesion, volume = number_in(row.get("LESION")), number_in(row.get("TOTALVOLUME"))
        if lesion is not None and volume is not None:
            found.volumes[*scan, int(lesion)] = volume
    return found


def patient_id(cell: Any) -> str:
    """Six digits with their leading zero; spreadsheets turn 010005 into 10005.0."""
    number = number_in(cell)
    return f"{number:06.0f}" if number is not None else str(cell or "").strip()


def number_in(cell: Any) -> float | None:
    """A finite number, or None for a blank, 'n/a' and any other text."""
    try:
        number = math.nan if isinstance(cell, bool) or cell is None else float(cell)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def day_in(cell: Any) -> float | None:
    """Days since MR1, or None; a calendar date is none, whether a cell's format or the digits YYYYMMDD say so."""
    day = number_in(cell)
    return day if day is not None and abs(day) <= LONGEST_DAYS else None


def _lesion_row(cells: Sequence[Any], number: int) -> LesionRow | None:
    lesion = number_in(cells[Column.LESION])
    if lesion is None:
        return None  # a footer
    if number_in(cells[Column.PATIENT]) is None:
        raise DataError("OpenBTAI clinical spreadsheet", f"row {number} has a lesion and no patient ID", "Fill it in")
    drugs = [cells[at : at + 2] for at in range(Column.DRUGS, Column.DRUGS_END, 3)]
    return LesionRow(
        patient=patient_id(cells[Column.PATIENT]),
        lesion=int(lesion),
        srs_day=day_in(cells[Column.SRS_1 + 2]),
        rn_day=day_in(cells[Column.RN_DAY]),
        fixed=_fixed(cells),
        wbrt_days=_days(cells[column + 2] for column in (Column.WBRT_1, Column.WBRT_2)),
        unreadable=tuple(
            name
            for name, column in (("first radiosurgery", Column.SRS_1 + 2), ("necrosis", Column.RN_DAY))
            if _text(cells[column]) is not None and day_in(cells[column]) is None
        ),
        immunotherapy_days=_immunotherapy_days(drugs),
    )


def _fixed(cells: Sequence[Any]) -> dict[str, ClinicalValue]:
    sex, primary = number_in(cells[Column.SEX]), number_in(cells[Column.PRIMARY])
    dose_gy, fractions = number_in(cells[Column.SRS_1]), number_in(cells[Column.SRS_1 + 1])
    return {
        "age_years": number_in(cells[Column.AGE_YEARS]),
        "sex": {1.0: "F", 2.0: "M"}.get(sex) if sex is not None else None,
        "gpa": number_in(cells[Column.GPA]),
        "primary": PRIMARIES[int(primary) - 1] if primary is not None and 1 <= primary <= len(PRIMARIES) else None,
        "srs_dose_gy": dose_gy * fractions if dose_gy is not None and fractions is not None else None,
        "srs_fractions": fractions,
    }


def _immunotherapy_days(drugs: Sequence[Sequence[Any]]) -> tuple[float, ...] | None:
    if any(number_in(name) is not None for name, _ in drugs):
        return None
    return _days(begin for name, begin in drugs if IMMUNOTHERAPIES.search(str(name or "")))


def _days(cells: Iterator[Any]) -> tuple[float, ...]:
    return tuple(day for day in map(day_in, cells) if day is not None)


def _stamp(cell: Any) -> str | None:
    """YYYYMMDD of a time point, whether the cell holds digits, a number or a date."""
    if isinstance(cell, date):
        return f"{cell:%Y%m%d}"
    number = number_in(cell)
    return None if number is None else f"{number:.0f}"


def _text(cell: Any) -> str | None:
    text = "" if cell is None else str(cell).strip()
    return None if text.lower() in EMPTY else text


def _rows(file: Path, sheet: str | None) -> Iterator[Sequence[Any]]:
    """Cell values row by row, formulas as their last result. Columns after the drugs are outcomes: not even looked at."""
    import openpyxl

    try:
        book = openpyxl.load_workbook(file, read_only=True, data_only=True)
    except Exception as error:  # a damaged zip, XML or style sheet each raise their own kind
        raise DataError(
            "OpenBTAI spreadsheet", f"is not a readable xlsx file ({type(error).__name__})", "Download it again"
        ) from None
    try:
        if sheet is not None and sheet not in book.sheetnames:
            raise DataError("OpenBTAI clinical spreadsheet", f"has no sheet {sheet!r}", "Give the published file")
        yield from (book[sheet] if sheet else book.worksheets[0]).iter_rows(values_only=True, max_col=Column.DRUGS_END)
    finally:
        book.close()
