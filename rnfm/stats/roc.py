"""The ROC curve and what is read off it. A higher score means the positive class; nothing is ever flipped.

Ties between a positive and a negative count one half (Hanley & McNeil 1982), so that the area under the empirical curve,
the Mann-Whitney statistic and `auc` are the same number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from rnfm.stats._check import Array, fraction, labels, scores


@dataclass(frozen=True)
class Roc:
    """Points of the empirical curve, from (0, 0) to (1, 1): a case is called positive if its score >= the threshold."""

    fpr: Array
    tpr: Array
    thresholds: Array


def auc(y: ArrayLike, score: ArrayLike) -> float:
    """Area under the ROC curve: P(score of a positive > score of a negative) + half of P(equal).

    y: (n,) of 0 and 1; score: (n,). Raises DataError for one class only, NaN, or other lengths.

    >>> auc([0, 0, 1, 1], [0.1, 0.4, 0.4, 0.8])
    0.875
    """
    positive = labels(y)
    ranks = rankdata(scores("score", score, positive.size))
    n_pos = int(positive.sum())
    n_neg = positive.size - n_pos
    return float((ranks[positive].sum() - n_pos * (n_pos + 1) / 2) / (n_pos * n_neg))


def roc_curve(y: ArrayLike, score: ArrayLike) -> Roc:
    """One point a distinct score, all kept, thresholds falling from +inf (nothing is called positive)."""
    positive = labels(y)
    values = scores("score", score, positive.size)
    thresholds, true, false = _counts(positive, values)
    return Roc(
        fpr=np.concatenate(([0.0], false / false[-1])),
        tpr=np.concatenate(([0.0], true / true[-1])),
        thresholds=np.concatenate(([np.inf], thresholds)),
    )


def pr_auc(y: ArrayLike, score: ArrayLike) -> float:
    """Average precision: sum over thresholds of (recall gained) x precision, without interpolation.

    A random score gives the prevalence, not 0.5. Linear interpolation would be too kind (Davis & Goadrich 2006).
    """
    positive = labels(y)
    _, true, false = _counts(positive, scores("score", score, positive.size))
    gained = np.diff(true, prepend=0) / true[-1]
    return float(np.sum(gained * true / (true + false)))


def sensitivity_at(y: ArrayLike, score: ArrayLike, specificity: float = 0.9) -> float:
    """The highest sensitivity of any threshold whose specificity is at least `specificity` (on these data)."""
    curve = roc_curve(y, score)
    # 1 - 0.1 is 0.9 only to rounding; a threshold that meets the demand exactly must count.
    allowed = 1 - curve.fpr >= fraction("specificity", specificity) - 1e-12
    return float(curve.tpr[allowed].max())


def _counts(positive: Array, values: Array) -> tuple[Array, Array, Array]:
    """Distinct thresholds, falling, and the true and false positives at each."""
    order = np.argsort(-values, kind="stable")
    last = np.flatnonzero(np.append(np.diff(values[order]) != 0, True))
    true = np.cumsum(positive[order])[last]
    return values[order][last], true, last + 1 - true
