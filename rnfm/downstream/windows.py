"""Boxes and crops of a canonical volume: pure functions of indices (voxels along D, H, W; stop excluded)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def crop_start(start_vox: Sequence[int], stop_vox: Sequence[int], size: Sequence[int]) -> tuple[int, ...]:
    """First voxel of a crop of `size` whose middle is the middle of the box; may be negative.

    >>> crop_start((10, 10, 10), (14, 15, 16), (8, 8, 8))
    (8, 8, 9)
    """
    return tuple(
        (int(low) + int(high)) // 2 - int(length) // 2
        for low, high, length in zip(start_vox, stop_vox, size, strict=True)
    )


def cut(array_DHW: np.ndarray, start: Sequence[int], size: Sequence[int], fill: float | bool) -> np.ndarray:
    """`array[start : start + size]` as a copy, with `fill` where that leaves the array."""
    out = np.full(tuple(size), fill, dtype=array_DHW.dtype)
    inner, outer = [], []
    for first, length, extent in zip(start, size, array_DHW.shape, strict=True):
        low, high = max(first, 0), min(first + length, extent)
        if low >= high:
            return out
        inner.append(slice(low, high))
        outer.append(slice(low - first, high - first))
    out[tuple(outer)] = array_DHW[tuple(inner)]
    return out


def bounding_box(mask_DHW: np.ndarray) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """(start, stop) of the true voxels, stop excluded; None if there is none."""
    edges = []
    for axis in range(mask_DHW.ndim):
        line = np.flatnonzero(mask_DHW.any(axis=tuple(i for i in range(mask_DHW.ndim) if i != axis)))
        if not len(line):
            return None
        edges.append((int(line[0]), int(line[-1]) + 1))
    return tuple(low for low, _ in edges), tuple(high for _, high in edges)
