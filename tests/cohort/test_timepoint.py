"""The rules that choose one scan a lesion: branches and growth by hand, then properties over many courses."""

from __future__ import annotations

import typing
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnfm.cohort.indexing import IndexConfig
from rnfm.cohort.timepoint import (
    AFTER_RN,
    AFTER_SRS,
    BEFORE_RN,
    FIRST_AFTER_SRS,
    GREW,
    LAST,
    RULES,
    Choice,
    Rule,
    Series,
    choose,
)

FLAT = (2.0, 2.0, 2.0, 2.0)


def _series(months: tuple, volumes_ml: tuple | None = None, rn_months: float | None = None) -> Series:
    return Series(months=months, volumes_ml=volumes_ml or (2.0,) * len(months), rn_months=rn_months)


@pytest.mark.parametrize(
    ("rule", "series", "position", "branch"),
    [
        ("rn_date_or_growth", _series((-1, 3, 6, 9), FLAT, 7), 2, BEFORE_RN),
        ("rn_date_or_growth", _series((-1, 3, 6, 9), FLAT, 6), 2, BEFORE_RN),  # on the day itself: not later
        ("rn_date_or_growth", _series((-1, 3, 6, 9), (2, 3, 4, 5), 7), 2, BEFORE_RN),  # the date comes before growth
        ("rn_date_or_growth", _series((-1, 8, 9, 12), (2, 2, 3, 4), 7), 2, GREW),  # no scan up to the date
        ("rn_date_or_growth", _series((-3, -2, 5, 8), FLAT, -1), 3, AFTER_SRS),  # necrosis before radiosurgery
        ("rn_date_or_growth", _series((-1, 3, 6, 9), (2, 1, 1.3, 3)), 2, GREW),
        ("rn_date_or_growth", _series((-1, 3, 6)), 2, AFTER_SRS),
        ("rn_date_or_growth", _series((-2, -1), (2, 9), 7), 1, LAST),
        ("rn_date_or_growth", _series((None, None)), 1, LAST),
        ("rn_date", _series((-1, 3, 6, 9), FLAT, 7), 2, BEFORE_RN),
        ("rn_date", _series((-1, 8, 9), None, 7), 1, AFTER_RN),
        ("rn_date", _series((-1, 0, 4), None, 2), 2, AFTER_RN),  # month 0 is the planning scan
        ("rn_date", _series((-3, -2, 5), None, -1), 2, AFTER_RN),
        ("rn_date", _series((-1, 3, 6), (2, 4, 5)), 2, AFTER_SRS),
        ("rn_date", _series((-2, -1), None, 7), 1, LAST),
        ("first_growth", _series((-1, 3, 6, 9), (2, 2.4, 3, 9), 20), 1, GREW),
        ("first_growth", _series((-1, 3, 6, 9), FLAT, 4), 3, AFTER_SRS),
        ("first_post_srs", _series((-1, 0, 6, 9), FLAT, 20), 2, FIRST_AFTER_SRS),
        ("first_post_srs", _series((-2, -1)), 1, LAST),
        ("last_post_srs", _series((-1, 3, 6, 9), FLAT, 4), 3, AFTER_SRS),
    ],
)
def test_each_branch(rule: str, series: Series, position: int, branch: str) -> None:
    assert choose(rule, series) == (position, branch)


@pytest.mark.parametrize(
    ("months", "volumes_ml", "grown"),
    [
        ((-1, 3, 6), (10.0, 12.0, 11.9), (1,)),  # 20% is growth, 19% is not
        ((-1, 3, 6, 9), (10.0, 5.0, 6.0, 5.5), (2,)),  # over the nadir, not over the first volume
        ((-4, -1, 3), (1.0, 10.0, 11.0), ()),  # what came before the last scan before radiosurgery does not count
        ((3, 6), (1.0, 2.0), (1,)),  # without a scan before it, the first follow-up is the base
        ((0, 3), (1.0, 2.0), (1,)),  # the planning scan is the base
        ((-1, 3, 6), (None, 1.0, 2.0), (2,)),
        ((-1, 3, 6), (1.0, None, 2.0), (2,)),
        ((None, 3, None), (1.0, 2.0, 9.0), ()),  # scans at an unknown time are no follow-up
        ((-1, 3), (0.0, 0.0), ()),
    ],
)
def test_growth(months: tuple, volumes_ml: tuple, grown: tuple[int, ...]) -> None:
    assert _series(months, volumes_ml).grown == grown


def test_no_scan_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="a lesion without scans"):
        Series(months=(), volumes_ml=())
    with pytest.raises(ValueError, match="each scan has one volume"):
        Series(months=(1.0,), volumes_ml=())


def test_the_command_line_knows_every_rule() -> None:
    field = IndexConfig.model_fields["timepoint_rule"]
    assert set(typing.get_args(field.annotation)) == set(RULES)
    assert field.default == next(iter(RULES))
    assert all(name in (field.description or "") for name in RULES)


MONTH = st.one_of(st.none(), st.integers(-24, 48).map(float))
VOLUME = st.one_of(st.none(), st.floats(0.01, 50))
COURSES = st.lists(st.tuples(MONTH, VOLUME), min_size=1, max_size=9).flatmap(
    lambda looks: st.builds(
        Series,
        months=st.just(
            tuple(month for month, _ in sorted(looks, key=lambda look: (look[0] is not None, look[0] or 0)))
        ),
        volumes_ml=st.just(tuple(volume for _, volume in looks)),
        rn_months=st.one_of(st.none(), st.integers(-12, 48).map(float)),
    )
)
RULE = st.sampled_from(sorted(RULES))


@given(COURSES, RULE)
def test_a_follow_up_is_chosen_whenever_there_is_one(series: Series, rule: str) -> None:
    choice = choose(rule, series)
    assert choice.position in (series.post_srs or (len(series.months) - 1,))
    assert (choice.branch == LAST) == (not series.post_srs)


@given(COURSES, RULE, st.one_of(st.none(), st.integers(-12, 48).map(float)))
def test_a_label_free_rule_never_depends_on_the_label(series: Series, rule: str, other: float | None) -> None:
    if RULES[rule].label_free:
        assert choose(rule, series) == choose(rule, replace(series, rn_months=other))


def test_a_label_free_rule_is_not_shown_the_date(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that would look: the date is taken away before it is asked."""
    for label_free, seen in ((True, "None"), (False, "7.0")):
        peeking = Rule(lambda series: Choice(0, str(series.rn_months)), label_free, "peeks")
        monkeypatch.setitem(RULES, "peeking", peeking)
        assert choose("peeking", _series((-1, 3), None, 7.0)).branch == seen


@given(COURSES)
def test_the_default_is_its_three_parts_in_turn(series: Series) -> None:
    choice, months = choose("rn_date_or_growth", series), series.months
    rn = series.rn_months
    up_to = [at for at in series.post_srs if rn is not None and (months[at] or 0) <= rn]
    if up_to:
        assert choice == (max(up_to), BEFORE_RN)
    else:
        assert choice == choose("first_growth", series)


@given(COURSES, st.integers(-10, 10))
def test_growth_knows_no_unit(series: Series, power: int) -> None:
    """Powers of two, so that no ratio is rounded across the limit."""
    scaled = replace(series, volumes_ml=tuple(None if v is None else v * 2.0**power for v in series.volumes_ml))
    assert scaled.grown == series.grown
    assert set(series.grown) <= set(series.post_srs)


@given(COURSES)
def test_looks_after_the_chosen_growth_change_nothing(series: Series) -> None:
    """First growth is known on the day it is seen: later scans cannot move it."""
    choice = choose("first_growth", series)
    if choice.branch == GREW:
        at = choice.position + 1
        cut = Series(months=series.months[:at], volumes_ml=series.volumes_ml[:at])
        assert choose("first_growth", cut) == choice
