"""The table of the CSV layout as text: its columns, its lines, and every fault of its form. Values are judged in `csv`.

Cells are apart by commas, semicolons or tabs, whichever the first line uses most; upper and lower case of column names do
not matter. A column that is nearly a known one that is missing is taken for a slip, not for a clinical fact.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from rnfm.cohort import clinical
from rnfm.core.errors import ConfigError, nearest

REQUIRED = ("patient", "image")
COLUMNS = {
    "patient": "id of the patient, any text; replaced by a code",
    "image": "T1CE image (.nii or .nii.gz)",
    "mask": "lesion mask on the same grid",
    "scan": "id of the scan within the patient; none: the image's path",
    "session": "time point where no day is known; numbers in a name are ordered by value",
    "day": "day of the scan, counted from any day of the patient [days]",
    "months_since_srs": "from the lesion's first radiosurgery to this scan [months]",
    "lesion": "number of the lesion, the same at all time points of the patient; 1 for the only one",
    "mask_values": "values of the mask that belong to the lesion, such as 11;12; none: every value above 0",
    "label": "RN or 1, progression or 0, empty or n/a",
    "label_source": "pathology, follow-up, ...",
    "site": "centre",
    "vendor": "maker of the scanner",
    "field_strength_t": "field strength [T]",
    "modality": "T1CE where empty",
}
LARGEST_BYTES = 1 << 28


@dataclass(frozen=True)
class Table:
    """`lines`: (number in the file, cell by column); `faults`: lines that are not of the form of the first."""

    path: Path
    columns: tuple[str, ...]
    lines: tuple[tuple[int, dict[str, str]], ...]
    faults: tuple[str, ...]


def read_table(path: Path) -> Table:
    """ConfigError for a first line or a text that cannot be a table; faults of single lines are collected."""
    rows = _rows(path)
    head = [name.strip().lower() for name in rows[0][1]] if rows else []
    faults = _faults_of_head(head)
    if faults:
        raise ConfigError("table", f"its first line is wrong: {'; '.join(faults)}", "Mend the column names")
    lines, wrong = [], []
    for number, cells in rows[1:]:
        if len(cells) == len(head):
            lines.append((number, {name: _cell(name, cell) for name, cell in zip(head, cells, strict=True)}))
        elif any(cell.strip() for cell in cells):
            wrong.append(f"line {number}: has {len(cells)} cells, the first line has {len(head)}")
    return Table(path, tuple(head), tuple(line for line in lines if any(line[1].values())), tuple(wrong))


def read_head(path: Path) -> list[str] | None:
    """The column names, or None for what is no text."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            line = file.readline(1 << 16)
    except (OSError, UnicodeDecodeError):
        return None
    return [name.strip().strip('"').lower() for name in line.split(max(",;\t", key=line.count))]


def _cell(name: str, text: str) -> str:
    """In a known column n/a means empty; clinical columns have their own rule."""
    return "" if name in COLUMNS and text.strip().lower() in clinical.EMPTY else text.strip()


def _faults_of_head(head: Sequence[str]) -> list[str]:
    faults = [f"{name!r} stands twice" for name in COLUMNS if head.count(name) > 1]
    faults += ["a column has no name"] if "" in head else []
    missing = [name for name in COLUMNS if name not in head]
    slips = {}
    for name in head:
        close = get_close_matches(name.replace(" ", "_"), missing, n=1, cutoff=0.8) if name not in COLUMNS else []
        slips.update({close[0]: name} if close else {})
    faults += [f"{name!r} is not a column{nearest(name.replace(' ', '_'), [meant])}" for meant, name in slips.items()]
    lost = [name for name in REQUIRED if name in missing and name not in slips]
    return faults + [f"the column {name!r} is missing" for name in lost]


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """(line number, cells) of every row; the delimiter is the one that the first line uses most."""
    if path.stat().st_size > LARGEST_BYTES:
        raise ConfigError("table", f"is larger than {LARGEST_BYTES >> 20} MB", "Give the table of a cohort")
    try:
        text = path.read_bytes().decode("utf-8-sig")
        delimiter = max(",;\t", key=text.split("\n", 1)[0].count)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        rows, start = [], 1
        for cells in reader:
            rows.append((start, cells))
            start = reader.line_num + 1
    except UnicodeDecodeError:
        raise ConfigError("table", "is not UTF-8 text", "Save it again as CSV UTF-8") from None
    except csv.Error:
        raise ConfigError("table", f"has a quote that is not closed, from line {start} on", "Mend that line") from None
    return rows
