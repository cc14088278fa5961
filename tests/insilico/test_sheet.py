"""Spreadsheets: the cells that were given, and bytes that do not know the time."""

from __future__ import annotations

import zipfile
from datetime import datetime
from pathlib import Path

import openpyxl

from rnfm.insilico import sheet


def test_cells_and_bytes(tmp_path: Path) -> None:
    rows = [["010005", 1, 2.5, " "], [None] * 4, ["n/a", None, 0, "x"]]
    sheet.write(tmp_path / "one.xlsx", "Hoja1", rows)
    page = openpyxl.load_workbook(tmp_path / "one.xlsx")["Hoja1"]
    assert [[cell.value for cell in row] for row in page.iter_rows()] == rows
    sheet.write(tmp_path / "two.xlsx", "Hoja1", rows)
    assert (tmp_path / "one.xlsx").read_bytes() == (tmp_path / "two.xlsx").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.xlsx") as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        core = archive.read("docProps/core.xml").decode()
    assert f"{datetime.now().year}" not in core
    assert core.count("1980-01-01T00:00:00Z") == 2
