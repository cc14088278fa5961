"""DeLong's covariance against a brute-force O(n^2) version, the paper's data, and patients with several lesions."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from rnfm import stats
from rnfm.core.errors import DataError

# Ovarian cancer with bowel obstruction (DeLong et al. 1988, the 43 complete records): albumin, total protein,
# Krebs-Goplerud score, 1 = no benefit from surgery. Printed in the manual of SAS/STAT, PROC LOGISTIC.
OVARIAN = """
3.0 5.8 10 0  3.2 6.3 5 1  3.9 6.8 3 1  2.8 4.8 6 0  3.2 5.8 3 1  0.9 4.0 5 0  2.5 5.7 8 0  1.6 5.6 5 1  3.8 5.7 5 1
3.7 6.7 6 1  3.2 5.4 4 1  3.8 6.6 6 1  4.1 6.6 5 1  3.6 5.7 5 1  4.3 7.0 4 1  3.6 6.7 4 0  2.3 4.4 6 1  4.2 7.6 4 0
4.0 6.6 6 0  3.5 5.8 6 1  3.8 6.8 7 1  3.0 4.7 8 0  4.5 7.4 5 1  3.7 7.4 5 1  3.1 6.6 6 1  4.1 8.2 6 1  4.3 7.0 5 1
4.3 6.5 4 1  3.2 5.1 5 1  2.6 4.7 6 1  3.3 6.8 6 0  1.7 4.0 7 0  3.7 6.1 5 1  3.3 6.3 7 1  4.2 7.7 6 1  3.5 6.2 5 1
2.9 5.7 9 0  2.1 4.8 7 1  2.8 6.2 8 0  4.0 7.0 7 1  3.3 5.7 6 1  3.7 6.9 5 1  3.6 6.6 5 1
"""
ALBUMIN, PROTEIN, KG, Y = np.array(OVARIAN.split(), dtype=float).reshape(-1, 4).T


def naive_test(y, a, b):
    """The paper's formulas (its equations 4-6) as double loops over pairs: no ranks, no clusters."""
    pos, neg = np.flatnonzero(y == 1), np.flatnonzero(y == 0)

    def kernel(s):
        return np.array([[1.0 if s[i] > s[j] else 0.5 if s[i] == s[j] else 0.0 for j in neg] for i in pos])

    matrices = kernel(a), kernel(b)
    s10 = np.cov([matrix.mean(axis=1) for matrix in matrices])
    s01 = np.cov([matrix.mean(axis=0) for matrix in matrices])
    covariance = s10 / len(pos) + s01 / len(neg)
    spread = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    return matrices[0].mean() - matrices[1].mean(), covariance, spread


@pytest.mark.parametrize(
    ("score", "area", "error"),
    [(-ALBUMIN, 0.7366, 0.0927), (KG, 0.7258, 0.1028), (-PROTEIN, 0.6478, 0.1000)],
    ids=["albumin", "K-G score", "total protein"],
)
def test_areas_and_errors_printed_in_the_manual_of_sas(score, area, error):
    found, _, high = stats.auc_ci(1 - Y, score, level=0.5)
    assert (round(found, 4), round((high - found) / norm.isf(0.25), 4)) == (area, error)


@pytest.mark.parametrize(("score", "p"), [(-ALBUMIN, 0.9102), (-PROTEIN, 0.4561)])
def test_paired_tests_printed_in_the_manual_of_sas(score, p):
    assert round(stats.delong_test(1 - Y, score, KG)[1], 4) == p


def test_the_papers_example_against_double_loops():
    difference, covariance, spread = naive_test(1 - Y, KG, -ALBUMIN)
    z, p = stats.delong_test(1 - Y, KG, -ALBUMIN)
    assert z == pytest.approx(difference / math.sqrt(spread), abs=1e-12)
    assert p == pytest.approx(2 * norm.sf(abs(z)), abs=1e-12)
    area, low, high = stats.auc_ci(1 - Y, KG)
    assert high - area == pytest.approx(norm.isf(0.025) * math.sqrt(covariance[0, 0]), abs=1e-12)
    assert area - low == pytest.approx(high - area, abs=1e-12)


@settings(max_examples=150)
@given(st.data())
def test_any_tied_scores_against_double_loops(data):
    y = np.array([0, 0, 1, 1, *data.draw(st.lists(st.integers(0, 1), max_size=16))])
    draw = st.lists(st.integers(0, 4), min_size=len(y), max_size=len(y))
    a, b = np.array(data.draw(draw), float), np.array(data.draw(draw), float)
    difference, _, spread = naive_test(y, a, b)
    z, p = stats.delong_test(y, a, b)
    if abs(difference) < 1e-12:
        assert (z, p) == (0.0, 1.0)
    elif spread < 1e-15:
        assert math.isinf(z)
        assert math.copysign(1, z) == math.copysign(1, difference)
    else:
        assert z == pytest.approx(difference / math.sqrt(spread), rel=1e-7)
    assert stats.delong_test(y, b, a) == (-z, p)
    assert stats.delong_test(y, a, b, groups=np.arange(len(y))) == (z, p)


def test_copying_every_lesion_of_a_patient_adds_no_information():
    rng = np.random.default_rng(1)
    y = np.repeat([1, 0], [12, 20])
    a, b = rng.normal(size=32) + y, rng.normal(size=32)
    twice, patients = np.repeat(np.arange(32), 2), np.repeat(np.arange(32), 2)
    once = stats.delong_test(y, a, b)
    assert stats.delong_test(y[twice], a[twice], b[twice], groups=patients) == pytest.approx(once, rel=1e-10)
    assert abs(stats.delong_test(y[twice], a[twice], b[twice])[0]) > 1.3 * abs(once[0])  # what ignoring it would claim
    assert stats.auc_ci(y[twice], a[twice], groups=patients) == pytest.approx(stats.auc_ci(y, a), rel=1e-10)


def test_a_patient_with_both_classes_against_obuchowskis_formula():
    y = np.array([1, 1, 0, 0, 1, 0, 1, 0])
    score = np.array([3.0, 1, 2, 0, 4, 1, 2, 5])
    patient = np.array([0, 1, 0, 1, 2, 2, 3, 4])
    pos, neg = np.flatnonzero(y == 1), np.flatnonzero(y == 0)
    kernel = (score[pos][:, None] > score[neg]) + 0.5 * (score[pos][:, None] == score[neg])
    d10, d01 = kernel.mean(axis=1) - kernel.mean(), kernel.mean(axis=0) - kernel.mean()
    x = np.array([d10[patient[pos] == k].sum() for k in range(5)])
    w = np.array([d01[patient[neg] == k].sum() for k in range(5)])
    # Obuchowski 1997: 4 patients carry a positive, 4 a negative, 5 in all; 4 lesions of each class.
    variance = (4 / 3 * (x @ x) + 4 / 3 * (w @ w) + 2 * 5 / 4 * (x @ w)) / 16
    area, low, _ = stats.auc_ci(y, score, groups=patient, level=0.5)
    assert area - low == pytest.approx(norm.isf(0.25) * math.sqrt(variance), abs=1e-12)


def test_a_class_of_one_has_no_variance():
    with pytest.raises(
        DataError, match=r"^positive class: has one case\. DeLong's variance needs two of each class\.$"
    ):
        stats.delong_test([1, 0, 0], [3, 1, 2], [1, 2, 3])
    with pytest.raises(DataError, match=r"^negative class: has one patient\."):
        stats.delong_test([1, 1, 0, 0], [3, 1, 2, 0], [1, 2, 3, 4], groups=["a", "b", "c", "c"])
