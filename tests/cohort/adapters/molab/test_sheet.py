"""Cells of the published spreadsheets: blanks, identifiers that lost their zero, drug names, and files that are not it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import openpyxl
import pytest

from rnfm.cohort.adapters.molab import sheet as molab_sheet
from rnfm.core.errors import DataError


@pytest.mark.parametrize(("cell", "expected"), [("010005", "010005"), (10005.0, "010005"), (40114, "040114")])
def test_patient_ids_keep_their_leading_zero(cell: object, expected: str) -> None:
    assert molab_sheet.patient_id(cell) == expected


@pytest.mark.parametrize(("cell", "expected"), [(" ", None), ("n/a", None), (None, None), ("12.5", 12.5), (3, 3.0)])
def test_blanks_are_none(cell: object, expected: float | None) -> None:
    assert molab_sheet.number_in(cell) == expected


@pytest.mark.parametrize(
    ("drug", "is_immunotherapy"),
    [("Pembrolizumab", True), ("ipilimumab+nivolumab", True), ("Atezolizumab", True), ("Bevacizumab", False)],
)
def test_which_drugs_are_immunotherapy(tmp_path: Path, clinical_sheet, drug: object, is_immunotherapy: bool) -> None:
    row = molab_sheet.read_clinical(clinical_sheet(tmp_path, {("010005", 1): {49: drug, 50: 5}}))["010005", 1]
    assert row.clinical_at(6)["immunotherapy"] is is_immunotherapy
    assert row.clinical_at(4)["immunotherapy"] is False


def test_drugs_given_as_numbers_are_unknown_not_absent(tmp_path: Path, clinical_sheet) -> None:
    row = molab_sheet.read_clinical(clinical_sheet(tmp_path, {("010005", 1): {49: 3, 50: 5}}))["010005", 1]
    assert row.clinical_at(6)["immunotherapy"] is None


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (0, 0.0),
        ("-12", -12.0),
        (36_525, 36_525.0),
        (19010618, None),
        ("19010618", None),
        ("1901-06-18", None),
        ("inf", None),
    ],
)
def test_days_are_numbers_of_days(cell: object, expected: float | None) -> None:
    assert molab_sheet.day_in(cell) == expected


@pytest.mark.parametrize("cell", ["19010618", datetime(1901, 6, 18), "yes", "3 months"])
def test_a_label_cell_that_is_no_day_is_unreadable_not_blank(tmp_path: Path, clinical_sheet, cell: object) -> None:
    sheet = clinical_sheet(tmp_path, {("010005", 1): {33: 30, 43: cell}, ("010005", 2): {33: cell, 43: "n/a"}})
    rows = molab_sheet.read_clinical(sheet)
    assert (rows["010005", 1].rn_day, rows["010005", 1].unreadable) == (None, ("necrosis",))
    assert (rows["010005", 2].srs_day, rows["010005", 2].unreadable) == (None, ("first radiosurgery",))


def test_the_time_points_of_the_morphology_sheet_in_every_form(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["PATIENT", "TIME POINT", "STATION NAME", "MAGNETIC FIELD", "LESION", "TOTALVOLUME"])
    for stamp, lesion in ((19010618, 1), ("19010619", 2), (datetime(1901, 6, 20), 3), ("n/a", 4)):
        book.active.append([10005.0, stamp, "GE", 1.5, lesion, 2.5])
    book.save(tmp_path / "book.xlsx")
    found = molab_sheet.read_morphology(tmp_path / "book.xlsx")
    assert found.scanners == {("010005", f"190106{day}"): ("GE", 1.5) for day in (18, 19, 20)}
    assert found.volumes == {("010005", f"190106{17 + lesion}", lesion): 2.5 for lesion in (1, 2, 3)}


def test_a_lesion_twice_is_refused_by_row_number(tmp_path: Path, clinical_sheet) -> None:
    path = clinical_sheet(tmp_path, {("010005", 1): {}, ("010006", 1): {0: 10005.0}})
    with pytest.raises(DataError, match=r"^OpenBTAI clinical spreadsheet: row 17 repeats a lesion\. "):
        molab_sheet.read_clinical(path)


def test_a_lesion_without_patient_is_refused(tmp_path: Path, clinical_sheet) -> None:
    with pytest.raises(DataError, match="row 16 has a lesion and no patient ID"):
        molab_sheet.read_clinical(clinical_sheet(tmp_path, {("010005", 1): {0: " "}}))


def test_another_workbook_is_refused(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.save(tmp_path / "book.xlsx")
    with pytest.raises(DataError, match="has no sheet 'Hoja1'"):
        molab_sheet.read_clinical(tmp_path / "book.xlsx")
    (tmp_path / "book.xlsx").write_bytes(b"PK no zip")
    with pytest.raises(DataError, match=r"is not a readable xlsx file \(BadZipFile\)"):
        molab_sheet.read_clinical(tmp_path / "book.xlsx")
    with pytest.raises(DataError, match="is not a readable xlsx file"):
        molab_sheet.read_morphology(tmp_path / "book.xlsx")
