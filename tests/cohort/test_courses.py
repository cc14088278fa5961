"""Lesions over time: numbered time points, scans of one day, and courses of masked rows only."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnfm.cohort import courses


def _row(scan: str, day: int | None, lesion: str | None = "P-1-L1", **values: Any) -> dict[str, Any]:
    row = {
        "patient": "P-1",
        "scan": scan,
        "lesion": lesion,
        "day": day,
        "timepoint": None,
        "has_mask": True,
        "modality": "T1CE",
    }
    return row | {"label": 1, "months_since_srs": None, "volume_ml": None, "classified": False} | values


def test_time_points_are_counted_a_lesion() -> None:
    rows = [_row("S-3", 90), _row("S-1", 0), _row("S-2", 30), _row("S-3", 90, "P-1-L2"), _row("S-9", 5, None)]
    assert courses.link(rows, dict.fromkeys(["S-1", "S-2", "S-3", "S-9"], 0)) == {}
    assert [row["timepoint"] for row in rows] == [2, 0, 1, 0, 0]


def test_scans_of_one_day_share_a_time_point_and_are_told() -> None:
    rows = [_row("S-1", 0), _row("S-2", 0), _row("S-3", 7), _row("S-3", 7, "P-1-L2")]
    assert courses.link(rows, {"S-1": 0, "S-2": 1, "S-3": 2}) == {"P-1": [0]}
    assert [row["timepoint"] for row in rows] == [0, 0, 1, 0]


def test_another_modality_on_the_same_day_is_no_double() -> None:
    rows = [_row("S-1", 0), _row("S-2", 0, modality="FLAIR")]
    assert courses.link(rows, {"S-1": 0, "S-2": 1}) == {}


def test_without_days_the_order_of_the_source_counts() -> None:
    rows = [_row("S-1", None), _row("S-2", None)]
    assert courses.link(rows, {"S-1": 5, "S-2": 2}) == {}
    assert [row["timepoint"] for row in rows] == [1, 0]


def test_a_course_holds_masked_rows_in_order_of_time() -> None:
    rows = [
        _row("S-3", 90, months_since_srs=2.0, volume_ml=3.0),
        _row("S-2", 30, months_since_srs=0.5, has_mask=False),
        _row("S-1", 0, months_since_srs=-1.0, volume_ml=2.0),
        _row("S-1", 0, "P-1-L2", has_mask=False),
        _row("S-1", 0, None),
    ]
    (course,), maskless = courses.courses(rows, {"P-1-L1": 1.0, "P-1-L2": 1.0}, dict.fromkeys(["S-1", "S-2", "S-3"], 0))
    assert (course.lesion, course.label, maskless) == ("P-1-L1", 1, ["P-1-L2"])
    assert (course.series.months, course.series.volumes_ml, course.series.rn_months) == ((-1.0, 2.0), (2.0, 3.0), 1.0)
    courses.classify([course], "last_post_srs")
    assert [row["classified"] for row in rows] == [True, False, False, False, False]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=8), st.randoms())
def test_time_points_have_no_gaps_and_follow_time(days: list[int], random: Any) -> None:
    rows = [_row(f"S-{at}", day) for at, day in enumerate(days)]
    random.shuffle(rows)
    courses.link(rows, {row["scan"]: 0 for row in rows})
    assert {row["timepoint"] for row in rows} == set(range(len(set(days))))
    for one in rows:
        for two in rows:
            assert (one["day"] < two["day"]) == (one["timepoint"] < two["timepoint"])


@pytest.mark.parametrize("rule", ["rn_date_or_growth", "first_post_srs"])
def test_exactly_one_row_a_lesion_is_classified(rule: str) -> None:
    rows = [_row(f"S-{day}", day, lesion) for day in (0, 9) for lesion in ("P-1-L1", "P-1-L2")]
    found, _ = courses.courses(rows, {}, {"S-0": 0, "S-9": 1})
    courses.classify(found, rule)
    assert sorted(row["lesion"] for row in rows if row["classified"]) == ["P-1-L1", "P-1-L2"]
