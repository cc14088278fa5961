"""Are the probabilities true? Brier score, calibration slope and intercept, and the reliability bins.

    slope      < 1: too extreme (overfitting), > 1: too timid          logit P(y) = c + slope * logit(p)      (Cox 1958)
    intercept  < 0: too high on the whole, > 0: too low                logit P(y) = intercept + logit(p)

The intercept is taken with the slope fixed at 1 (calibration in the large; Van Calster et al. 2019), so that it speaks of
the mean alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import norm

from rnfm.stats._check import Array, labels, scores

EDGE = 1e-9  # probabilities of exactly 0 and 1 have no logit; they are moved in by this much
STEPS = 100


@dataclass(frozen=True)
class Bin:
    """One group of cases with neighbouring predictions; the interval of the observed share is Wilson's, 95 %."""

    n: int
    predicted: float
    observed: float
    low: float
    high: float


@dataclass(frozen=True)
class Calibration:
    """`slope` is +-inf where one cut of the predictions separates the classes, NaN where all predictions are equal."""

    slope: float
    intercept: float
    bins: tuple[Bin, ...]


def brier(y: ArrayLike, p: ArrayLike) -> float:
    """Mean squared difference of probability and outcome (Brier 1950): 0 is perfect, 0.25 is a constant 0.5."""
    positive = labels(y, both=False)
    return float(np.mean((scores("p", p, positive.size, probability=True) - positive) ** 2))


def calibration(y: ArrayLike, p: ArrayLike, bins: int = 10) -> Calibration:
    """Slope, intercept and at most `bins` bins of equal counts (equal predictions stay together).

    y: (n,) of 0 and 1, both; p: (n,) probabilities of 1. Raises DataError.
    """
    positive = labels(y)
    predicted = scores("p", p, positive.size, probability=True)
    x = logit(np.clip(predicted, EDGE, 1 - EDGE))
    return Calibration(_slope(positive, x), _intercept(positive, x), tuple(_bins(positive, predicted, bins)))


def _slope(positive: Array, x: Array) -> float:
    if np.ptp(x) == 0:
        return math.nan
    for sign in (1.0, -1.0):
        if (sign * x[~positive]).max() <= (sign * x[positive]).min():
            return sign * math.inf
    return _logistic(positive.astype(float), x)


def _logistic(target: Array, x: Array) -> float:
    """Slope of the logistic regression of `target` on `x`: Newton's method, halving any step that would not help."""
    design = np.stack((np.ones_like(x), (x - x.mean()) / x.std()), axis=1)

    def loss(weights: Array) -> float:
        return float(np.sum(np.logaddexp(0, design @ weights) - target * (design @ weights)))

    weights = np.zeros(2)
    for _ in range(STEPS):
        fitted = expit(design @ weights)
        gradient = design.T @ (target - fitted)
        if np.abs(gradient).max() < 1e-10 * target.size:
            break
        curvature = design.T @ (design * (fitted * (1 - fitted))[:, None])
        step = np.linalg.lstsq(curvature, gradient, rcond=None)[0]
        while loss(weights + step) > loss(weights) and np.abs(step).max() > 1e-12:
            step = step / 2
        weights = weights + step
    return float(weights[1] / x.std())


def _intercept(positive: Array, x: Array) -> float:
    """The shift at which predicted and observed counts agree; it exists and is unique, since both classes are there."""
    reach = np.abs(x).max() + abs(float(logit(positive.mean()))) + 1
    return float(brentq(lambda shift: expit(x + shift).sum() - positive.sum(), -reach, reach, xtol=1e-12))


def _bins(positive: Array, predicted: Array, bins: int) -> list[Bin]:
    edges = np.unique(np.quantile(predicted, np.linspace(0, 1, bins + 1)[1:-1], method="inverted_cdf"))
    which = np.searchsorted(edges, predicted, side="left")
    found = []
    for number in np.unique(which):
        inside = which == number
        n, share = int(inside.sum()), float(positive[inside].mean())
        low, high = _wilson(share, n)
        found.append(Bin(n, float(predicted[inside].mean()), share, low, high))
    return found


def _wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a share of `n`."""
    z2 = float(norm.isf(0.025)) ** 2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * (share * (1 - share) + z2 / (4 * n)) / n) / (1 + z2 / n)
    return max(centre - half, 0.0), min(centre + half, 1.0)
