"""An AUC with its interval, three ways.

    delong     AUC +- z * se, clipped to 0..1                       what pROC prints; too short near 1 and in small samples
    logit      the same standard error on the logit scale           stays inside 0..1 by itself (Pepe 2003, section 5.2)
    bootstrap  percentiles over resampled cases or patients         no formula for the variance at all

At an AUC of 0 or 1, and with a single positive or negative, DeLong's variance says nothing. `logit` then falls back to
Newcombe's score interval (2006, method 5), which needs the counts only, so that a perfect result on five lesions does not
come with an interval of no width.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import norm

from rnfm.core.errors import ConfigError, DataError, nearest
from rnfm.stats import delong, resample, roc
from rnfm.stats._check import Array, clusters, fraction, labels, scores

Method = Literal["delong", "logit", "bootstrap"]
INSIDE = 1e-9
METHODS: tuple[Method, ...] = ("delong", "logit", "bootstrap")


def auc_ci(
    y: ArrayLike,
    score: ArrayLike,
    level: float = 0.95,
    method: Method = "delong",
    groups: ArrayLike | None = None,
    seed: int = 0,
    n: int = 2000,
) -> tuple[float, float, float]:
    """(AUC, low, high) at confidence `level`. y: (n,) of 0 and 1; score: (n,); groups: (n,) patients, if they repeat.

    `seed` and `n` (replicates) matter to the bootstrap only. Raises DataError for one class only, NaN or other lengths,
    and, for `delong`, for a class with a single case (patient).
    """
    if method not in METHODS:
        raise ConfigError("method", f"{method!r} is not an interval{nearest(method, METHODS)}", f"Use one of {METHODS}")
    positive = labels(y)
    values = scores("score", score, positive.size)
    area = roc.auc(positive, values)
    tail = (1 - fraction("level", level)) / 2
    if method == "bootstrap":
        replicates = resample.bootstrap_auc(positive, values, groups=groups, n=n, seed=seed)
        low, high = np.quantile(replicates, (tail, 1 - tail))
        return area, float(low), float(high)
    z = float(norm.isf(tail))
    cluster = clusters(groups, positive.size)
    if method == "logit" and (area in (0.0, 1.0) or _single(positive, cluster)):
        return area, *newcombe(area, int(positive.sum()), int((~positive).sum()), z)
    placed = delong.placements(positive, values, cluster)
    error = math.sqrt(delong.variance(placed.v10, placed.v01, placed.cluster_pos, placed.cluster_neg))
    if method == "delong":
        return area, max(area - z * error, 0.0), min(area + z * error, 1.0)
    half = z * error / (area * (1 - area))
    return area, float(expit(logit(area) - half)), float(expit(logit(area) + half))


def newcombe(area: float, n_pos: int, n_neg: int, z: float) -> tuple[float, float]:
    """Score interval of an AUC from its value and the counts: all t with |area - t| <= z * se(t).

    se(t) is Hanley & McNeil's with both sample sizes replaced by their mean (Newcombe 2006, Statistics in Medicine 25,
    559, method 5). Exact inversion; no resampling.
    """
    if n_pos < 1 or n_neg < 1:
        raise DataError("y", f"has {n_pos} positives and {n_neg} negatives", "Both classes are needed")
    more = (n_pos + n_neg) / 2 - 1

    def excess(t: float) -> float:
        spread = t * (1 - t) * (1 + more * (1 - t) / (2 - t) + more * t / (1 + t)) / (n_pos * n_neg)
        return (area - t) ** 2 - z**2 * spread

    # `excess` is also zero at 0 and 1 themselves, where the spread is: stay inside.
    low = 0.0 if area <= 0 else brentq(excess, 0.0, min(area, 1 - INSIDE), xtol=1e-12)
    high = 1.0 if area >= 1 else brentq(excess, max(area, INSIDE), 1.0, xtol=1e-12)
    return float(low), float(high)


def _single(positive: Array, cluster: Array) -> bool:
    return any(np.unique(cluster[side]).size < 2 for side in (positive, ~positive))
