"""`cohort.parquet`: the columns and types of docs/pipeline.md, nulls that stay null, equal bytes for equal frames."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from rnfm.cohort import table
from rnfm.core import artifact
from rnfm.core.errors import ConfigError, IntegrityError

CONTRACT = Path(__file__).parents[2] / "docs" / "pipeline.md"


def _row(**values: Any) -> dict[str, Any]:
    row = dict.fromkeys((name for name, _, _ in table.COLUMNS), None)
    row |= {"patient": "P-1", "scan": "S-1", "dataset": "d", "site": "s", "has_mask": True, "classified": False}
    return row | {"mask_values": [11, 12], "shape_vox": [8, 8, 8], "spacing_mm": [1.0, 1.0, 2.5]} | values


def test_the_columns_are_those_of_the_contract() -> None:
    text = CONTRACT.read_text().split("### 1. cohort")[1].split("### 2. split")[0]
    documented = [
        name
        for line in text.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    ]
    assert documented == [name for name, _, _ in table.COLUMNS]


def test_types_and_nulls_survive(tmp_path: Path) -> None:
    rows = [
        _row(clinical_age_years=61.0, clinical_wbrt=True, clinical_sex="F", label=1, day=3, lesion="P-1-L1"),
        _row(),
    ]
    table.write(tmp_path / "cohort.parquet", table.from_rows(rows))
    schema = {field.name: str(field.type) for field in pq.read_schema(tmp_path / "cohort.parquet")}
    assert {name: schema[name] for name in ("day", "timepoint", "volume_ml", "label", "classified", "patient")} == {
        "day": "int64",
        "timepoint": "int16",
        "volume_ml": "double",
        "label": "int8",
        "classified": "bool",
        "patient": "string",
    }
    assert schema["mask_values"].replace("element", "item") == "list<item: int16>"
    assert (schema["clinical_age_years"], schema["clinical_sex"], schema["clinical_wbrt"]) == (
        "double",
        "string",
        "bool",
    )
    frame = table.read(tmp_path / "cohort.parquet")
    assert frame["label"].tolist()[0] == 1
    assert frame["label"].isna().tolist() == frame["clinical_wbrt"].isna().tolist() == [False, True]
    assert frame["mask_values"][0].tolist() == [11, 12]
    assert frame["has_mask"].dtype == bool


def test_any_subset_can_be_written_again_with_equal_bytes(tmp_path: Path) -> None:
    frame = table.from_rows([_row(clinical_wbrt=True), _row(scan="S-2"), _row(scan="S-3", label=0)])
    table.write(tmp_path / "a.parquet", frame)
    table.write(tmp_path / "b.parquet", table.read(tmp_path / "a.parquet"))
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    part = frame[frame["scan"] != "S-2"]
    table.write(tmp_path / "c.parquet", part)
    assert table.read(tmp_path / "c.parquet")["scan"].tolist() == ["S-1", "S-3"]


def test_a_table_of_an_earlier_release_is_read_with_defaults(tmp_path: Path) -> None:
    import pyarrow.parquet as parquet

    table.write(tmp_path / "new.parquet", table.from_rows([_row(clinical_wbrt=True, label=1)]))
    old = parquet.read_table(tmp_path / "new.parquet").drop_columns(list(table.ADDED))
    parquet.write_table(old, tmp_path / "old.parquet")
    frame = table.read(tmp_path / "old.parquet")
    assert list(frame.columns) == [*(name for name, _, _ in table.COLUMNS), "clinical_wbrt"]
    assert (frame["modality"][0], frame["label"][0]) == ("T1CE", 1)
    assert frame[["timepoint", "volume_ml"]].isna().all().all()
    table.write(tmp_path / "again.parquet", frame)
    assert table.read(tmp_path / "again.parquet").equals(frame)


def test_an_older_gap_is_not_filled_in(tmp_path: Path) -> None:
    import pyarrow.parquet as parquet

    table.write(tmp_path / "new.parquet", table.from_rows([_row()]))
    lacking = parquet.read_table(tmp_path / "new.parquet").drop_columns(["modality", "label"])
    parquet.write_table(lacking, tmp_path / "old.parquet")
    with pytest.raises(ConfigError, match=r"is no cohort table: it lacks label\. Give a table that"):
        table.read(tmp_path / "old.parquet")


def test_a_mixed_column_is_a_programming_error() -> None:
    with pytest.raises(TypeError, match=r"clinical_x mixes \['float', 'str'\]"):
        table.from_rows([_row(clinical_x=1.0), _row(clinical_x="a")])


def test_other_columns_are_refused(tmp_path: Path) -> None:
    frame = table.from_rows([_row()])
    with pytest.raises(ConfigError, match=r"^cohort.parquet: is no cohort table: it lacks label and has name\. "):
        table.write(tmp_path / "cohort.parquet", frame.rename(columns={"label": "name"}))
    (tmp_path / "cohort.parquet").write_bytes(b"PAR1")
    with pytest.raises(IntegrityError, match=r"is not a readable Parquet file"):
        table.read(tmp_path / "cohort.parquet")


def test_only_cohorts_and_volumes_open_as_cohorts(tmp_path: Path) -> None:
    with artifact.publish(tmp_path / "volumes", "volumes", 1) as draft:
        table.write(draft.path / "cohort.parquet", table.from_rows([_row()]))
    assert len(table.open_cohort(tmp_path / "volumes")[1]) == 1
    with artifact.publish(tmp_path / "split", "split", 1):
        pass
    with pytest.raises(ConfigError, match="is of kind split, not cohort or volumes"):
        table.open_cohort(tmp_path / "split")
