"""`cohort.parquet`: one row a lesion-scan, with the columns and types of docs/pipeline.md, and nothing else.

A table written before a column of `ADDED` existed is read with that column's default, so that cohorts and volumes of
earlier releases stay usable; `rnfm data index` makes them anew (`REVISION` is part of a cohort's configuration hash).

Missing values are nulls in the file, and pandas' NA (strings, integers, truth values) or NaN (floats) in a data frame.
Equal frames give equal bytes: no index, no library metadata, no time stamp.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnfm.core.artifact import Artifact
from rnfm.core.errors import ConfigError, IntegrityError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

CLINICAL = "clinical_"
# name, Arrow type, may be null
COLUMNS = (
    ("patient", "string", False),
    ("scan", "string", False),
    ("lesion", "string", True),
    ("dataset", "string", False),
    ("site", "string", False),
    ("modality", "string", False),
    ("day", "int64", True),
    ("timepoint", "int16", True),
    ("months_since_srs", "float64", True),
    ("has_mask", "bool", False),
    ("mask_values", "list<int16>", False),
    ("volume_ml", "float64", True),
    ("classified", "bool", False),
    ("label", "int8", True),
    ("label_source", "string", True),
    ("vendor", "string", True),
    ("field_strength_t", "float64", True),
    ("shape_vox", "list<int32>", False),
    ("spacing_mm", "list<float64>", False),
)
REVISION = 2
ADDED: dict[str, Any] = {"modality": "T1CE", "timepoint": None, "volume_ml": None}  # since revision 1


def from_rows(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """A typed data frame from plain rows; each has every column of `COLUMNS` (those of `ADDED` may be left out) and some
    `clinical_<name>`.

    A clinical column is bool, string or float by its values; a mixture is a programming error (TypeError).
    """
    import pyarrow as pa

    names = sorted({name for row in rows for name in row if name.startswith(CLINICAL)})
    kinds = {name: _kind(name, [row.get(name) for row in rows]) for name in names}
    return _to_pandas(pa.Table.from_pylist([_with_defaults(row) for row in rows], schema=_schema(kinds)))


def write(path: Path, frame: pd.DataFrame) -> None:
    """Write a frame made by `from_rows` or `read` (any subset of its rows). ConfigError if columns are wrong."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    _require_columns(path, list(frame.columns))
    kinds = {name: _kind_of_dtype(frame[name].dtype) for name in frame.columns if name.startswith(CLINICAL)}
    table = pa.Table.from_pandas(frame, schema=_schema(kinds), preserve_index=False)
    pq.write_table(table.replace_schema_metadata(None), path)


def read(path: Path) -> pd.DataFrame:
    """Read `cohort.parquet` (of a cohort or of volumes). IntegrityError if it is no such table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise IntegrityError(
            Path(path).name, f"is not a readable Parquet file ({type(error).__name__})", "Make the artefact again"
        ) from None
    table = _with_added(table)
    _require_columns(path, table.column_names)
    return _to_pandas(table)


def open_cohort(path: Path) -> tuple[Artifact, pd.DataFrame]:
    """The artefact and its cohort table, from a cohort or volumes folder. ConfigError, IntegrityError."""
    opened = Artifact.open(path)
    if opened.kind not in ("cohort", "volumes"):
        raise ConfigError(path, f"is of kind {opened.kind}, not cohort or volumes", "Give a cohort or volumes folder")
    return opened, read(opened.file("cohort.parquet"))


def _with_defaults(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, **{name: default for name, default in ADDED.items() if row.get(name) is None}}


def _with_added(table: pa.Table) -> pa.Table:
    """The table with the columns that its release did not know, in the order of `COLUMNS`."""
    import pyarrow as pa

    missing = [(name, kind) for name, kind, _ in COLUMNS if name in ADDED and name not in table.column_names]
    for name, kind in missing:
        table = table.append_column(name, pa.array([ADDED[name]] * table.num_rows, _arrow(kind)))
    if not missing:
        return table
    places = [name for name, _, _ in COLUMNS if name in table.column_names]
    return table.select(places + [name for name in table.column_names if name not in places])


def _require_columns(path: Path, names: Sequence[str]) -> None:
    expected = [name for name, _, _ in COLUMNS]
    strangers = [name for name in names if name not in expected and not name.startswith(CLINICAL)]
    missing = [name for name in expected if name not in names]
    if missing or strangers:
        parts = [f"lacks {', '.join(missing)}"] * bool(missing) + [f"has {', '.join(strangers)}"] * bool(strangers)
        raise ConfigError(
            Path(path).name, f"is no cohort table: it {' and '.join(parts)}", "Give a table that `rnfm data index` made"
        )


def _schema(kinds: Mapping[str, str]) -> pa.Schema:
    import pyarrow as pa

    fixed = [pa.field(name, _arrow(kind), nullable=nullable) for name, kind, nullable in COLUMNS]
    return pa.schema(fixed + [pa.field(name, _arrow(kind)) for name, kind in kinds.items()])


def _arrow(kind: str) -> pa.DataType:
    import pyarrow as pa

    if kind.startswith("list<"):
        return pa.list_(_arrow(kind[5:-1]))
    return {"string": pa.string(), "bool": pa.bool_(), "float64": pa.float64()}.get(kind) or pa.type_for_alias(kind)


def _to_pandas(table: pa.Table) -> pd.DataFrame:
    import pandas as pd
    import pyarrow as pa

    types: dict[Any, Any] = {
        pa.string(): pd.StringDtype(),
        pa.int64(): pd.Int64Dtype(),
        pa.int16(): pd.Int16Dtype(),
        pa.int8(): pd.Int8Dtype(),
        pa.bool_(): pd.BooleanDtype(),
    }
    frame = table.to_pandas(types_mapper=types.get)
    for name, kind, nullable in COLUMNS:
        if kind == "bool" and not nullable:
            frame[name] = frame[name].astype(bool)
    return frame


def _kind(name: str, values: Sequence[Any]) -> str:
    found = {type(value) for value in values if value is not None}
    if found <= {int, float}:
        return "float64"
    if found in ({bool}, {str}):
        return "bool" if bool in found else "string"
    raise TypeError(f"{name} mixes {sorted(kind.__name__ for kind in found)}")


def _kind_of_dtype(dtype: Any) -> str:
    import pandas as pd

    if pd.api.types.is_bool_dtype(dtype):
        return "bool"
    return "float64" if pd.api.types.is_numeric_dtype(dtype) else "string"
