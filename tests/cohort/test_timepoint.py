"""The rule that chooses one scan a lesion: its four branches by hand, and properties over many cases."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnfm.cohort.timepoint import AFTER_RN, AFTER_SRS, BEFORE_RN, LAST, last_post_srs


@pytest.mark.parametrize(
    ("months", "rn_months", "position", "branch"),
    [
        ([-1.0, 3.0, 6.0, 9.0], 7.0, 2, BEFORE_RN),
        ([-1.0, 3.0, 6.0, 9.0], 6.0, 2, BEFORE_RN),  # on the day itself: not later
        ([-1.0, 8.0, 9.0], 7.0, 1, AFTER_RN),
        ([-1.0, 0.0, 4.0], 2.0, 2, AFTER_RN),  # month 0 is the planning scan
        ([-3.0, -2.0, 5.0], -1.0, 2, AFTER_RN),  # necrosis before radiosurgery (two published lesions)
        ([-1.0, 3.0, 6.0], None, 2, AFTER_SRS),
        ([-2.0, -1.0], 7.0, 1, LAST),
        ([None, None], None, 1, LAST),
    ],
)
def test_each_branch(months: list[float | None], rn_months: float | None, position: int, branch: str) -> None:
    assert last_post_srs(months, rn_months) == (position, branch)


def test_no_scan_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="a lesion without scans"):
        last_post_srs([], None)


@given(
    st.lists(st.one_of(st.none(), st.floats(-24, 48)), min_size=1, max_size=9),
    st.one_of(st.none(), st.floats(-12, 48)),
)
def test_a_follow_up_is_chosen_whenever_there_is_one(months: list[float | None], rn_months: float | None) -> None:
    months = sorted(months, key=lambda month: (month is not None, month))
    position, _ = last_post_srs(months, rn_months)
    follow_ups = [month for month in months if month is not None and month > 0]
    chosen = months[position]
    if not follow_ups:
        assert position == len(months) - 1
    elif rn_months is None:
        assert chosen == follow_ups[-1]
    else:
        assert chosen in follow_ups
        earlier = [month for month in follow_ups if month <= rn_months]
        assert chosen == (max(earlier) if earlier else min(follow_ups))
