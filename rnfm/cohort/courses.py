"""Lesions over time: the rows of one lesion linked by `timepoint`, and the one row of each that is classified.

    rows --link--> timepoint 0, 1, 2 ... a lesion     rows --courses--> Course(rows with a mask, Series) --classify--> one row

`timepoint` is the place of a row in time among the rows of its lesion (of its patient's rows, where no lesion is named).
Scans of one day share a number: two rows of one lesion with different numbers are two looks at it at different times.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rnfm.cohort import timepoint
from rnfm.cohort.timepoint import Choice, Series

Row = dict[str, Any]
Time = tuple[int, int]


@dataclass(frozen=True)
class Course:
    """One lesion: its rows with a mask in order of time, and what the rules may look at."""

    lesion: str
    label: int | None
    rows: tuple[Row, ...]
    series: Series

    def choice(self, rule: str) -> Choice:
        return timepoint.choose(rule, self.series)


def time_of(row: Mapping[str, Any], orders: Mapping[str, int]) -> Time:
    """Sorts rows of one patient: by day, and where no day is known by the order of the source."""
    return row["day"] if row["day"] is not None else 0, orders[row["scan"]]


def link(rows: Sequence[Row], orders: Mapping[str, int]) -> dict[str, list[int]]:
    """Number the time points in place. Returns patient -> days with more than one scan of one modality."""
    groups: dict[tuple[str, str | None], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["patient"], row["lesion"]].append(row)
    for members in groups.values():
        numbers = {moment: number for number, moment in enumerate(sorted({_moment(row, orders) for row in members}))}
        for row in members:
            row["timepoint"] = numbers[_moment(row, orders)]
    scans = {(row["patient"], row["day"], row["modality"], row["scan"]) for row in rows if row["day"] is not None}
    counts = Counter((patient, day, modality) for patient, day, modality, _ in scans)
    crowded: dict[str, list[int]] = defaultdict(list)
    for patient, day in sorted({(patient, day) for (patient, day, _), count in counts.items() if count > 1}):
        crowded[patient].append(day)
    return dict(crowded)


def courses(
    rows: Sequence[Row], rn_months: Mapping[str, float], orders: Mapping[str, int]
) -> tuple[list[Course], list[str]]:
    """The course of every lesion with a mask, and the codes of lesions without any. rn_months: of lesions with necrosis."""
    lesions: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row["lesion"] is not None:
            lesions[row["lesion"]].append(row)
    found, maskless = [], []
    for code, members in sorted(lesions.items()):
        masked = sorted((row for row in members if row["has_mask"]), key=lambda row: time_of(row, orders))
        if not masked:
            maskless.append(code)
            continue
        series = Series(
            months=tuple(row["months_since_srs"] for row in masked),
            volumes_ml=tuple(row["volume_ml"] for row in masked),
            rn_months=rn_months.get(code),
        )
        found.append(Course(code, masked[0]["label"], tuple(masked), series))
    return found, maskless


def classify(found: Sequence[Course], rule: str) -> None:
    """Mark the one row of each lesion that the rule chooses."""
    for course in found:
        course.rows[course.choice(rule).position]["classified"] = True


def _moment(row: Mapping[str, Any], orders: Mapping[str, int]) -> Time:
    return (row["day"], 0) if row["day"] is not None else (0, orders[row["scan"]])
