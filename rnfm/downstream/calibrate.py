"""A threshold and a calibration for one classifier, from out-of-fold logits of its training patients only.

    probability = sigmoid(slope * logit + intercept)        (Platt 1999, by penalised logistic regression)
    threshold   = the probability that maximises sensitivity + specificity - 1 (Youden 1950) on those out-of-fold probabilities

A cohort of a hundred can give a negative slope by chance; a calibration may flatten probabilities, it never reverses them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LEAST_SLOPE = 0.05


@dataclass(frozen=True)
class Calibration:
    """Slope and intercept on the logit, and the threshold on the calibrated probability."""

    slope: float = 1.0
    intercept: float = 0.0
    threshold: float = 0.5

    def probability(self, logit: np.ndarray) -> np.ndarray:
        return sigmoid(self.slope * np.asarray(logit, dtype=np.float64) + self.intercept)


def sigmoid(logit: np.ndarray) -> np.ndarray:
    """1 / (1 + e^-logit) without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * logit))


def fit_calibration(logit: np.ndarray, label: np.ndarray) -> Calibration:
    """Fit on out-of-fold `logit` (N,) and `label` (N,) of 0/1, both classes present."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1.0).fit(logit[:, None], label)
    slope, intercept = float(model.coef_[0, 0]), float(model.intercept_[0])
    if slope < LEAST_SLOPE:
        slope = LEAST_SLOPE
        intercept = _intercept(slope * logit, label)
    fitted = Calibration(slope, intercept)
    return Calibration(slope, intercept, youden(fitted.probability(logit), label))


def youden(probability: np.ndarray, label: np.ndarray) -> float:
    """The threshold t (predict 1 where probability >= t) with the greatest sensitivity + specificity - 1.

    It lies half-way between two neighbouring probabilities; of several that are as good the middle one is taken.

    >>> youden(np.array([0.1, 0.3, 0.7, 0.9]), np.array([0, 0, 1, 1]))
    0.5
    """
    values = np.unique(probability)
    cuts = np.concatenate(([values[0]], (values[1:] + values[:-1]) / 2))
    positive, negative = probability[label == 1], probability[label == 0]
    gain = np.array([(positive >= cut).mean() - (negative >= cut).mean() for cut in cuts])
    best = np.flatnonzero(np.isclose(gain, gain.max()))
    return float(cuts[best[len(best) // 2]])


def _intercept(offset: np.ndarray, label: np.ndarray) -> float:
    """The intercept at which the mean probability is the prevalence, by bisection: the sum rises with it."""
    low, high = -50.0, 50.0
    for _ in range(100):
        middle = (low + high) / 2
        if sigmoid(offset + middle).mean() < label.mean():
            low = middle
        else:
            high = middle
    return (low + high) / 2
