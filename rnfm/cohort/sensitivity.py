"""What the time-point rule decides: its branches by class, and what every other rule would have chosen instead.

The last column of the comparison, the AUC of the time since radiosurgery alone, shows how much of the label a rule has
put into the choice of the scan: 0.5 is none, and below 0.5 tells as much as above. It holds real differences in follow-up
between the classes too, so read it beside the label-free rules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from rnfm.cohort.courses import Course
from rnfm.cohort.timepoint import RULES
from rnfm.core.errors import DataError


class Comparison(NamedTuple):
    """One rule beside the one in force, over labelled lesions. Shifts are months, of the lesions that move."""

    rule: str
    label_free: bool
    moved: dict[int, int]
    shift_months: dict[int, float | None]
    auc_of_time: tuple[float, float, float] | None


class NotFollowed(NamedTuple):
    """Labelled lesions by class without a masked scan after radiosurgery: all before it, or at an unknown time."""

    before: dict[int, int]
    unknown: dict[int, int]


def branches(courses: Sequence[Course], rule: str) -> list[tuple[str, int, int, int]]:
    """Branch of the rule -> lesions with RN, without, and without a label."""
    counts = Counter((course.choice(rule).branch, course.label) for course in courses)
    names = sorted({branch for branch, _ in counts})
    return [(name, counts[name, 1], counts[name, 0], counts[name, None]) for name in names]


def not_followed(courses: Sequence[Course]) -> NotFollowed:
    found: dict[bool, Counter[int]] = {True: Counter(), False: Counter()}
    for course in courses:
        if course.label is not None and not course.series.post_srs:
            found[any(month is not None for month in course.series.months)][course.label] += 1
    return NotFollowed(*({label: found[known][label] for label in (1, 0)} for known in (True, False)))


def growth_known(courses: Sequence[Course]) -> tuple[int, int]:
    """Lesions with at least two volumes, one after radiosurgery, so that growth can be told; and lesions followed at all."""
    followed = [course.series for course in courses if course.series.post_srs]
    known = [series for series in followed if sum(volume is not None for volume in series.volumes_ml) > 1]
    return len(known), len(followed)


def compare(courses: Sequence[Course], rule: str) -> list[Comparison]:
    """Every rule beside `rule`, which comes first."""
    labelled = [course for course in courses if course.label is not None]
    return [_comparison(labelled, rule, other) for other in (rule, *(name for name in RULES if name != rule))]


def _comparison(labelled: Sequence[Course], rule: str, other: str) -> Comparison:
    moved, shifts = Counter[int](), dict[int, list[float]]()
    for course in labelled:
        ours, theirs = course.choice(rule).position, course.choice(other).position
        if ours == theirs or course.label is None:
            continue
        moved[course.label] += 1
        before, after = course.series.months[ours], course.series.months[theirs]
        if before is not None and after is not None:
            shifts.setdefault(course.label, []).append(after - before)
    return Comparison(
        other,
        RULES[other].label_free,
        {label: moved[label] for label in (1, 0)},
        {label: median(shifts[label]) if label in shifts else None for label in (1, 0)},
        auc_of_time(labelled, other),
    )


def auc_of_time(courses: Sequence[Course], rule: str) -> tuple[float, float, float] | None:
    """AUC (with its 95% interval, patients as clusters) of the months since radiosurgery of the chosen scans, RN against
    not. None if a class has fewer than two patients with a known time.
    """
    chosen = [
        (course.label, course.series.months[course.choice(rule).position], course.lesion.rsplit("-L", 1)[0])
        for course in courses
    ]
    known = [(label, month, patient) for label, month, patient in chosen if label is not None and month is not None]
    if min(len({patient for kind, _, patient in known if kind == label}) for label in (1, 0)) < 2:
        return None
    from rnfm.stats import auc_ci  # SciPy takes a second to import; cohorts without labels need none of it

    labels, months, patients = zip(*known, strict=True)
    try:
        return auc_ci(labels, months, groups=patients)
    except DataError:  # too few patients for an interval
        return None
