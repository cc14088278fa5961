"""The scans of a cohort and where their files lie: cohort.parquet joined with the key table.

The key table (CSV: namespace, kind, original, code, image, mask) is the only file that names sources. Nothing read from it
may appear in an error, a ledger or an artefact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnfm.cohort.keys import KeyTable
from rnfm.core.artifact import Artifact
from rnfm.core.errors import ConfigError, DataError

COHORT_COLUMNS = ["patient", "scan", "site", "lesion", "has_mask", "mask_values"]

NO_FILE = Path("/dev/null/made-by-a-recipe")

Recipe = Callable[[Path], tuple[Path, Path | None]]
"""Writes the files of a scan into an empty folder and returns the paths of image and mask. Must be picklable."""


@dataclass(frozen=True)
class Scan:
    """A scan of the cohort. `mask` is None where the key table names none; `lesions`: (code, mask values) of its rows."""

    code: str
    patient: str
    site: str
    image: Path
    mask: Path | None
    has_mask: bool
    lesions: tuple[tuple[str, tuple[int, ...]], ...]


def find_scans(cohort: Artifact, keys: Callable[[], Path], made: frozenset[str] = frozenset()) -> list[Scan]:
    """The scans of the cohort, in its order; relative paths of the key table are taken from the table's folder.

    `made` names scans that need no files, since a recipe makes them; `keys` is only asked for the table if others are left.
    Raises ConfigError if the table lacks a column or a scan, DataError for a cohort without scans.
    """
    import pyarrow.parquet as parquet  # workers import this file and read no table

    table = parquet.read_table(cohort.file("cohort.parquet"), columns=COHORT_COLUMNS)
    rows_of: dict[str, list[dict[str, Any]]] = {}
    for row in table.to_pylist():
        rows_of.setdefault(row["scan"], []).append(row)
    if not rows_of:
        raise DataError(cohort.path, "the cohort holds no scan", "Index a folder that holds some")
    paths: dict[str, tuple[Path, Path | None]] = dict.fromkeys(made, (NO_FILE, None))
    if not rows_of.keys() <= made:
        paths = _read_keys(keys()) | paths
    missing = set(rows_of) - set(paths)
    if missing:
        cause = f"the key table lacks {len(missing)} of the cohort's {len(rows_of)} scans"
        raise ConfigError(keys(), cause, "Give the table that `rnfm data index` wrote for this cohort")
    return [_scan(code, rows, *paths[code]) for code, rows in rows_of.items()]


def _scan(code: str, rows: list[dict[str, Any]], image: Path, mask: Path | None) -> Scan:
    lesions = tuple((row["lesion"] or "", tuple(row["mask_values"] or ())) for row in rows)
    has_mask = any(row["has_mask"] for row in rows)
    return Scan(code, rows[0]["patient"], rows[0]["site"], image, mask if has_mask else None, has_mask, lesions)


def _read_keys(keys: Path) -> dict[str, tuple[Path, Path | None]]:
    """Image and mask path of each scan code that has a file."""
    rows = KeyTable.open(keys).scans()
    return {
        code: (keys.parent / row.image, keys.parent / row.mask if row.mask else None)
        for code, row in rows.items()
        if row.image
    }
