"""Spreadsheets: the cells that were given, and bytes that do not know the time."""

from __future__ import annotations

import time
from pathlib import Path

import openpyxl

from rnfm.insilico import sheet


def test_cells_and_bytes(tmp_path: Path) -> None:
    rows = [["010005", 1, 2.5, " "], [None] * 4, ["n/a", None, 0, "x"]]
    sheet.write(tmp_path / "one.xlsx", "Hoja1", rows)
    page = openpyxl.load_workbook(tmp_path / "one.xlsx")["Hoja1"]
    assert [[cell.value for cell in row] for row in page.iter_rows()] == rows
    time.sleep(2.1)  # zip archives count in steps of two seconds
    sheet.write(tmp_path / "two.xlsx", "Hoja1", rows)
    assert (tmp_path / "one.xlsx").read_bytes() == (tmp_path / "two.xlsx").read_bytes()
