"""Grids and the three ways between them: canonicalise (source -> RAS), restore (RAS -> source), both by one resampler.

    source grid (i, j, k)                       canonical grid (D, H, W)
    any orientation, any spacing  --canonicalise-->  axes run to the patient's right, anterior, superior
    affine: voxel -> RAS mm       <----restore-----  affine: diagonal spacing + origin

A voxel is a box around its centre. *Origin rule*: the canonical grid is the smallest grid of the wished spacing whose box
covers the axis-aligned box around all source voxels, concentric with it. So a scan and its flipped copy get the same grid,
canonicalising twice changes nothing, and where the source is already axis-aligned at the wished spacing the voxels are
only reordered, bit for bit. Outside the source box the value is 0; the outer half of an edge voxel has the voxel's value.

Everything is done in index space: the map from output voxel to input voxel is one affine, so sheared and oblique
affines, which direction cosines cannot express, need no special case.
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from rnfm.core.ledger import Reason
from rnfm.volume.faults import ScanFault
from rnfm.volume.grids import Grid, Shape, Spacing, Volume, corners, grids_differ_by, shape3, spacing_of
from rnfm.volume.strides import blur_along, c_ordered

__all__ = [
    "Grid",
    "Shape",
    "Spacing",
    "Volume",
    "canonical_grid",
    "canonicalise",
    "corners",
    "grids_differ_by",
    "restore",
    "shape3",
    "spacing_of",
    "turned",
]

MAX_VOXELS = 1 << 28  # of a canonical grid: 1 GiB of float32
SAME_VOXEL = 1e-4  # grids closer than this [voxel] are the same grid; NIfTI affines are float32
ANTI_ALIAS_FROM = 1.5  # output step [input voxel] from which an image is smoothed before it is thinned out
TIE = 1e-3  # weight of the neighbourhood: decides between equal weights, and only between these


def canonicalise(volume: Volume, spacing_mm: Spacing = (1.0, 1.0, 1.0), is_mask: bool = False) -> Volume:
    """The volume on its canonical grid (axes R, A, S; origin rule above).

    Images (-> float32): linear; where the grid gets coarser by more than 1.5, smoothed first (Gaussian whose FWHM makes up
    for the new spacing, Cardoso et al., MICCAI 2015). Masks (dtype kept): each label keeps its volume, to half a voxel and
    never less than one: it takes the voxels of its largest linear weights, the smallest label first.
    Raises ScanFault (TOO_LARGE) if the grid would exceed 2^28 voxels.
    """
    shape, affine = canonical_grid(volume.shape, volume.affine, spacing_mm)
    in_of_out = np.linalg.inv(volume.affine) @ affine
    data = volume.data if is_mask else volume.data.astype(np.float32, copy=False)
    reordered = _reordered(data, in_of_out, shape)
    if reordered is not None:
        return Volume(reordered, affine)
    if is_mask:
        return Volume(_claim(data, in_of_out, shape), affine)
    return Volume(_sample(_smoothed(data, in_of_out), in_of_out, shape), affine)


def restore(volume: Volume, like: Volume | Grid) -> Volume:
    """`volume` on the grid of `like` (a Volume, or its shape and affine): linear for floats, nearest for integers.

    Each voxel gets the value at its centre, 0 outside; nothing is averaged over a thick slice.
    """
    shape, affine = (like.shape, like.affine) if isinstance(like, Volume) else like
    in_of_out = np.linalg.inv(volume.affine) @ affine
    nearest = volume.data.dtype.kind in "biu"
    data = _sample(volume.data, in_of_out, shape3(shape), nearest=nearest)
    return Volume(data.astype(volume.data.dtype, copy=False), affine)


def turned(volume: Volume, like: Grid) -> Volume | None:
    """The same voxels, at their own place, with axes in the order and direction of the grid `like`; None if none fits.

    One grid can be stored in 48 orders of its axes (LAS, RPI, ...): a mask drawn on a scan and saved in another one is
    sound data. Voxels are only moved, never mixed. How far both grids then lie apart is for the caller to judge.

    >>> stored = Volume(np.arange(8).reshape(2, 2, 2), np.array([[-1.0, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]))
    >>> turned(stored, ((2, 2, 2), np.eye(4))).data[0].tolist()
    [[4, 5], [6, 7]]
    """
    shape, affine = like
    steps = np.linalg.inv(volume.affine)[:3, :3] @ affine[:3, :3]
    turn = np.rint(steps / np.linalg.norm(steps, axis=0))
    data = _moved(volume.data, turn)
    if data is None or data.shape != shape:
        return None
    exact = np.eye(4)
    exact[:3, :3] = turn
    exact[:3, 3] = np.where(turn.min(axis=1) < 0, np.array(volume.shape) - 1, 0)
    return Volume(data, volume.affine @ exact)


def canonical_grid(shape: Shape, affine: np.ndarray, spacing_mm: Spacing) -> Grid:
    """Shape and affine of the canonical grid for a source grid; see the origin rule.

    >>> shape, affine = canonical_grid((10, 10, 4), np.diag([-1.0, -1, 5, 1]), (2.0, 2.0, 2.0))
    >>> shape, affine[:3, 3].tolist()  # the source box is -9.5..0.5, -9.5..0.5, -2.5..17.5 mm
    ((5, 5, 10), [-8.5, -8.5, -1.5])
    """
    faces_mm = corners(affine, np.array([-0.5] * 3), np.array(shape) - 0.5)
    low_mm, high_mm = faces_mm.min(axis=0), faces_mm.max(axis=0)
    spacing = np.array(spacing_mm, dtype=np.float64)
    size = np.maximum(np.ceil((high_mm - low_mm) / spacing - 1e-3), 1)
    if not size.prod() <= MAX_VOXELS:
        wanted = " x ".join(f"{n:.0f}" for n in size)
        raise ScanFault(Reason.TOO_LARGE, f"its canonical grid would have {wanted} voxels, more than 2^28")
    out = np.diag([*spacing, 1.0])
    out[:3, 3] = (low_mm + high_mm) / 2 - (size - 1) / 2 * spacing
    return shape3(size.astype(int)), out


def _reordered(data: np.ndarray, in_of_out: np.ndarray, out_shape: Shape) -> np.ndarray | None:
    """The voxels by transposition and flips alone, or None if the grids do not match that exactly."""
    turn = np.rint(in_of_out[:3, :3])
    exact = np.eye(4)
    exact[:3, :3], exact[:3, 3] = turn, np.rint(in_of_out[:3, 3])
    last = np.array(out_shape) - 1
    if np.abs(corners(in_of_out, 0 * last, last) - corners(exact, 0 * last, last)).max() > SAME_VOXEL:
        return None
    moved = _moved(data, turn)
    return None if moved is None or moved.shape != out_shape else c_ordered(moved)


def _moved(data: np.ndarray, turn: np.ndarray) -> np.ndarray | None:
    """Axes transposed and flipped by a signed permutation (3, 3) of input by output axes; None if it is no permutation."""
    if not np.array_equal(np.abs(turn) @ np.abs(turn).T, np.eye(3)):
        return None
    order = np.abs(turn).argmax(axis=0)  # output axis -> input axis
    flips = tuple(slice(None, None, -1 if turn[axis, out] < 0 else 1) for out, axis in enumerate(order))
    return data.transpose(order)[flips]


def _sample(data: np.ndarray, in_of_out: np.ndarray, out_shape: Shape, nearest: bool = False) -> np.ndarray:
    """Values of `data` at `in_of_out @ (output voxel)`, 0 outside the input box; one thread, so the same everywhere."""
    kind = np.uint8 if data.dtype == bool else np.float32 if data.dtype == np.float16 else data.dtype
    image = sitk.GetImageFromArray(np.ascontiguousarray(data.astype(kind, copy=False).T))  # ITK's x is our first axis
    resampler = sitk.ResampleImageFilter()
    resampler.SetNumberOfThreads(1)
    resampler.SetSize(out_shape)
    resampler.SetTransform(sitk.AffineTransform(in_of_out[:3, :3].ravel().tolist(), in_of_out[:3, 3].tolist()))
    resampler.SetInterpolator(sitk.sitkNearestNeighbor if nearest else sitk.sitkLinear)
    result = resampler.Execute(image)  # must live until the view into it is copied
    del image  # a whole scan, whose memory the copy can take
    return c_ordered(sitk.GetArrayViewFromImage(result).T)


def _smoothed(data: np.ndarray, in_of_out: np.ndarray) -> np.ndarray:
    """Blur along each input axis that the output grid thins out."""
    steps = np.linalg.norm(in_of_out[:3, :3], axis=1)
    if not (steps > ANTI_ALIAS_FROM).any():
        return data
    source_kji = c_ordered(data.T)  # a scan's first axis lies together in memory, so this is no copy
    out_kji = np.empty_like(source_kji)
    for axis, step in enumerate(steps):
        if step > ANTI_ALIAS_FROM:
            sigma_vox = float(np.sqrt((step**2 - 1) / (8 * np.log(2))))
            blur_along(source_kji, out_kji, sigma_vox=sigma_vox, axis=2 - axis)
            source_kji = out_kji
    return out_kji.T


def _claim(labels: np.ndarray, in_of_out: np.ndarray, out_shape: Shape) -> np.ndarray:
    """Label-safe resampling: each label claims as many of the free voxels, those of its largest weights, as it has volume.

    A threshold at half the weight would shrink every small lesion (by 8% of a 10 mm ball that goes from 1 to 2 mm voxels)
    and lose the smallest.
    """
    out = np.zeros(out_shape, labels.dtype)
    box = _box(labels > 0)
    if box is None:
        return out
    labels = labels[box]  # all else is empty, and most of it
    in_of_out = in_of_out.copy()
    in_of_out[:3, 3] -= [side.start for side in box]
    values, counts = np.unique(labels[labels > 0], return_counts=True)
    volume = abs(float(np.linalg.det(in_of_out[:3, :3])))  # of an output voxel, in input voxels
    for which in np.argsort(counts, kind="stable"):
        label, wanted = values[which], max(1, round(counts[which] / volume))
        window, weight = _weight(labels == label, in_of_out, out_shape)
        free = np.where(out[window] == 0, weight, 0).ravel()
        ranked = np.argsort(-free, kind="stable")[:wanted]
        out[window][np.unravel_index(ranked[free[ranked] > 0], weight.shape)] = label
    return out


def _weight(picture: np.ndarray, in_of_out: np.ndarray, out_shape: Shape) -> tuple[tuple[slice, ...], np.ndarray]:
    """The window of the output grid that a label can reach, and its linear weight there; ties go to its inner voxels."""
    box = _box(picture)
    assert box is not None, "a label is only asked for where it occurs"
    start, stop = np.array([side.start for side in box]), np.array([side.stop for side in box])
    reach = corners(np.linalg.inv(in_of_out), start - 0.5, stop - 0.5)
    low = np.clip(np.floor(reach.min(axis=0)), 0, out_shape).astype(int)
    high = np.clip(np.ceil(reach.max(axis=0)) + 1, 0, out_shape).astype(int)
    inner = in_of_out.copy()
    inner[:3, 3] += in_of_out[:3, :3] @ low - start
    weight = _sample(picture[box].astype(np.float32), inner, shape3(high - low))
    crowd = ndimage.uniform_filter(weight, 3, mode="constant")
    window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    return window, np.where(weight > 0, weight + TIE * crowd, 0)


def _box(picture: np.ndarray) -> tuple[slice, ...] | None:
    """The box around all that is set and one voxel more, within the array; None if nothing is. Fastest for Fortran order."""
    found = ndimage.find_objects(picture.T.view(np.uint8))
    if not found or found[0] is None:
        return None
    sides = zip(found[0][::-1], picture.shape, strict=True)
    return tuple(slice(max(side.start - 1, 0), min(side.stop + 1, n)) for side, n in sides)
