"""What a model is worth to a decision: net benefit, risk against coverage, and whether n is large enough to tell."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

from rnfm.core.errors import ConfigError, DataError
from rnfm.stats._check import Array, fraction, labels, scores


@dataclass(frozen=True)
class RiskCoverage:
    """Error rate among the cases kept (`risk`) against the share kept (`coverage`), most confident first; `area` under it."""

    coverage: Array
    risk: Array
    area: float


def net_benefit(y: ArrayLike, p: ArrayLike, thresholds: ArrayLike) -> Array:
    """Net benefit of treating where p >= threshold: TP/n - FP/n * t / (1 - t), for each t (Vickers & Elkin 2006).

    'Treat all' is `net_benefit(y, ones, thresholds)`, 'treat none' is 0. thresholds: (k,) in 0 <= t < 1 -> (k,).
    """
    positive = labels(y, both=False)
    predicted = scores("p", p, positive.size, probability=True)
    cuts = np.atleast_1d(np.asarray(thresholds, dtype=float))
    if not np.all((cuts >= 0) & (cuts < 1)):
        raise ConfigError("thresholds", "must lie in 0 <= t < 1", "Leave the others out")
    treated = predicted[None, :] >= cuts[:, None]
    true = (treated & positive).mean(axis=1)
    false = (treated & ~positive).mean(axis=1)
    return true - false * cuts / (1 - cuts)


def risk_coverage(
    y: ArrayLike, p: ArrayLike, confidence: ArrayLike | None = None, threshold: float = 0.5
) -> RiskCoverage:
    """What abstaining buys: the error rate of `p >= threshold` if only the most confident cases are answered.

    confidence: (n,), higher is surer; by default |p - threshold|. Equal confidences are answered together
    (El-Yaniv & Wiener 2010; `area` as in Geifman & El-Yaniv 2017, the mean of `risk` over the cases).
    """
    positive = labels(y, both=False)
    predicted = scores("p", p, positive.size, probability=True)
    sure = np.abs(predicted - threshold) if confidence is None else scores("confidence", confidence, positive.size)
    order = np.argsort(-sure, kind="stable")
    wrong = np.cumsum((predicted >= threshold)[order] != positive[order])
    last = np.flatnonzero(np.append(np.diff(sure[order]) != 0, True))
    risk = wrong[last] / (last + 1)
    return RiskCoverage((last + 1) / positive.size, risk, float(np.average(risk, weights=np.diff(last, prepend=-1))))


def power_auc(n_pos: int, n_neg: int, auc: float, null: float = 0.5, level: float = 0.05) -> float:
    """Power of the two-sided test of AUC = `null` at `level`, if the AUC truly is `auc`.

    Binormal approximation of the variance (Obuchowski, Lieber & Wians 2004, Clinical Chemistry 50, 1118), as in pROC.
    """
    if n_pos < 1 or n_neg < 1:
        raise DataError("counts", f"are {n_pos} positives and {n_neg} negatives", "Both classes are needed")
    fraction("auc", auc), fraction("null", null), fraction("level", level)
    ratio = n_neg / n_pos
    distance = abs(auc - null) * math.sqrt(n_pos)
    z = (distance - norm.isf(level / 2) * math.sqrt(_binormal(null, ratio))) / math.sqrt(_binormal(auc, ratio))
    return float(norm.cdf(z))


def _binormal(area: float, ratio: float) -> float:
    """Variance of an AUC times the number of positives; `ratio` is negatives a positive. 1.414 is as published."""
    a = 1.414 * float(norm.ppf(area))
    return 0.0099 * math.exp(-(a**2) / 2) * ((5 * a**2 + 8) + (a**2 + 8) / ratio)
