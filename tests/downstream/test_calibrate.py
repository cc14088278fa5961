"""Threshold and calibration from out-of-fold logits: exact cases, a brute-force search, and what may never happen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from rnfm.downstream.calibrate import LEAST_SLOPE, fit_calibration, sigmoid, youden


def test_sigmoid_agrees_with_scipy_and_does_not_overflow():
    x = np.array([-2000.0, -3, 0, 1.5, 2000])
    np.testing.assert_allclose(sigmoid(x), expit(x), rtol=1e-12, atol=1e-15)


def test_a_model_that_is_three_times_too_sure_is_calmed_down():
    random = np.random.default_rng(0)
    truth = random.normal(size=4000)
    label = (random.random(4000) < expit(truth)).astype(int)
    found = fit_calibration(3 * truth + 1, label)
    assert found.slope == pytest.approx(1 / 3, abs=0.03)
    assert found.intercept == pytest.approx(-1 / 3, abs=0.08)
    assert found.probability(3 * truth + 1).mean() == pytest.approx(label.mean(), abs=0.01)


def test_a_reversed_model_is_flattened_and_never_turned_round():
    logit = np.array([3.0, 2, 1, -1, -2, -3])
    found = fit_calibration(logit, np.array([0, 0, 0, 0, 1, 1]))
    assert found.slope == LEAST_SLOPE
    assert found.probability(logit).mean() == pytest.approx(2 / 6, abs=1e-9)
    assert (np.diff(found.probability(np.sort(logit))) > 0).all()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 1)), min_size=2, max_size=25))
def test_no_threshold_beats_the_one_chosen(cases):
    probability = np.array([value / 8 for value, _ in cases])
    label = np.array([value for _, value in cases])
    if label.min() == label.max():
        return

    def gain(cut: float) -> float:
        return (probability[label == 1] >= cut).mean() - (probability[label == 0] >= cut).mean()

    best = max(gain(cut) for cut in np.arange(-0.0625, 1.2, 0.0625))
    assert gain(youden(probability, label)) == pytest.approx(best)


def test_of_thresholds_that_are_as_good_the_middle_one_is_taken():
    assert youden(np.array([0.1, 0.3, 0.7, 0.9]), np.array([0, 0, 1, 1])) == 0.5
