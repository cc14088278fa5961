"""Clinical CSVs beside images: which file, which columns, and faults told without quoting a cell."""

from __future__ import annotations

from pathlib import Path

import pytest

from rnfm.cohort import sidecar
from rnfm.core.errors import DataError


def test_the_newest_version_is_read(tmp_path: Path) -> None:
    for version, age in (("v1", 50), ("v2", 60)):
        (tmp_path / version).mkdir()
        (tmp_path / version / f"Set-info_{version}.csv").write_text(f"ID,Age\nA,{age}\n", encoding="utf-8-sig")
    (tmp_path / "other.csv").write_text("ID,Age\nA,70\n")
    assert sidecar.rows(tmp_path, r"Set-info_.*\.csv", key="ID") == [{"ID": "A", "Age": "60"}]
    assert sidecar.rows(tmp_path, r"Nothing.*\.csv", key="ID") is None


def test_facts_are_typed_and_capped_and_short_rows_are_blank() -> None:
    rows = [{"ID": "A", "Age": "91.2", "Sex": "M"}, {"ID": "B", "Age": "unknown", "Sex": "female"}, {"ID": "C"}]
    facts = sidecar.facts(rows, {"age": "Age", "sex": "Sex"})
    assert facts == [
        {"age_years": 90.0, "sex": "M"},
        {"age_years": None, "sex": "F"},
        {"age_years": None, "sex": None},
    ]


@pytest.mark.parametrize(("cell", "value"), [("217", 217.0), ("", None), ("Not Available", None), ("inf", None)])
def test_numbers(cell: str, value: float | None) -> None:
    assert sidecar.number({"day": cell}, "day") == value
    assert sidecar.number({}, "day") is None
    assert sidecar.number({"day": "nan"}, "day") is None


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"", "has no column 'ID'"),
        (b"subject\nHANSEN\n", "has no column 'ID'"),
        (b'ID\n"HANSEN', r"cannot be read as CSV \(Error\)"),
        (b"ID,Sex\nHANSEN,M\nHANSEN,,F\n", "has lines with more cells than columns"),
        (b"ID\nHANS\xc9N\n", r"cannot be read as CSV \(UnicodeDecodeError\)"),
    ],
)
def test_faults_quote_nothing(tmp_path: Path, data: bytes, cause: str) -> None:
    (tmp_path / "HANSEN.csv").write_bytes(data)
    with pytest.raises(DataError, match=cause) as caught:
        sidecar.rows(tmp_path, r".*\.csv", key="ID")
    assert "HANS" not in str(caught.value)


def test_a_short_line_has_empty_cells_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("Sex,ID,Age\nM,a,61\nF\nM,b,,\n")
    rows = sidecar.rows(tmp_path, r"t\.csv", key="ID")
    assert rows == [
        {"Sex": "M", "ID": "a", "Age": "61"},
        {"Sex": "F", "ID": "", "Age": ""},
        {"Sex": "M", "ID": "b", "Age": ""},
    ]


def test_a_huge_table_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "big.csv", "wb") as file:
        file.truncate(sidecar.LARGEST_BYTES + 1)
    with pytest.raises(DataError, match="is larger than 32 MiB"):
        sidecar.rows(tmp_path, r"big\.csv", key="ID")
