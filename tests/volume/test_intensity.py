"""Intensity rules against figures worked out by hand, and the properties that make them worth having."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from rnfm.core.contract import IntensityRule
from rnfm.volume.intensity import apply_intensity, box, fit_intensity, foreground, otsu, undo_intensity


def test_the_rules_by_hand() -> None:
    values = np.arange(101, dtype=np.float32)  # percentiles are the values themselves
    percentile = IntensityRule(rule="percentile", low=10, high=90)
    assert fit_intensity(values, percentile) == {"low": 10, "high": 90}
    raw = np.array([0, 10, 50, 90, 200], np.float32)
    np.testing.assert_allclose(apply_intensity(raw, {"low": 10, "high": 90}, percentile), [0, 0, 0.5, 1, 1])
    zscore = IntensityRule(rule="zscore", low=10, high=90, clip=2)
    found = fit_intensity(values, zscore)
    assert found["mean"] == 50
    assert found["sd"] == pytest.approx(np.sqrt((81**2 - 1) / 12))  # of the 81 whole numbers 10..90
    np.testing.assert_allclose(apply_intensity(raw, found, zscore)[[2, 4]], [0, 2])
    none = IntensityRule(rule="none")
    assert fit_intensity(values, none) == {}
    np.testing.assert_array_equal(apply_intensity(raw, {}, none), raw)


@settings(max_examples=30, deadline=None)
@given(
    arrays(np.float32, 60, elements=st.floats(0, 1000, width=32)).filter(lambda v: np.ptp(v) > 1),
    st.floats(0.01, 50),
    st.sampled_from(["zscore", "percentile"]),
)
def test_a_scanners_gain_does_not_matter(values: np.ndarray, gain: float, name: str) -> None:
    rule = IntensityRule(rule=name, low=0, high=100)
    once = apply_intensity(values, fit_intensity(values, rule), rule)
    louder = (values * np.float32(gain)).astype(np.float32)
    np.testing.assert_allclose(apply_intensity(louder, fit_intensity(louder, rule), rule), once, atol=2e-4)


@settings(max_examples=30, deadline=None)
@given(
    arrays(np.float32, (3, 4, 5), elements=st.floats(-500, 1000, width=32)).filter(lambda v: np.ptp(v) > 1),
    st.sampled_from(["zscore", "percentile", "nyul", "none"]),
)
def test_every_rule_can_be_undone(values: np.ndarray, name: str) -> None:
    """What lies within the scan's own percentiles (here all of it) comes back, up to float32."""
    more = {"landmarks": tuple(np.linspace(0, 1, 11) ** 0.5)} if name == "nyul" else {}
    rule = IntensityRule(rule=name, low=0, high=100, clip=1000, **more)
    found = fit_intensity(values, rule)
    again = undo_intensity(apply_intensity(values, found, rule), found, rule)
    assert again.dtype == np.float32
    # Between equal percentiles (60 values, 11 of them) a nyul map is flat only to 1e-9, so a percentile's step is the bound.
    step = 1e-5 if name != "nyul" else 2e-3
    np.testing.assert_allclose(again, values, atol=step * 1500)


def test_otsu_counts_what_lies_above_the_top_as_the_top() -> None:
    values = np.random.default_rng(0).gamma(2, 50, 5000).astype(np.float32)
    assert otsu(values, 180.0) == pytest.approx(otsu(np.minimum(values, np.float32(180))), rel=1e-6)


def test_a_spike_does_not_set_the_scale() -> None:
    values = np.random.default_rng(0).normal(100, 10, 10_000).astype(np.float32)
    spiked = np.append(values, np.full(20, 1e6, np.float32))
    rule = IntensityRule()
    for name in ("mean", "sd"):
        assert fit_intensity(spiked, rule)[name] == pytest.approx(fit_intensity(values, rule)[name], rel=0.05)


def test_a_flat_foreground_gives_finite_numbers() -> None:
    flat = np.full(50, 3, np.float32)
    for name in ("zscore", "percentile"):
        rule = IntensityRule(rule=name)
        assert np.isfinite(apply_intensity(flat, fit_intensity(flat, rule), rule)).all()


def test_the_foreground_is_the_head_with_its_holes(head_arrays) -> None:
    raw, _ = head_arrays()
    x, y, z = np.indices(raw.shape) - np.array([20, 22, 20]).reshape(3, 1, 1, 1)
    distance = np.sqrt(x**2 + y**2 + z**2)
    raw = raw.copy()
    raw[distance < 5] = 0  # a ventricle
    raw[:3, :3, :3] = 500  # something else in the field of view
    found = foreground(raw.astype(np.float32))
    assert found[distance < 14].all()
    assert not found[distance > 16].any()


@pytest.mark.parametrize("shift", [0, -700, 300])
def test_the_foreground_does_not_need_air_at_zero(head_arrays, shift: float) -> None:
    raw, _ = head_arrays()
    plain, shifted = foreground(raw.astype(np.float32)), foreground(raw.astype(np.float32) + shift)
    assert (plain != shifted).mean() < 1e-3


@settings(max_examples=30, deadline=None)
@given(arrays(np.float32, (4, 5, 6), elements=st.floats(-100, 100, width=32)).filter(lambda v: np.ptp(v) > 0.1))
def test_the_foreground_is_never_empty_and_has_no_closed_hole(raw: np.ndarray) -> None:
    found = foreground(raw)
    assert found.any()
    np.testing.assert_array_equal(found, ndimage.binary_fill_holes(found))


def test_otsu_parts_two_peaks() -> None:
    noise = np.random.default_rng(1)
    dark, bright = noise.normal(0, 4, 5000), noise.normal(50, 4, 500)
    assert dark.max() < otsu(np.concatenate([dark, bright])) < bright.min()


def test_the_box_of_voxels() -> None:
    where = np.zeros((5, 6, 7), bool)
    where[1, 2:4, 6] = True
    start, stop = box(where)
    assert (start.tolist(), stop.tolist()) == ([1, 2, 6], [2, 4, 7])
    assert [side.tolist() for side in box(where & False)] == [[0, 0, 0], [5, 6, 7]]
