"""What other rules would have chosen: hand-made courses, counted by hand."""

from __future__ import annotations

import pytest

from rnfm.cohort import sensitivity
from rnfm.cohort.courses import Course
from rnfm.cohort.timepoint import AFTER_SRS, BEFORE_RN, GREW, LAST, RULES, Series


def _course(
    patient: int, label: int | None, months: tuple, volumes_ml: tuple, rn_months: float | None = None
) -> Course:
    return Course(f"P-{patient}-L1", label, (), Series(months=months, volumes_ml=volumes_ml, rn_months=rn_months))


COURSES = [
    _course(1, 1, (-1, 3, 6, 9), (2, 2, 2, 2), 7),  # default 6, last 9
    _course(2, 1, (-1, 2, 5), (2, 2, 2), 5),  # default 5, last 5
    _course(3, 0, (-1, 3, 6, 9), (2, 2, 3, 4)),  # default 6, last 9
    _course(4, 0, (-1, 4, 8), (2, 2, 2)),  # default 8, last 8
    _course(5, 0, (-5, -1), (2, 2)),  # never followed
    _course(6, 0, (None,), (2,)),  # at an unknown time
    _course(7, None, (-1, 3), (2, None)),
]


def test_branches_by_class() -> None:
    assert sensitivity.branches(COURSES, "rn_date_or_growth") == [
        (GREW, 0, 1, 0),
        (AFTER_SRS, 0, 1, 1),
        (BEFORE_RN, 2, 0, 0),
        (LAST, 0, 2, 0),
    ]


def test_every_rule_is_compared_with_the_one_in_force() -> None:
    found = {other.rule: other for other in sensitivity.compare(COURSES, "rn_date_or_growth")}
    assert next(iter(found)) == "rn_date_or_growth"
    assert set(found) == set(RULES)
    assert found["rn_date_or_growth"].moved == {1: 0, 0: 0}
    last = found["last_post_srs"]
    assert (last.moved, last.shift_months, last.label_free) == ({1: 1, 0: 1}, {1: 3, 0: 3}, True)
    first = found["first_post_srs"]
    assert (first.moved, first.shift_months) == ({1: 2, 0: 2}, {1: -3, 0: -3.5})


def test_the_auc_of_time_counts_pairs() -> None:
    """RN at months 6 and 5; without at 6, 8 and -1: pairs won 1/2 + 0 + 1 + 0 + 0 + 1 of 6."""
    found = sensitivity.auc_of_time(COURSES, "rn_date_or_growth")
    assert found is not None
    assert found[0] == pytest.approx(2.5 / 6)
    assert found[1] < found[0] < found[2]
    assert sensitivity.auc_of_time(COURSES[1:4], "rn_date_or_growth") is None  # one patient with RN gives no interval


def test_lesions_never_followed() -> None:
    assert sensitivity.not_followed(COURSES) == ({1: 0, 0: 1}, {1: 0, 0: 1})
    assert sensitivity.growth_known(COURSES) == (4, 5)
