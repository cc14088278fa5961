"""AUC, ROC and precision-recall against scikit-learn, and the properties an AUC has."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from rnfm import stats
from rnfm.core.errors import ConfigError, DataError


@st.composite
def cases(draw, grades=6):
    """Labels of both classes and scores with many ties."""
    y = [0, 1] + draw(st.lists(st.integers(0, 1), min_size=1, max_size=30))
    return np.array(y), np.array(draw(st.lists(st.integers(-grades, grades), min_size=len(y), max_size=len(y))), float)


@given(cases())
def test_equal_to_scikit_learn(case):
    y, score = case
    assert stats.auc(y, score) == pytest.approx(metrics.roc_auc_score(y, score), abs=1e-12)
    assert stats.pr_auc(y, score) == pytest.approx(metrics.average_precision_score(y, score), abs=1e-12)
    fpr, tpr, thresholds = metrics.roc_curve(y, score, drop_intermediate=False)
    curve = stats.roc_curve(y, score)
    np.testing.assert_allclose(curve.fpr, fpr, atol=1e-12)
    np.testing.assert_allclose(curve.tpr, tpr, atol=1e-12)
    np.testing.assert_array_equal(curve.thresholds, thresholds)
    assert np.trapezoid(curve.tpr, curve.fpr) == pytest.approx(stats.auc(y, score), abs=1e-12)


@given(cases())
def test_only_order_matters_and_turning_the_score_turns_the_area(case):
    y, score = case
    assert stats.auc(y, np.exp(score / 3) + 5) == pytest.approx(stats.auc(y, score), abs=1e-12)
    assert stats.auc(y, score) + stats.auc(y, -score) == pytest.approx(1, abs=1e-12)
    assert stats.auc(1 - y, -score) == pytest.approx(stats.auc(y, score), abs=1e-12)


@given(cases())
def test_auc_is_the_share_of_pairs_in_order(case):
    y, score = case
    pairs = [(p > n) + 0.5 * (p == n) for p in score[y == 1] for n in score[y == 0]]
    assert stats.auc(y, score) == pytest.approx(np.mean(pairs), abs=1e-12)


@settings(max_examples=30)
@given(cases(), st.floats(0.05, 0.95))
def test_sensitivity_at_is_the_best_threshold_that_keeps_the_specificity(case, specificity):
    y, score = case
    wanted = 0.0
    for cut in score:
        if np.mean(score[y == 0] < cut) >= specificity - 1e-12:
            wanted = max(wanted, np.mean(score[y == 1] >= cut))
    assert stats.sensitivity_at(y, score, specificity) == pytest.approx(wanted, abs=1e-12)


def test_a_million_scores_in_seconds():
    rng = np.random.default_rng(0)
    y = rng.random(1_000_000) < 0.3
    score = np.round(rng.normal(size=y.size) + y, 3)
    assert stats.auc(y, score) == pytest.approx(0.7602, abs=2e-3)  # the normal model: Phi(1 / sqrt 2)


@pytest.mark.parametrize(
    ("y", "score", "sentence"),
    [
        ([1, 1, 1], [1, 2, 3], "y: all 3 labels are 1. Both classes are needed."),
        ([0, 0], [1, 2], "y: all 2 labels are 0. Both classes are needed."),
        ([0, 1, 2], [1, 2, 3], "y: holds 2, only 0 and 1 are labels. Code the positive class as 1."),
        ([0, 1, np.nan], [1, 2, 3], "y: 1 of 3 labels are missing. Leave them out."),
        ([], [], "y: has shape (0,), a filled vector is needed. Give one label a case."),
        ([0, 1], [1, np.nan], "score: 1 of 2 values are NaN. Leave these cases out."),
        ([0, 1], [1, 2, 3], "score: has shape (3,) beside 2 labels. Give one value a case."),
    ],
)
def test_bad_input_is_one_sentence(y, score, sentence):
    for function in (stats.auc, stats.roc_curve, stats.pr_auc, stats.auc_ci):
        with pytest.raises(DataError) as caught:
            function(y, score)
        assert str(caught.value) == sentence


def test_a_share_outside_0_to_1_is_refused():
    with pytest.raises(ConfigError, match=r"^specificity: is 1, it must lie between 0 and 1\."):
        stats.sensitivity_at([0, 1], [0, 1], 1.0)
