"""Where to cut: sub-volumes centred on lesions where a mask exists, else on the head. Pure functions of arrays.

All boxes are half-open voxel ranges (start, stop) in the canonical volume, axes D, H, W. A volume shorter than the crop
is centred in it: the start is then negative and the missing voxels are background.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rnfm.archive.samples import BACKGROUND, OTHER, TARGET, U8

Vox3 = tuple[int, int, int]

FOREGROUND_SHARE = 0.1  # of the way from background to the 99th percentile: air noise is below, tissue above


@dataclass(frozen=True)
class Lesion:
    """A lesion to cut around: its code (None where the data set names none), its voxels and their box."""

    code: str | None
    voxels: NDArray[np.bool_]
    start_vox: Vox3
    stop_vox: Vox3


def foreground(image: NDArray[np.floating], background: float) -> NDArray[np.bool_]:
    """Voxels clearly brighter than background; all of them if none is."""
    above = image > background + FOREGROUND_SHARE * (float(np.percentile(image, 99)) - background)
    return above if above.any() else np.ones(image.shape, bool)


def lesions_of(mask: NDArray[np.integer], named: Sequence[tuple[str, Sequence[int]]]) -> list[Lesion]:
    """The lesions of a scan: those the cohort names by (code, mask values), else the mask's parts, the largest first.

    No values means every value above 0. A named lesion without a voxel here is left out.
    """
    found: list[tuple[str | None, NDArray[np.bool_]]] = [
        (code, np.isin(mask, values) if len(values) else mask > 0) for code, values in named
    ]
    if not found:
        found = [(None, part) for part in _parts(mask > 0)]
    return [Lesion(code, voxels, *_box(voxels)) for code, voxels in found if voxels.any()]


def _parts(mask: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Connected parts (26 neighbours), the largest first, then in the order of their first voxel."""
    from scipy import ndimage

    labels, count = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    return [labels == part + 1 for part in np.argsort(-sizes, kind="stable")]


def _box(voxels: NDArray[np.bool_]) -> tuple[Vox3, Vox3]:
    ranges = []
    for axis in range(3):
        hit = np.flatnonzero(voxels.any(axis=tuple(other for other in range(3) if other != axis)))
        ranges.append((int(hit[0]), int(hit[-1]) + 1))
    return _vox3([start for start, _ in ranges]), _vox3([stop for _, stop in ranges])


def start_around_lesion(
    lesion: Lesion, *, size_vox: Vox3, crop_vox: Vox3, jitter: float, generator: np.random.Generator
) -> Vox3:
    """Start of a crop around the lesion's box, moved by up to `jitter` of the crop; a lesion that fits stays inside."""
    moves = generator.uniform(-jitter, jitter, 3)
    starts = []
    for low, high, size, crop, move in zip(lesion.start_vox, lesion.stop_vox, size_vox, crop_vox, moves, strict=True):
        start = (low + high - crop) // 2 + round(move * crop)
        if high - low <= crop:
            start = min(max(start, high - crop), low)
        starts.append(_inside(start, size, crop))
    return _vox3(starts)


def start_in_foreground(
    inside_vox: NDArray[np.intp], *, size_vox: Vox3, crop_vox: Vox3, generator: np.random.Generator
) -> Vox3:
    """Start of a crop centred on a random voxel out of `inside_vox` (flat indices of the foreground)."""
    centre = np.unravel_index(int(inside_vox[generator.integers(len(inside_vox))]), size_vox)
    return _vox3(
        [_inside(int(c) - crop // 2, size, crop) for c, size, crop in zip(centre, size_vox, crop_vox, strict=True)]
    )


def _inside(start: int, size: int, crop: int) -> int:
    return min(max(start, 0), size - crop) if size >= crop else -((crop - size) // 2)


def cut(array: NDArray, start_vox: Vox3, crop_vox: Vox3, fill: float) -> NDArray:
    """The crop as a new array of the same dtype; voxels outside the volume are `fill`."""
    out = np.full(crop_vox, fill, dtype=array.dtype)
    stops = [min(start + crop, size) for start, crop, size in zip(start_vox, crop_vox, array.shape, strict=True)]
    source = tuple(slice(max(start, 0), stop) for start, stop in zip(start_vox, stops, strict=True))
    target = tuple(slice(max(-start, 0), stop - start) for start, stop in zip(start_vox, stops, strict=True))
    out[target] = array[source]
    return out


def mask_codes(mask: NDArray[np.integer], lesion: Lesion | None, start_vox: Vox3, crop_vox: Vox3) -> U8:
    """u8 crop of the mask: 1 the sample's own lesion, 2 whatever else is masked, 0 elsewhere."""
    codes = np.where(cut(mask, start_vox, crop_vox, 0) > 0, OTHER, BACKGROUND).astype(np.uint8)
    if lesion is not None:
        codes[cut(lesion.voxels, start_vox, crop_vox, False)] = TARGET
    return codes


def crop_affine(affine: NDArray[np.floating], start_vox: Vox3) -> NDArray[np.float64]:
    """Affine (4x4) from the crop's voxels to RAS mm, given the volume's."""
    shifted = np.array(affine, dtype=np.float64)
    shifted[:3, 3] += shifted[:3, :3] @ np.asarray(start_vox, dtype=np.float64)
    return shifted


def _vox3(values: Sequence[int]) -> Vox3:
    return (int(values[0]), int(values[1]), int(values[2]))
