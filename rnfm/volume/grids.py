"""Grids and what lies on them: shape, affine, distances. Needs NumPy only, so that whatever reads files starts quickly.

A grid is its shape (i, j, k) and a 4x4 affine, float64, from voxel indices to RAS mm (`_vox`, `_mm`). A voxel is a box around
its centre: the box of a grid goes from index -0.5 to n - 0.5.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

Shape = tuple[int, int, int]
Spacing = tuple[float, float, float]
Grid = tuple[Shape, np.ndarray]


@dataclass(frozen=True, eq=False)
class Volume:
    """An image on a grid: `data` (i, j, k), `affine` 4x4 float64 from voxel indices to RAS mm."""

    data: np.ndarray
    affine: np.ndarray

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        if self.data.ndim != 3 or affine.shape != (4, 4):
            raise ValueError(f"a volume is 3-D with a 4x4 affine, not {self.data.shape} with {affine.shape}")
        object.__setattr__(self, "affine", affine)

    @property
    def shape(self) -> Shape:
        return shape3(self.data.shape)

    @property
    def spacing_mm(self) -> Spacing:
        return spacing_of(self.affine)

    @property
    def axes(self) -> str:
        """The patient directions in which the axes run, such as 'RAS' or 'LPS' (of an oblique grid: the nearest)."""
        import nibabel

        return "".join(nibabel.aff2axcodes(self.affine))


def corners(affine: np.ndarray, low_vox: np.ndarray, high_vox: np.ndarray) -> np.ndarray:
    """The eight corners (8, 3) of an index box, mapped by `affine`."""
    points = np.array(list(itertools.product(*zip(low_vox, high_vox, strict=True))))
    return np.asarray(points @ affine[:3, :3].T + affine[:3, 3])


def grids_differ_by(shape: Shape, affine_a: np.ndarray, affine_b: np.ndarray) -> float:
    """The largest distance between the two places of one voxel, in voxels of the finer spacing."""
    last = np.array(shape) - 1
    gap_mm = np.linalg.norm(corners(affine_a, 0 * last, last) - corners(affine_b, 0 * last, last), axis=1).max()
    return float(gap_mm / min(*spacing_of(affine_a), *spacing_of(affine_b)))


def spacing_of(affine: np.ndarray) -> Spacing:
    """Voxel size [mm] along each axis."""
    x, y, z = np.linalg.norm(affine[:3, :3], axis=0)
    return float(x), float(y), float(z)


def shape3(shape: tuple[int, ...] | np.ndarray) -> Shape:
    """Any three numbers as a tuple of plain integers."""
    a, b, c = (int(n) for n in shape)
    return a, b, c
