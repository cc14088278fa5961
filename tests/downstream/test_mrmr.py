"""The greedy choice against a plain double loop written from the paper, and what it is for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from rnfm.downstream.mrmr import MinimumRedundancy, mrmr_order


def naive(x_NF: np.ndarray, y_N: np.ndarray, count: int) -> list[int]:
    taken: list[int] = []
    while len(taken) < count:
        best, best_score = -1, -np.inf
        for feature in range(x_NF.shape[1]):
            if feature in taken:
                continue
            score = stats.f_oneway(x_NF[y_N == 0, feature], x_NF[y_N == 1, feature]).statistic
            if taken:
                r = [abs(stats.pearsonr(x_NF[:, feature], x_NF[:, other]).statistic) for other in taken]
                score /= max(np.mean(r), 1e-3)
            if score > best_score:
                best, best_score = feature, score
        taken.append(best)
    return taken


@pytest.mark.parametrize("seed", range(4))
def test_it_agrees_with_the_double_loop(seed):
    random = np.random.default_rng(seed)
    y = np.arange(30) % 2
    x = random.normal(size=(30, 9)) @ random.normal(size=(9, 9)) + 0.5 * y[:, None]
    assert mrmr_order(x, y, 6) == naive(x, y, 6)


def test_a_copy_of_the_best_feature_is_passed_over_and_a_constant_comes_last():
    """`one` and `two` tell the classes apart equally well, and their noise is orthogonal: r = 0.25 / (0.25 + 1)."""
    y = np.arange(8) % 2
    one = y + np.array([1, 1, -1, -1, 1, 1, -1, -1])
    two = y + np.array([1, 1, 1, 1, -1, -1, -1, -1])
    x = np.stack([np.ones(8), one, one * (1 + 1e-6) + 1e-6 * two, two], axis=1)
    order = mrmr_order(x, y, 4)
    assert order[0] in (1, 2)
    assert order[1] == 3
    assert order[-1] == 0


def test_as_a_step_it_keeps_the_columns_chosen_on_training_rows():
    random = np.random.default_rng(0)
    y = np.arange(20) % 2
    x = random.normal(size=(20, 5))
    x[:, 3] += 5 * y
    step = MinimumRedundancy(2).fit(x, y)
    assert step.order_[0] == 3
    np.testing.assert_array_equal(step.transform(x[:1]), x[:1][:, step.order_])
    assert MinimumRedundancy(99).fit(x, y).transform(x).shape == (20, 5)
