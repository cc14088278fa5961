"""Ledgers of what was refused (quarantine) and of what looks wrong but is used (findings): JSON lines, codes only.

A reason is a word of `Reason`, so that ledgers can be counted and tested; the detail is for people and never names a
patient, a path or a date.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from rnfm.core import files
from rnfm.core.errors import DataError


class Reason(StrEnum):
    """Why a scan is refused, or what looks wrong about it."""

    # Refused: cannot be used.
    UNREADABLE = "unreadable"
    CORRUPT = "corrupt"
    TOO_LARGE = "too_large"
    NOT_3D = "not_3d"
    BAD_DTYPE = "bad_dtype"
    NO_ORIENTATION = "no_orientation"
    BAD_AFFINE = "bad_affine"
    NOT_FINITE = "not_finite"
    CONSTANT = "constant"
    MASK_UNREADABLE = "mask_unreadable"
    MASK_GEOMETRY = "mask_geometry"
    MASK_EMPTY = "mask_empty"
    DUPLICATE = "duplicate"
    BRAIN_FAILED = "brain_failed"
    BIAS_FAILED = "bias_failed"
    MISSING_FILE = "missing_file"
    CONVERSION_FAILED = "conversion_failed"
    SERIES_AMBIGUOUS = "series_ambiguous"
    CRASHED = "crashed"
    TIMED_OUT = "timed_out"
    # Findings: used, but somebody should look.
    SPACING_IMPLAUSIBLE = "spacing_implausible"
    BLANK_SLICES = "blank_slices"
    NO_CONTRAST = "no_contrast"
    ANISOTROPIC = "anisotropic"
    FORMS_DISAGREE = "forms_disagree"
    LESION_MISSING = "lesion_missing"
    LESION_OUTSIDE_BRAIN = "lesion_outside_brain"
    BRAIN_IMPLAUSIBLE = "brain_implausible"
    LABEL_ORDER = "label_order"
    VALUE_IMPLAUSIBLE = "value_implausible"
    STRAY_LABEL = "stray_label"
    SAME_PATIENT = "same_patient"
    MASK_OVERLAP = "mask_overlap"
    MASK_AMBIGUOUS = "mask_ambiguous"
    CONTOUR_GAPS = "contour_gaps"
    STRUCTURE_UNMATCHED = "structure_unmatched"
    SAME_DAY = "same_day"


@dataclass(frozen=True)
class Entry:
    """One line of a ledger. `code` is a pseudonymous scan or patient code."""

    code: str
    stage: str
    reason: Reason
    detail: str


class Ledger:
    """An ordered collection of entries, written as JSON lines."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def add(self, code: str, stage: str, reason: Reason, detail: str) -> None:
        self.entries.append(Entry(code, stage, reason, detail))

    def counts(self) -> dict[str, int]:
        return dict(Counter(str(entry.reason) for entry in self.entries))

    def write(self, path: Path) -> None:
        files.write_text(path, "".join(json.dumps(asdict(entry), sort_keys=True) + "\n" for entry in self.entries))

    @staticmethod
    def read(path: Path) -> list[Entry]:
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        return [Entry(row["code"], row["stage"], Reason(row["reason"]), row["detail"]) for row in rows]


def require_budget(bad: int, total: int, max_bad: float, thing: object) -> None:
    """Raise DataError if more than max(1, max_bad * total) scans were refused, or if none is left."""
    if total and bad >= total:
        raise DataError(
            thing, f"none of {total} scans can be used", "Read quarantine.jsonl for the reasons, or give another folder"
        )
    if bad > max(1, int(max_bad * total + 1e-9)):  # 0.29 * 100 is 28.999...
        raise DataError(
            thing,
            f"{bad} of {total} scans were refused, the budget is {100 * max_bad:g}% or 1 scan",
            "Mend them (reasons in quarantine.jsonl) or raise --max-bad",
        )
