"""Calibration against scikit-learn's logistic regression and against probabilities whose truth is known."""

import math

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

from rnfm import stats
from rnfm.core.errors import DataError

RNG = np.random.default_rng(7)
P = RNG.uniform(0.02, 0.98, 4000)
Y = (RNG.random(4000) < P).astype(int)


def test_true_probabilities_are_calibrated():
    found = stats.calibration(Y, P)
    assert found.slope == pytest.approx(1, abs=0.08)
    assert found.intercept == pytest.approx(0, abs=0.1)
    assert sum(part.n for part in found.bins) == 4000
    inside = [part.low <= part.predicted <= part.high for part in found.bins]
    assert sum(inside) >= 8


def test_slope_equals_a_logistic_regression_and_recovers_a_distortion():
    distorted = expit(2 * logit(P) - 1)
    found = stats.calibration(Y, distorted)
    fitted = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(logit(distorted)[:, None], Y)
    assert found.slope == pytest.approx(fitted.coef_[0, 0], abs=1e-5)
    assert found.slope == pytest.approx(0.5, abs=0.05)


def test_the_intercept_makes_the_counts_agree():
    p = expit(logit(P) + 1.5)
    shift = stats.calibration(Y, p).intercept
    assert shift == pytest.approx(-1.5, abs=0.1)
    assert expit(logit(p) + shift).sum() == pytest.approx(Y.sum(), abs=1e-6)


def test_separated_constant_and_certain_predictions_do_not_break_it():
    assert stats.calibration([1, 1, 0, 0], [0.9, 0.8, 0.2, 0.1]).slope == math.inf
    assert stats.calibration([1, 1, 0, 0], [0.1, 0.2, 0.8, 0.9]).slope == -math.inf
    constant = stats.calibration([1, 0, 0, 0], [0.5] * 4)
    assert math.isnan(constant.slope)
    assert constant.intercept == pytest.approx(logit(0.25))
    assert [(part.n, part.observed) for part in constant.bins] == [(4, 0.25)]
    assert math.isfinite(stats.calibration([1, 0, 1, 0], [1.0, 0.0, 0.0, 1.0]).slope)


def test_wilson_interval_of_a_published_example():
    # Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662.
    part = stats.calibration([1] * 81 + [0] * 182, [0.3] * 263).bins[0]
    assert (part.low, part.high) == (pytest.approx(0.2553, abs=5e-5), pytest.approx(0.3662, abs=5e-5))


def test_brier():
    assert stats.brier(Y, P) == pytest.approx(brier_score_loss(Y, P))
    assert stats.brier([1, 1], [0.5, 1.0]) == 0.125  # one class is enough here
    with pytest.raises(
        DataError, match=r"^p: holds 3, a probability lies in 0\.\.1\. Give probabilities, not logits\.$"
    ):
        stats.brier([1, 0], [3, 0.5])
