"""Clinical tables (CSV) that public data sets ship beside their images: found by name, a few named columns taken.

A published table holds outcomes, dates and molecular findings beside the few facts that are known before a scan is read.
An adapter therefore names the columns it wants; nothing else of the table is looked at.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path

from rnfm.cohort import clinical
from rnfm.cohort.records import ClinicalValue
from rnfm.cohort.source import walk
from rnfm.core.errors import DataError

LARGEST_BYTES = 1 << 25


def rows(root: Path, name: str, *, key: str) -> list[dict[str, str]] | None:
    """Rows of the one CSV under `root` whose file name matches the pattern `name`; None if there is none.

    The last by name is taken, which is the newest version of a published table. DataError if it cannot be read or has no
    column `key`; the sentence quotes no cell.
    """
    files = [file for file in walk(root, (".csv",)) if re.fullmatch(name, file.name, re.IGNORECASE)]
    if not files:
        return None
    what = "the data set's clinical CSV"
    if files[-1].stat().st_size > LARGEST_BYTES:
        raise DataError(what, f"is larger than {LARGEST_BYTES >> 20} MiB", "Give the published table")
    try:
        text = files[-1].read_text(encoding="utf-8-sig")
        lines = [line for line in csv.reader(io.StringIO(text, newline=""), strict=True) if line]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(what, f"cannot be read as CSV ({type(error).__name__})", "Download it again") from None
    if not lines or key not in lines[0]:
        raise DataError(what, f"has no column {key!r}", "Give the published table, unchanged, or take it away")
    head, lines = lines[0], lines[1:]
    # Spreadsheets drop empty cells at the end of a line; a line with more cells than columns has shifted ones.
    if any(any(line[len(head) :]) for line in lines):
        raise DataError(what, "has lines with more cells than columns", "Give the published table, unchanged")
    return [dict(zip_longest(head, line[: len(head)], fillvalue="")) for line in lines]


def facts(rows: Sequence[Mapping[str, str]], wanted: Mapping[str, str]) -> list[dict[str, ClinicalValue]]:
    """Clinical facts of each row: `wanted` is name -> column. Typed, and barred where they must be, by `clinical`."""
    kept, _ = clinical.columns({name: [row.get(column) or "" for row in rows] for name, column in wanted.items()})
    return [{name: values[index] for name, values in kept.items()} for index in range(len(rows))]


def number(row: Mapping[str, str], column: str) -> float | None:
    """The cell as a finite number; None where it is missing, empty or text."""
    try:
        value = float(row.get(column, ""))
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None
