"""Resampling: the patient-cluster bootstrap and the paired permutation test.

A patient's lesions are not independent, so patients are drawn, with all their lesions. Draws in which the statistic is
undefined (one class only) are drawn again: the replicates are conditional on both classes being there. The same seed gives
the same draws for any statistic, so differences of replicates are paired.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from rnfm.core.errors import DataError
from rnfm.core.keyed import rng
from rnfm.stats._check import Array, clusters, labels, scores

BLOCK = 256  # draws made at once; part of the meaning of a seed
MAX_DRAWS_PER_REPLICATE = 50
CELLS = 4_000_000  # numbers held at once by the vectorised loops: 32 MB


def bootstrap(
    statistic: Callable[..., Any], *arrays: ArrayLike, groups: ArrayLike | None = None, n: int = 2000, seed: int = 0
) -> Array:
    """`n` replicates of `statistic(*arrays)`, shape (n,) or (n, k); whole groups are drawn with replacement.

    arrays: each of the same first length; groups: (cases,) of any sortable type, or None: every case alone.
    A replicate whose statistic raises DataError is drawn again; DataError if that happens nearly always.

    >>> bootstrap(np.mean, [1.0, 1.0, 1.0], n=4).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    columns = [np.asarray(array) for array in arrays]
    size = len(columns[0])
    if any(len(column) != size for column in columns):
        raise DataError("arrays", f"have lengths {[len(column) for column in columns]}", "Give one value a case")
    members = _members(clusters(groups, size))
    replicates: list[Any] = []
    for drawn, block in enumerate(_draws(len(members), seed)):
        _require_hope(drawn * BLOCK, len(replicates), n)
        for draw in block:
            rows = np.concatenate([members[cluster] for cluster in draw])
            try:
                replicates.append(statistic(*(column[rows] for column in columns)))
            except DataError:
                continue
            if len(replicates) == n:
                return np.asarray(replicates)
    raise AssertionError("the draws never end")


def bootstrap_auc(
    y: ArrayLike, score: ArrayLike, *, groups: ArrayLike | None = None, n: int = 2000, seed: int = 0
) -> Array:
    """The same numbers as `bootstrap(auc, y, score, ...)`, some fifty times as fast.

    A resample is a vector of weights over the cases, sorted once: the AUC is the weight of the negatives below each
    positive, ties half, which is two cumulative sums for a whole block of replicates.
    """
    positive = labels(y)
    values = scores("score", score, positive.size)
    cluster = clusters(groups, positive.size)
    order = np.argsort(values, kind="stable")
    first_of_tie = np.flatnonzero(np.append(True, np.diff(values[order]) != 0))
    cluster, positive = cluster[order], positive[order]
    n_clusters = int(cluster.max()) + 1
    rows = max(1, min(BLOCK, CELLS // positive.size))
    found: list[Array] = []
    count = 0
    for drawn, block in enumerate(_draws(n_clusters, seed)):
        _require_hope(drawn * BLOCK, count, n)
        for start in range(0, BLOCK, rows):
            times = np.stack([np.bincount(draw, minlength=n_clusters) for draw in block[start : start + rows]])
            areas = _weighted_auc(times[:, cluster].astype(float), positive, first_of_tie)
            found.append(areas[~np.isnan(areas)])
            count += found[-1].size
        if count >= n:
            return np.concatenate(found)[:n]
    raise AssertionError("the draws never end")


def permutation_test(
    y: ArrayLike, a: ArrayLike, b: ArrayLike, groups: ArrayLike | None = None, n: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """(AUC(a) - AUC(b), p): paired, two-sided; ranks of `a` and `b` change places within a case (or within a patient).

    Ranks, since two models' scores are on scales of their own (Bandos, Rockette & Gur 2005). All 2**k exchanges are tried
    where they are fewer than `n` (then p is exact), else `n` random ones, p = (1 + as extreme) / (1 + n).
    """
    positive = labels(y)
    ranks = np.stack([rankdata(scores(name, value, positive.size)) for name, value in (("a", a), ("b", b))])
    cluster = clusters(groups, positive.size)
    observed = float(np.diff(_auc_rows(ranks[::-1], positive))[0])
    n_clusters = int(cluster.max()) + 1
    exact = 2.0**n_clusters <= n
    extreme = total = 0
    for swap in _exchanges(n_clusters, n, seed, exact):
        swapped = swap[:, cluster]
        difference = _auc_rows(np.where(swapped, ranks[1], ranks[0]), positive)
        difference -= _auc_rows(np.where(swapped, ranks[0], ranks[1]), positive)
        extreme += int(np.sum(np.abs(difference) >= abs(observed) - 1e-12))
        total += len(swap)
    return observed, extreme / total if exact else (1 + extreme) / (1 + total)


def _members(cluster: Array) -> list[Array]:
    order = np.argsort(cluster, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(cluster[order])) + 1)


def _draws(n_clusters: int, seed: int) -> Iterator[Array]:
    """Endless blocks (BLOCK, n_clusters) of cluster numbers drawn with replacement."""
    source = rng(seed, "bootstrap", n_clusters)
    while True:
        yield source.integers(n_clusters, size=(BLOCK, n_clusters))


def _require_hope(drawn: int, kept: int, n: int) -> None:
    if drawn > MAX_DRAWS_PER_REPLICATE * n and kept < n:
        raise DataError(
            "bootstrap",
            f"the statistic was defined in {kept} of {drawn} resamples",
            "There are too few cases of one class to resample; report the counts instead",
        )


def _weighted_auc(weight_RN: Array, positive: Array, first_of_tie: Array) -> Array:
    """AUC of each row of weights over sorted cases; NaN where a class has no weight."""
    positives = np.add.reduceat(weight_RN * positive, first_of_tie, axis=1)
    negatives = np.add.reduceat(weight_RN * ~positive, first_of_tie, axis=1)
    below = np.cumsum(negatives, axis=1) - negatives / 2
    with np.errstate(invalid="ignore"):
        return np.sum(positives * below, axis=1) / (positives.sum(axis=1) * negatives.sum(axis=1))


def _auc_rows(score_RN: Array, positive: Array) -> Array:
    n_pos = int(positive.sum())
    ranks = rankdata(score_RN, axis=1)[:, positive].sum(axis=1)
    return (ranks - n_pos * (n_pos + 1) / 2) / (n_pos * (positive.size - n_pos))


def _exchanges(n_clusters: int, n: int, seed: int, exact: bool) -> Iterator[Array]:
    """Blocks of boolean rows: which clusters change places."""
    if exact:
        yield (np.arange(2**n_clusters)[:, None] >> np.arange(n_clusters) & 1).astype(bool)
        return
    source = rng(seed, "permutation", n_clusters)
    rows = max(1, min(1024, CELLS // n_clusters))
    for start in range(0, n, rows):
        yield source.random((min(rows, n - start), n_clusters)) < 0.5
