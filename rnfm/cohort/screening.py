"""Which of many scans could be copies of which: a few candidates for each, by a few matrix products.

A *spectrum* is the size of the Fourier coefficients of the 6 mm detail, their phases left out. A shift of the head in its
field of view changes phases only, so two copies agree in it wherever they were cut; a mirroring permutes the coefficients,
and since a picture and its point reflection have one spectrum, 4 permutations stand for all 8 mirrorings. Only long waves
are kept: a small turn moves them little. Of each scan there are two, of the whole foreground and of its core without
the outer 12 mm: the whole of a skull-stripped copy is compared with the core of its original.

A spectrum proves nothing: `rnfm.cohort.aligning` looks at the candidates.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import fft, ndimage

from rnfm.cohort.aligning import coarse, padded
from rnfm.cohort.likeness import STEP_MM

BAND = (1.0, 7.0)  # kept wave numbers, in waves across the 288 mm grid: 41 mm and longer
SKULL_MM = 12.0
MIN_CORE_VOX = 1000  # of a thumbnail; a smaller core is no brain, and the whole stands for it
ALL_PAIRS = 400  # so few pairs are looked at one by one, without screening
BLOCK = 1024
PRIOR = 3  # scans that the mean over both sides counts for in the mean of one: it matters where a side has a handful
MIRRORINGS = ((1, 1, 1), (-1, 1, 1), (1, -1, 1), (1, 1, -1))


def spectrum(thumb: np.ndarray) -> np.ndarray:
    """float32 (2, k) flattened: of the whole foreground and of its core; k is the same for every thumbnail."""
    # What reaches the edge of a thumbnail (a slab, a cut neck) goes on beyond it.
    core = ndimage.binary_erosion(thumb > 0, iterations=round(SKULL_MM / STEP_MM), border_value=1)
    parts = [thumb, np.where(core, thumb, 0) if core.sum() >= MIN_CORE_VOX else thumb]
    sizes = [np.abs(fft.fftn(padded(coarse(part).values)))[tuple(_waves().T)] for part in parts]
    return np.log1p(np.concatenate(sizes)).astype(np.float32)


def candidates(one: np.ndarray, two: np.ndarray, count: int, skip: np.ndarray | None = None) -> list[tuple[int, int]]:
    """Pairs (row of `one`, row of `two`), sorted: for each row of the smaller side the `count` most similar of the other.

    `one` (n, 2k) and `two` (m, 2k) are spectra; pairs where `skip` (n, m) is true do not count. Few pairs are all returned.
    """
    skip = np.zeros((len(one), len(two)), bool) if skip is None else skip
    if len(one) * len(two) <= ALL_PAIRS:
        return [(int(row), int(column)) for row, column in np.argwhere(~skip)]
    if len(one) > len(two):
        return sorted((row, column) for column, row in candidates(two, one, count, skip.T))
    combinations = _comparable(one, two)
    found = []
    for start in range(0, len(one), BLOCK):
        block = slice(start, start + BLOCK)
        likeness = np.full((len(one[block]), len(two)), -np.inf, np.float32)
        for ours, theirs in combinations:
            for order in _mirrored():
                np.maximum(likeness, ours[block] @ theirs[:, order].T, out=likeness)
        likeness[skip[block]] = -np.inf
        for row, columns in enumerate(_largest(likeness, count)):
            found += [(start + row, int(column)) for column in columns if np.isfinite(likeness[row, column])]
    return sorted(found)


def _comparable(one: np.ndarray, two: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Whole with whole, core with whole, whole with core: what is common to all heads of a side taken out of each."""
    upright = _upright(np.concatenate([one, two]))
    whole, core = np.split(upright, 2, axis=1)
    n = len(one)
    sides = [(whole[:n], whole[n:]), (core[:n], whole[n:]), (whole[:n], core[n:])]
    return [(_own(a, np.concatenate([a, b])), _own(b, np.concatenate([a, b]))) for a, b in sides]


def _upright(spectra: np.ndarray) -> np.ndarray:
    """Each scan mirrored (its spectrum permuted) such that it is most like the mean head; the mean then has an up and a down."""
    half = spectra.shape[1] // 2
    orders = [np.concatenate([order, half + order]) for order in _mirrored()]
    mean, chosen = spectra.mean(axis=0), spectra
    for _ in range(3):
        fits = np.stack([_length_one(spectra[:, order] - spectra.mean()) @ (mean - mean.mean()) for order in orders])
        best = fits.argmax(axis=0)
        chosen = np.stack([row[orders[which]] for row, which in zip(spectra, best, strict=True)])
        mean = chosen.mean(axis=0)
    return chosen


def _own(side: np.ndarray, both: np.ndarray) -> np.ndarray:
    """What is a scan's own: the mean of its side subtracted, scaled by the spread, to length 1."""
    mean = (side.sum(axis=0) + PRIOR * both.mean(axis=0)) / (len(side) + PRIOR)
    return _length_one((side - mean) / (both.std(axis=0) + 1e-6)).astype(np.float32)


def _length_one(rows: np.ndarray) -> np.ndarray:
    rows = rows - rows.mean(axis=1, keepdims=True)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)


def _largest(values: np.ndarray, count: int) -> np.ndarray:
    """Columns (n, <= count) of the largest values of each row."""
    count = min(count, values.shape[1])
    return np.argpartition(-values, count - 1, axis=1)[:, :count]


@lru_cache(maxsize=1)
def _waves() -> np.ndarray:
    """Wave numbers (k, 3) of one half of the band: the other half holds the same sizes."""
    side = np.arange(-int(BAND[1]), int(BAND[1]) + 1)
    waves = np.stack(np.meshgrid(side, side, side, indexing="ij"), axis=-1).reshape(-1, 3)
    length = np.linalg.norm(waves, axis=1)
    first = np.array([next((n for n in wave if n), 0) for wave in waves.tolist()])
    kept: np.ndarray = waves[(length > BAND[0]) & (length <= BAND[1]) & (first > 0)]
    return kept


@lru_cache(maxsize=1)
def _mirrored() -> list[np.ndarray]:
    """For each of the 4 classes of mirrorings, the order (k,) that turns a spectrum into that of the mirrored picture."""
    waves = _waves()
    index = {tuple(wave): at for at, wave in enumerate(waves.tolist())}
    orders = []
    for signs in MIRRORINGS:
        turned = (waves * signs).tolist()
        orders.append(np.array([index.get(tuple(wave), index.get(tuple(-n for n in wave), -1)) for wave in turned]))
    return orders
