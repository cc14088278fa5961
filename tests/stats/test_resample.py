"""Bootstrap and permutation: keyed, whole patients, exact where exact is possible."""

import itertools
import time

import numpy as np
import pytest
from scipy.stats import rankdata

from rnfm import stats
from rnfm.core.errors import DataError
from rnfm.stats.resample import bootstrap_auc

RNG = np.random.default_rng(5)
Y = np.repeat([1, 0], [32, 77])
SCORE = np.round(RNG.normal(size=109) + Y, 1)
PATIENT = np.array([f"P-{k:08X}" for k in np.concatenate((np.arange(60), RNG.integers(0, 60, 49)))])


@pytest.mark.parametrize("groups", [None, PATIENT], ids=["cases", "patients"])
def test_the_fast_bootstrap_of_the_auc_is_the_general_one(groups):
    general = stats.bootstrap(stats.auc, Y, SCORE, groups=groups, n=300, seed=4)
    np.testing.assert_allclose(bootstrap_auc(Y, SCORE, groups=groups, n=300, seed=4), general, atol=1e-12)


def test_tiny_samples_skip_the_draws_of_one_class_in_both():
    y, score = np.array([1, 0, 0, 0]), np.array([2.0, 1, 3, 2])
    general = stats.bootstrap(stats.auc, y, score, n=300)
    np.testing.assert_allclose(bootstrap_auc(y, score, n=300), general, atol=1e-12)
    assert set(np.round(general, 6)) >= {0.0, 0.5, 1.0}


def test_whole_patients_are_drawn():
    value = np.arange(6.0)
    patient = ["a", "b", "a", "c", "c", "c"]

    def statistic(values):
        present = set(values.astype(int))
        assert {0, 2} <= present or not {0, 2} & present
        assert {3, 4, 5} <= present or not {3, 4, 5} & present
        return len(values)

    sizes = stats.bootstrap(statistic, value, groups=patient, n=200)
    assert set(sizes) <= {3, 4, 5, 6, 7, 8, 9}
    assert len(set(sizes)) > 3


def test_the_bootstrap_of_a_mean_has_the_textbook_spread():
    x = RNG.normal(size=50)
    replicates = stats.bootstrap(np.mean, x, n=4000)
    assert replicates.std() == pytest.approx(x.std() / np.sqrt(50), rel=0.05)
    np.testing.assert_array_equal(replicates, stats.bootstrap(np.mean, x, n=4000))
    assert not np.array_equal(replicates, stats.bootstrap(np.mean, x, n=4000, seed=1))


def test_a_statistic_of_several_numbers_keeps_them_paired():
    both = stats.bootstrap(lambda y, a: (stats.auc(y, a), stats.auc(y, -a)), Y, SCORE, n=50)
    assert both.shape == (50, 2)
    np.testing.assert_allclose(both.sum(axis=1), 1)


def test_two_thousand_replicates_of_109_take_less_than_a_second():
    start = time.perf_counter()
    stats.auc_ci(Y, SCORE, method="bootstrap", groups=PATIENT)
    assert time.perf_counter() - start < 1


def test_a_statistic_that_is_never_defined_ends_with_a_sentence():
    def never(_):
        raise DataError("y", "one class", "no")

    with pytest.raises(DataError, match=r"^bootstrap: the statistic was defined in 0 of \d+ resamples\."):
        stats.bootstrap(never, np.arange(3), n=10)
    with pytest.raises(DataError, match=r"groups: has shape \(2,\) beside 4 labels\."):
        stats.bootstrap(np.mean, np.arange(4), groups=["a", "b"])


def test_permutation_is_exact_for_few_cases():
    y = np.array([1, 1, 1, 0, 0, 0])
    a, b = np.array([5.0, 4, 2, 3, 1, 0]), np.array([1.0, 5, 0, 3, 2, 4])
    ra, rb = rankdata(a), rankdata(b)
    observed = stats.auc(y, a) - stats.auc(y, b)
    count = 0
    for swap in itertools.product((False, True), repeat=6):
        s = np.array(swap)
        count += abs(stats.auc(y, np.where(s, rb, ra)) - stats.auc(y, np.where(s, ra, rb))) >= abs(observed) - 1e-12
    assert stats.permutation_test(y, a, b) == (pytest.approx(observed), count / 64)


def test_permutation_agrees_with_delong_in_large_samples_and_gives_one_for_equal_scores():
    noisy = SCORE + RNG.normal(size=109) * 1.5
    _, p = stats.permutation_test(Y, SCORE, noisy, n=2000)
    assert p == pytest.approx(stats.delong_test(Y, SCORE, noisy)[1], abs=0.06)
    assert stats.permutation_test(Y, SCORE, np.exp(SCORE)) == (0.0, 1.0)
    assert stats.permutation_test(Y, SCORE, noisy, n=500) == stats.permutation_test(Y, SCORE, noisy, n=500)
