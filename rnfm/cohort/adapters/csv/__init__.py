"""CSV: the user's own table, one line a scan, or a line for each lesion of a scan. PATH is the file, or a folder with one cohort.csv.

    patient,image,mask,session,lesion,mask_values,label,label_source,months_since_srs,site,age,wbrt
    p1,scans/p1_a.nii.gz,masks/p1_a.nii.gz,1,1,11;12,RN,pathology,7.5,north,61,yes
    p1,scans/p1_a.nii.gz,masks/p1_a.nii.gz,1,2,21,progression,follow-up,7.5,north,61,yes

Required: `patient`, `image`. Known: the columns of `csv_table.COLUMNS`. Every other column is a clinical one (`rnfm.cohort.clinical`:
what tells the outcome or a person is left out and named), unless it is nearly a known name that is missing: then it is
taken for a slip. Paths are relative to the table's own folder. All faults are reported at once, by line number and column,
never by value.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from rnfm.cohort import clinical, scanner
from rnfm.cohort.adapters.csv.table import COLUMNS, REQUIRED, read_head, read_table
from rnfm.cohort.records import ClinicalValue, LesionRecord, Match, Options, Reading, ScanRecord
from rnfm.core.errors import ConfigError, DataError

NAME = "csv"
FILE = "cohort.csv"
OF_A_SCAN = ("patient", "image", "mask", "session", "day", "site", "vendor", "field_strength_t", "modality")
LABELS = dict.fromkeys(("rn", "necrosis", "radionecrosis", "radiation necrosis", "1", "1.0"), 1)
LABELS |= dict.fromkeys(("progression", "pd", "recurrence", "tumor progression", "tumour progression", "0", "0.0"), 0)
SHOWN = 12
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+/-]{0,39}")


class Line(NamedTuple):
    """A line of the table: its number in the file, its cells by column, its clinical values."""

    number: int
    cells: Mapping[str, str]
    clinical: Mapping[str, ClinicalValue]


def matches(root: Path) -> Match:
    path = _path(root)
    if path is None:
        return Match(0.0, "it is no .csv file and holds no cohort.csv")
    head = read_head(path)
    if head is not None and set(REQUIRED) <= set(head):
        return Match(1.0, f"there is a table with the columns {', '.join(name for name in head if name in COLUMNS)}")
    why = f"there is a .csv file, but its first line does not name the columns {' and '.join(REQUIRED)}"
    # A file can be nothing else; a folder may still be another layout that has such a file beside it.
    return Match(0.9 if root.is_file() else 0.3, why)


def namespace(root: Path) -> str:
    """A constant: the name of a file may be a person's. Give --namespace for a second table in one key table."""
    return NAME


def sources(root: Path) -> list[Path]:
    """The table itself and the files it names, which may lie anywhere."""
    table = read_table(_require(root))
    named = (line.get(column) for _, line in table.lines for column in ("image", "mask"))
    return [table.path, *sorted({_resolve(table.path, cell) for cell in named if cell})]


def read(root: Path, options: Options) -> Reading:
    """DataError naming every faulty line and column; ConfigError for a wrong first line."""
    table = read_table(_require(root))
    free = [name for name in table.columns if name not in COLUMNS]
    typed, left_out = clinical.columns({name: [cells[name] for _, cells in table.lines] for name in free})
    lines = [
        Line(number, cells, {name: values[index] for name, values in typed.items()})
        for index, (number, cells) in enumerate(table.lines)
    ]
    faults = [*table.faults, *(fault for line in lines for fault in _faults_of(line))]
    scans: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        scans[_scan_id(line.cells)].append(line)
    faults += [fault for group in scans.values() for fault in _faults_among(group)]
    if faults:
        raise _refusal(faults)
    if not lines:
        raise DataError("table", "has no line below its first", "Add one line for each scan")
    records = [_scan(scan, group, table.path) for scan, group in scans.items()]
    notes = [f"Columns of the table left out: {', '.join(left_out)}."] if left_out else []
    return Reading(tuple(_in_order(records, scans)), notes=tuple(notes))


def _scan_id(cells: Mapping[str, str]) -> str:
    """Scan ids need to be unique within a patient only, so that `1` may be everybody's first."""
    return f"{cells['patient']}/{cells['scan']}" if cells.get("scan") else cells["image"]


def _scan(scan: str, group: Sequence[Line], path: Path) -> ScanRecord:
    first, known = group[0].cells, group[0].clinical
    is_named = any(line.cells.get(name) for line in group for name in ("lesion", "label", "mask_values"))
    return ScanRecord(
        patient=first["patient"],
        scan=scan,
        image=_resolve(path, first["image"]),
        mask=_resolve(path, first["mask"]) if first.get("mask") else None,
        day=None if not first.get("day") else round(float(first["day"])),
        site=first.get("site") or None,
        vendor=scanner.vendor(first.get("vendor")),
        field_strength_t=scanner.field_strength_t(first.get("field_strength_t") or None),
        modality=first.get("modality") or "T1CE",
        lesions=tuple(_lesion(line) for line in group) if is_named else (),
        clinical=known,
    )


def _lesion(line: Line) -> LesionRecord:
    cells = line.cells
    label = LABELS.get(cells.get("label", "").lower())
    return LesionRecord(
        number=int(cells.get("lesion") or 1),
        mask_values=_values(cells.get("mask_values", "")),
        label=label,
        label_source=(cells.get("label_source") or "table") if label is not None else None,
        months_since_srs=float(cells["months_since_srs"]) if cells.get("months_since_srs") else None,
        clinical=line.clinical,
    )


def _in_order(records: Sequence[ScanRecord], scans: Mapping[str, Sequence[Line]]) -> list[ScanRecord]:
    """Days from each patient's first scan; `order` by session, then by place in the table."""
    first: dict[str, int] = {}
    for scan in records:
        if scan.day is not None:
            first[scan.patient] = min(scan.day, first.get(scan.patient, scan.day))
    ranked = sorted(
        range(len(records)), key=lambda index: (_natural(scans[records[index].scan][0].cells.get("session", "")), index)
    )
    order = {index: place for place, index in enumerate(ranked)}
    return [
        replace(scan, order=order[index], day=None if scan.day is None else scan.day - first[scan.patient])
        for index, scan in enumerate(records)
    ]


def _faults_of(line: Line) -> list[str]:
    """Each cell that cannot be what its column says."""
    checks: dict[str, tuple[Callable[[str], bool], str]] = {
        "day": (_is_number, "is not a number of days"),
        "months_since_srs": (_is_number, "is not a number of months"),
        "lesion": (lambda cell: cell.isascii() and cell.isdigit() and int(cell) > 0, "is not a whole number from 1"),
        "mask_values": (lambda cell: all(0 < value < 1 << 15 for value in _values(cell, -1)), "is not like 11;12"),
        "label": (lambda cell: cell.lower() in LABELS, "is none of RN, 1, progression, 0, n/a"),
        "field_strength_t": (lambda cell: scanner.field_strength_t(cell) is not None, "is no field strength in tesla"),
        "image": (lambda cell: cell.lower().endswith((".nii", ".nii.gz")), "does not end in .nii or .nii.gz"),
        "mask": (lambda cell: cell.lower().endswith((".nii", ".nii.gz")), "does not end in .nii or .nii.gz"),
        **{
            name: (lambda cell: bool(_WORD.fullmatch(cell)) and not clinical.DATE.search(cell), "is not a word or two")
            for name in ("site", "label_source", "modality")
        },
    }
    found = [f"line {line.number}: {name} is empty" for name in REQUIRED if not line.cells[name]]
    return found + [
        f"line {line.number}: {name} {why}"
        for name, (is_right, why) in checks.items()
        if line.cells.get(name) and not is_right(line.cells[name])
    ]


def _faults_among(group: Sequence[Line]) -> list[str]:
    """Lines of one scan must agree about it, and each must be a lesion of its own."""
    first, faults = group[0], []
    for line in group[1:]:
        lines = f"lines {first.number} and {line.number}"
        differing = [name for name in OF_A_SCAN if line.cells.get(name) != first.cells.get(name)]
        if differing:
            faults.append(f"{lines} describe one scan and differ in {', '.join(differing)}")
    if len(group) > 1:
        for line in group:
            lacking = [name for name in ("lesion", "mask_values") if not line.cells.get(name)]
            if lacking:
                faults.append(f"line {line.number}: one of several lesions of a scan, without {' and '.join(lacking)}")
        seen: dict[str, int] = {}
        for line in group:
            keys = [f"lesion {line.cells.get('lesion')}"] if line.cells.get("lesion") else []
            keys += [f"mask value {value}" for value in _values(line.cells.get("mask_values", ""), -1)]
            faults += [
                f"lines {seen[key]} and {line.number} name one {key.rsplit(' ', 1)[0]} of a scan"
                for key in keys
                if key in seen
            ]
            seen |= {key: line.number for key in keys if key not in seen}
    return faults


def _path(root: Path) -> Path | None:
    if root.is_file():
        return root if root.suffix.lower() == ".csv" else None
    return root / FILE if (root / FILE).is_file() else None


def _require(root: Path) -> Path:
    path = _path(root)
    if path is None:
        raise ConfigError("source", f"is no .csv file and holds no {FILE}", "Give the table itself")
    return path


def _resolve(table: Path, cell: str) -> Path:
    return table.parent / cell


def _values(cell: str, wrong: int | None = None) -> tuple[int, ...]:
    """'11;12', '11 12' or '11,12' as numbers; with `wrong` given, that number for a cell that is none of these."""
    words = re.split(r"[;,\s|]+", cell.strip()) if cell.strip() else []
    if all(word.isascii() and word.isdigit() for word in words):
        return tuple(int(word) for word in words)
    return (wrong,) if wrong is not None else ()


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _natural(text: str) -> list[tuple[int, Any]]:
    return [(0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", text) if part]


def _refusal(faults: Sequence[str]) -> DataError:
    faults = sorted(faults, key=lambda fault: int(re.findall(r"\d+", fault)[0]))
    more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
    count = f"{len(faults)} fault{'s' if len(faults) > 1 else ''}"
    return DataError("table", f"{count}: {'; '.join(faults[:SHOWN])}{more}", "Mend these lines of the table")
