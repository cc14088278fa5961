"""Intervals: inside 0..1, honest at the edges, and covering the truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import norm

from rnfm import stats
from rnfm.core.errors import ConfigError, DataError
from rnfm.stats.interval import newcombe


def test_logit_is_delongs_error_on_the_logit_scale():
    y, score = np.repeat([1, 0], [10, 15]), np.random.default_rng(2).normal(size=25)
    area, _, high = stats.auc_ci(y, score, method="delong")
    error = (high - area) / norm.isf(0.025)
    half = norm.isf(0.025) * error / (area * (1 - area))
    wanted = expit(logit(area) - half), expit(logit(area) + half)
    assert stats.auc_ci(y, score, method="logit")[1:] == pytest.approx(wanted, abs=1e-12)


def test_a_perfect_result_on_five_lesions_has_an_interval_with_a_width():
    y, score = [1, 1, 0, 0, 0], [5, 4, 3, 2, 1]
    assert stats.auc_ci(y, score, method="delong") == (1, 1, 1)  # the formula's answer, and pROC's
    area, low, high = stats.auc_ci(y, score, method="logit")
    assert (area, high) == (1, 1)
    # At an AUC of 1 the score equation is 1 - t = z^2 t (1 + more (1 - t) / (2 - t) + more t / (1 + t)) / (n_pos n_neg).
    z, more = norm.isf(0.025), 5 / 2 - 1
    assert 1 - low == pytest.approx(
        z**2 * low * (1 + more * (1 - low) / (2 - low) + more * low / (1 + low)) / 6, abs=1e-9
    )
    assert low < 0.6
    assert stats.auc_ci(y, [-s for s in score], method="logit") == pytest.approx((0, 0, 1 - low), abs=1e-9)


def test_a_class_of_one_falls_back_to_counts_or_says_why_not():
    y, score = [1, 0, 0, 0], [2, 1, 3, 0]
    area, low, high = stats.auc_ci(y, score, method="logit")
    assert low < area < high
    assert (low, high) == pytest.approx(newcombe(area, 1, 3, norm.isf(0.025)), abs=1e-12)
    with pytest.raises(DataError, match=r"positive class: has one case"):
        stats.auc_ci(y, score, method="delong")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_interval_holds_its_area_and_stays_inside(data):
    y = np.array([0, 0, 1, 1, *data.draw(st.lists(st.integers(0, 1), max_size=12))])
    score = np.array(data.draw(st.lists(st.integers(0, 5), min_size=len(y), max_size=len(y))), float)
    for method in ("delong", "logit"):
        area, low, high = stats.auc_ci(y, score, method=method)
        assert 0 <= low <= area <= high <= 1
    _, low, high = stats.auc_ci(y, score, method="bootstrap", n=50)
    assert 0 <= low <= high <= 1


def coverage(method, n_pos, n_neg, truth, repeats):
    rng = np.random.default_rng(3)
    y = np.repeat([1, 0], [n_pos, n_neg])
    hits = 0
    for _ in range(repeats):
        _, low, high = stats.auc_ci(y, rng.normal(size=y.size) + np.sqrt(2) * norm.ppf(truth) * y, method=method)
        hits += low <= truth <= high
    return hits / repeats


def test_the_logit_interval_covers_where_the_plain_one_does_not():
    # 28 lesions and an AUC of 0.9 are what the second centre of such a study looks like; +-0.012 is two sd of 1,000 runs.
    assert coverage("logit", 9, 19, 0.9, 1000) > 0.935
    assert coverage("delong", 9, 19, 0.9, 1000) < 0.90
    assert coverage("logit", 32, 77, 0.75, 500) > 0.92


def test_unknown_methods_and_levels_are_refused():
    with pytest.raises(ConfigError, match=r"method: 'delonq' is not an interval \(did you mean 'delong'\?\)\."):
        stats.auc_ci([0, 1], [0, 1], method="delonq")
    with pytest.raises(ConfigError, match=r"level: is 95, it must lie between 0 and 1\."):
        stats.auc_ci([0, 1], [0, 1], level=95)
