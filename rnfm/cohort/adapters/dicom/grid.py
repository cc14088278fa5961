"""The voxel grid of a DICOM series, worked out from its headers alone.

A header says where the centre of a slice's first pixel lies (ImagePositionPatient), which way columns and rows run
(ImageOrientationPatient) and how far apart pixels are (PixelSpacing): DICOM PS3.3 C.7.6.2.1.1. Patient axes there run to
the patient's Left, Posterior, Superior; everything that leaves this file is RAS.

    x_LPS = position(k) + column_step * i + row_step * j        i: column, j: row, k: slice along the normal

It serves twice: to refuse a series with missing, doubled or unevenly spaced slices before it is converted, and to check
where the converter put the corners. Nothing is shared with the converter.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LPS_TO_RAS = (-1.0, -1.0, 1.0, 1.0)
SPACING_TOLERANCE = 0.02  # of the slice distance: headers are rounded to 0.01 mm at worst, a lost slice is 100 %
CORNER_TOLERANCE_MM = 0.1
PARALLEL_TOLERANCE = 1e-3  # difference of direction cosines within one series


@dataclass(frozen=True)
class Plane:
    """One slice as its header describes it; positions and directions are LPS."""

    position_mm: tuple[float, float, float]
    orientation: tuple[float, float, float, float, float, float]
    pixel_spacing_mm: tuple[float, float]  # between rows, between columns, as DICOM orders them
    rows: int
    columns: int


@dataclass(frozen=True)
class Grid:
    """`affine` (4, 4) maps (column, row, slice) to RAS mm; slices in the order of the normal."""

    affine: NDArray[np.float64]
    shape_vox: tuple[int, int, int]


def grid(planes: Sequence[Plane]) -> Grid | str:
    """The regular grid of these slices, or why there is none (a phrase without any value that could identify)."""
    import numpy as np

    first = planes[0]
    if any((plane.rows, plane.columns) != (first.rows, first.columns) for plane in planes):
        return "slices of different sizes in one series"
    turns = np.array([plane.orientation for plane in planes])
    pixels = np.array([plane.pixel_spacing_mm for plane in planes])
    if np.abs(turns - turns[0]).max() > PARALLEL_TOLERANCE or np.abs(pixels - pixels[0]).max() > PARALLEL_TOLERANCE:
        return "slices of different directions or pixel sizes in one series"
    across, down = turns[0, :3], turns[0, 3:]
    normal = np.cross(across, down)
    if abs(np.linalg.norm(normal) - 1) > 0.01 or pixels[0].min() <= 0:
        return "direction cosines or pixel sizes that describe no slice"
    positions = np.array([plane.position_mm for plane in planes])
    positions = positions[np.argsort(positions @ normal, kind="stable")]
    step = _step(positions, normal)
    if isinstance(step, str):
        return step
    lps = np.eye(4)
    lps[:3, 0], lps[:3, 1] = across * pixels[0, 1], down * pixels[0, 0]
    lps[:3, 2], lps[:3, 3] = step, positions[0]
    return Grid(np.diag(LPS_TO_RAS) @ lps, (first.columns, first.rows, len(planes)))


def _step(positions: NDArray[np.float64], normal: NDArray[np.float64]) -> NDArray[np.float64] | str:
    """From one slice to the next [mm, LPS]; a phrase if they are doubled, uneven, or shifted against each other."""
    import numpy as np

    if len(positions) < 2:
        return "a single slice"
    gaps_mm = np.diff(positions @ normal)
    usual_mm = float(np.median(gaps_mm))
    if gaps_mm.min() < 0.01:
        return "several images at one slice position"
    if np.abs(gaps_mm - usual_mm).max() > max(SPACING_TOLERANCE * usual_mm, 0.01):
        return f"slices {gaps_mm.min():.2f} to {gaps_mm.max():.2f} mm apart, so some are missing or uneven"
    step: NDArray[np.float64] = (positions[-1] - positions[0]) / (len(positions) - 1)
    if np.abs(positions - positions[0] - np.arange(len(positions))[:, None] * step).max() > CORNER_TOLERANCE_MM:
        return "slices that are not in one line"
    if np.linalg.norm(np.cross(step, normal)) > CORNER_TOLERANCE_MM:
        return "slices tilted against the direction in which they follow each other"
    return step


def same_place(expected: Grid, affine: NDArray[np.float64], shape_vox: tuple[int, ...]) -> bool:
    """Whether another grid, however its axes are flipped or ordered, has its 8 corner voxels where ours has them."""
    import numpy as np

    if sorted(shape_vox) != sorted(expected.shape_vox):
        return False
    ours, theirs = _corners_mm(expected.affine, expected.shape_vox), _corners_mm(affine, shape_vox)
    distances_mm = np.linalg.norm(ours[:, None] - theirs[None], axis=-1)
    return bool(distances_mm.min(axis=0).max() <= CORNER_TOLERANCE_MM >= distances_mm.min(axis=1).max())


def _corners_mm(affine: NDArray[np.float64], shape_vox: Sequence[int]) -> NDArray[np.float64]:
    import numpy as np

    corners_vox = np.array(list(itertools.product(*((0, size - 1) for size in shape_vox))))
    placed: NDArray[np.float64] = corners_vox @ affine[:3, :3].T + affine[:3, 3]
    return placed
