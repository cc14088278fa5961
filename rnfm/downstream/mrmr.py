"""Minimum redundancy, maximum relevance: a greedy choice of features that tell the classes apart and do not repeat each other.

At each step the feature with the greatest F / mean |r| is taken: F is its one-way ANOVA statistic against the label, r its
correlation with the features taken before (the quotient "FCQ" of Ding & Peng, J Bioinform Comput Biol 2005;3:185).
"""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin


class MinimumRedundancy(TransformerMixin, BaseEstimator):
    """Keep `count` columns of x (N, F), or all if there are fewer. Fitted on training rows as a step of a pipeline."""

    def __init__(self, count: int = 10) -> None:
        self.count = count

    def fit(self, x_NF: np.ndarray, y_N: np.ndarray) -> MinimumRedundancy:
        self.order_ = mrmr_order(np.asarray(x_NF, dtype=np.float64), np.asarray(y_N), self.count)
        return self

    def transform(self, x_NF: np.ndarray) -> np.ndarray:
        return np.asarray(x_NF)[:, self.order_]


def mrmr_order(x_NF: np.ndarray, y_N: np.ndarray, count: int) -> list[int]:
    """Columns in the order they are taken; constant columns come last. Ties go to the lower index."""
    from sklearn.feature_selection import f_classif

    spread = x_NF.std(axis=0)
    unit_NF = (x_NF - x_NF.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    moving = np.flatnonzero(spread > 0)
    relevance_F = np.zeros(x_NF.shape[1])
    relevance_F[moving] = np.nan_to_num(f_classif(x_NF[:, moving], y_N)[0], posinf=1e12) if len(moving) else 0.0
    redundancy_F = np.zeros(x_NF.shape[1])
    taken: list[int] = []
    while len(taken) < min(count, x_NF.shape[1]):
        score_F = relevance_F / np.maximum(redundancy_F / max(len(taken), 1), 1e-3) if taken else relevance_F.copy()
        score_F[spread == 0] = -1.0
        score_F[taken] = -np.inf
        best = int(np.argmax(score_F))
        taken.append(best)
        redundancy_F += np.abs(unit_NF.T @ unit_NF[:, best]) / len(x_NF)
    return taken
