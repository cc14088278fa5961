"""Before and after: the rule undone on quantiles, densities with hand-made answers, panels that hold every site."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnfm.core.contract import IntensityRule
from rnfm.volume.intensities import POINTS, Intensities, density, intensities, panels
from rnfm.volume.intensity import apply_intensity, fit_intensity

LANDMARKS = tuple(float(x) for x in np.linspace(0, 1, 11) ** 1.3)
RULES = [
    IntensityRule(rule="zscore"),
    IntensityRule(rule="percentile"),
    IntensityRule(rule="nyul", landmarks=LANDMARKS),
    IntensityRule(rule="none"),
]


def head(gain: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A ball of values around 500 * gain in air of 0, and where the ball is."""
    x, y, z = np.indices((48, 48, 48)) - 24
    ball = x**2 + y**2 + z**2 < 20**2
    noise = np.random.default_rng(seed)
    return (gain * ball * noise.normal(500, 60, ball.shape)).astype(np.float32), ball


@pytest.mark.parametrize("rule", RULES, ids=[rule.rule for rule in RULES])
def test_before_is_what_the_scanner_said(rule: IntensityRule) -> None:
    """From the raw voxels, which the function never sees: every quantile that the rule did not clip, within 1%."""
    raw, ball = head()
    parameters = fit_intensity(raw[ball], rule)
    found = intensities(apply_intensity(raw, parameters, rule), parameters, rule)
    truth = np.quantile(raw[ball], np.linspace(0, 1, POINTS))
    assert found.before[2:-2] == pytest.approx(truth[2:-2], rel=0.01)
    assert found.after.shape == found.before.shape == (POINTS,)
    assert np.all(np.diff(found.after) >= 0)


def test_a_density_counts_shares() -> None:
    even = np.linspace(0, 8, POINTS)
    assert density(even, np.array([0.0, 2.0, 4.0, 8.0])) == pytest.approx([0.25, 0.25, 0.5])
    assert density(even, np.array([-4.0, 0.0, 16.0])) == pytest.approx([0.0, 1.0])
    assert density(even, np.array([2.0, 4.0])) == pytest.approx([0.25])  # what lies outside is in no bin
    clipped = np.minimum(even, 4.0)  # half of the voxels at one value
    assert density(clipped, np.array([0.0, 2.0, 3.9, 4.1])) == pytest.approx([0.25, 0.2375, 0.5125], abs=0.01)
    assert density(np.full(POINTS, 3.0), np.array([0.0, 2.9, 3.1, 6.0])) == pytest.approx([0, 1, 0])


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=50), st.floats(1, 1e5))
def test_a_density_loses_no_voxel(values: list[float], margin: float) -> None:
    quantiles = np.quantile(values, np.linspace(0, 1, POINTS))
    edges = np.linspace(quantiles[0] - margin, quantiles[-1] + margin, 40)
    shares = density(quantiles, edges)
    assert shares.min() >= -1e-12
    assert shares.sum() == pytest.approx(1)


def sites(gains: dict[str, list[float]]) -> dict[str, list[Intensities]]:
    rule, found = IntensityRule(), {}
    for site, each in gains.items():
        scans = []
        for seed, gain in enumerate(each):
            raw, ball = head(gain, seed)
            parameters = fit_intensity(raw[ball], rule)
            scans.append(intensities(apply_intensity(raw, parameters, rule), parameters, rule))
        found[site] = scans
    return found


def test_gains_part_the_sites_before_and_not_after() -> None:
    before, after = panels(sites({"A": [1, 1.1, 0.9], "B": [2.0, 2.2]}))
    middles = (before.edges[1:] + before.edges[:-1]) / 2
    peaks = [middles[row.middle.argmax()] for row in before.rows]
    assert peaks == pytest.approx([500, 1050], rel=0.1)
    assert not before.log
    middles = (after.edges[1:] + after.edges[:-1]) / 2
    assert [middles[row.middle.argmax()] for row in after.rows] == pytest.approx([0, 0], abs=0.3)
    for panel in (before, after):
        for row in panel.rows:
            assert np.all(row.low <= row.high)
            assert row.middle.sum() == pytest.approx(1, abs=0.02)  # the axis holds all but the outermost voxels


def test_far_apart_sites_get_a_logarithmic_axis_that_holds_both() -> None:
    before, after = panels(sites({"A": [1.0], "B": [40.0]}))
    assert (before.log, after.log) == (True, False)
    middles = np.sqrt(before.edges[1:] * before.edges[:-1])
    assert [middles[row.middle.argmax()] for row in before.rows] == pytest.approx([500, 20_000], rel=0.15)


def test_a_constant_image_is_no_error() -> None:
    found = intensities(np.full((16, 16, 16), 2, np.float32), {}, IntensityRule(rule="none"))
    assert set(found.before) == set(found.after) == {2.0}
    before, _ = panels({"A": [found]})
    assert before.rows[0].middle.sum() == pytest.approx(1)
