"""DeLong's variance of an AUC and of the difference of two, with ties, and with several lesions of one patient.

A placement is the share of the other class that a case outranks (ties count half):

    v10[i] = P(score of positive i > a negative)     v01[j] = P(a positive > score of negative j)      both have mean AUC

    var(AUC) = var(v10) / n_pos + var(v01) / n_neg                        (DeLong, DeLong & Clarke-Pearson 1988)

Placements come from mid-ranks in O(n log n) (Sun & Xu 2014). With `groups`, deviations are summed within a patient first
and the covariance of a patient's positives with its negatives is added (Obuchowski 1997); where every patient has one
lesion this is DeLong's formula, digit for digit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm, rankdata

from rnfm.core.errors import DataError
from rnfm.stats._check import Array, clusters, labels, scores


@dataclass(frozen=True)
class Placements:
    """v10 (n_pos,), v01 (n_neg,) and the cluster numbers of the cases they belong to."""

    v10: Array
    v01: Array
    cluster_pos: Array
    cluster_neg: Array


def placements(positive: Array, values: Array, cluster: Array) -> Placements:
    """`positive` (n,) bool, `values` (n,), `cluster` (n,) int."""
    ranks = rankdata(values)
    n_pos = int(positive.sum())
    n_neg = positive.size - n_pos
    v10 = (ranks[positive] - rankdata(values[positive])) / n_neg
    v01 = 1 - (ranks[~positive] - rankdata(values[~positive])) / n_pos
    return Placements(v10, v01, cluster[positive], cluster[~positive])


def variance(v10: Array, v01: Array, cluster_pos: Array, cluster_neg: Array) -> float:
    """Variance of mean(v10) (= mean(v01)), for placements or for differences of placements.

    Raises DataError where a class has a single case (or patient): its spread cannot be estimated.
    """
    for name, cluster in (("positive", cluster_pos), ("negative", cluster_neg)):
        if np.unique(cluster).size < 2:
            unit = "case" if cluster.size == 1 else "patient"
            raise DataError(f"{name} class", f"has one {unit}", "DeLong's variance needs two of each class")
    # A constant has variance zero; rounding of its mean must not make it 1e-33 and a z value of it.
    if np.ptp(v10) == 0 and np.ptp(v01) == 0:
        return 0.0
    n_clusters = int(max(cluster_pos.max(), cluster_neg.max())) + 1
    sum_pos = np.bincount(cluster_pos, v10 - v10.mean(), minlength=n_clusters)
    sum_neg = np.bincount(cluster_neg, v01 - v01.mean(), minlength=n_clusters)
    total = _bessel(cluster_pos) * np.sum(sum_pos**2) / v10.size**2
    total += _bessel(cluster_neg) * np.sum(sum_neg**2) / v01.size**2
    both = _bessel(np.concatenate((cluster_pos, cluster_neg)))
    # Patients with lesions of both classes; the estimate may fall below zero in tiny samples, a variance may not.
    return max(float(total + 2 * both * np.sum(sum_pos * sum_neg) / (v10.size * v01.size)), 0.0)


def delong_test(y: ArrayLike, a: ArrayLike, b: ArrayLike, groups: ArrayLike | None = None) -> tuple[float, float]:
    """(z, p) of AUC(a) = AUC(b), two-sided, both scores on the same cases; z > 0 where `a` is better.

    Scores that rank alike give (0, 1). Two curves whose estimated variance is zero but whose areas differ give
    (+-inf, 0), as in pROC: true of the formula, not of the world; use `permutation_test` there.
    Raises DataError for one class only, NaN, other lengths, or a class with one case (patient).
    """
    positive = labels(y)
    cluster = clusters(groups, positive.size)
    one = placements(positive, scores("a", a, positive.size), cluster)
    two = placements(positive, scores("b", b, positive.size), cluster)
    spread = variance(one.v10 - two.v10, one.v01 - two.v01, one.cluster_pos, one.cluster_neg)
    # The mean over the other class differs by rounding alone where the areas are equal: n * AUC is a multiple of 1/2.
    pairs = one.v10.size * one.v01.size
    difference = round(2 * pairs * float(np.mean(one.v10) - np.mean(two.v10))) / (2 * pairs)
    if difference == 0:
        return 0.0, 1.0
    z = difference / math.sqrt(spread) if spread > 0 else math.copysign(math.inf, difference)
    return z, float(2 * norm.sf(abs(z)))


def _bessel(cluster: Array) -> float:
    n = np.unique(cluster).size
    return n / (n - 1)
