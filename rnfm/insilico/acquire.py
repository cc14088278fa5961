"""From signal in space to voxels in a file: coil sensitivity, in-plane blur, slice profile, sampling, storage order.

All of blur, profile and sampling is linear and separable: one sparse matrix an axis. Rows sum to 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnfm.insilico.anatomy import rotation_of
from rnfm.insilico.physics import FloatArray
from rnfm.insilico.scanners import Scanner
from rnfm.insilico.spline import along, covering

Axis = NDArray[np.float64]
COIL_SPACING_MM = 70.0
# What is left of independent coefficients of sd 1: (integral of the squared cubic B-spline = 151/315) ^ (3/2).
SPLINE_SD = (151 / 315) ** 1.5


@dataclass(frozen=True)
class Sampling:
    """The voxels of a scan along R, A, S: centres [mm], and the matrix that makes each from the simulated grid."""

    centres_mm: tuple[Axis, Axis, Axis]
    steps_mm: tuple[float, float, float]
    softness_mm: tuple[float, float, float]
    matrices: tuple[Any, Any, Any]

    @property
    def blurs_mm(self) -> list[float]:
        """Standard deviation of the whole profile along each axis [mm]: a box of one step, softened."""
        return [(step**2 / 12 + soft**2) ** 0.5 for step, soft in zip(self.steps_mm, self.softness_mm, strict=True)]

    @property
    def shape(self) -> tuple[int, int, int]:
        a, b, c = (len(axis) for axis in self.centres_mm)
        return a, b, c

    def apply(self, array: FloatArray) -> FloatArray:
        """A field on the whole simulated grid as voxels of the scan."""
        # The axis that shrinks most goes first: the rest has less to do.
        order = sorted(range(3), key=lambda axis: self.matrices[axis].shape[0] / self.matrices[axis].shape[1])
        for axis in order:
            array = along(self.matrices[axis], array, axis)
        return array

    def apply_part(
        self, part: FloatArray, start: tuple[int, int, int]
    ) -> tuple[FloatArray, tuple[slice, slice, slice]]:
        """A field that is zero outside `part` (placed at `start` in the simulated grid), and the voxels it reaches."""
        windows = []
        for axis, size in enumerate(part.shape):
            columns = self.matrices[axis][:, start[axis] : start[axis] + size]
            rows = np.flatnonzero(np.diff(columns.indptr))
            window = slice(int(rows[0]), int(rows[-1]) + 1) if len(rows) else slice(0, 0)
            part = along(columns[window], part, axis)
            windows.append(window)
        return part, (windows[0], windows[1], windows[2])


def sampling(grid_mm: list[Axis], scanner: Scanner, voxel_mm: float) -> Sampling:
    """How `scanner` samples the simulated grid, whose axes are evenly spaced positions [mm]."""
    centres, matrices = [], []
    steps_mm, softness_mm = scanner.steps_mm(voxel_mm), scanner.softness_mm(voxel_mm)
    for positions_mm, step_mm, soft_mm in zip(grid_mm, steps_mm, softness_mm, strict=True):
        length_mm = positions_mm[-1] - positions_mm[0] + voxel_mm
        count = max(int(length_mm / step_mm + 1e-6), 1)
        middle_mm = (positions_mm[0] + positions_mm[-1]) / 2
        centre_mm = middle_mm + (np.arange(count) - (count - 1) / 2) * step_mm
        centres.append(centre_mm)
        matrices.append(profile_matrix(positions_mm, centre_mm, width_mm=step_mm, soft_mm=soft_mm))
    return Sampling(
        (centres[0], centres[1], centres[2]), steps_mm, softness_mm, (matrices[0], matrices[1], matrices[2])
    )


def profile_matrix(positions_mm: Axis, centres_mm: Axis, *, width_mm: float, soft_mm: float) -> Any:
    """Sparse (centres, positions) weights of a box of `width_mm` softened by a Gaussian of sd `soft_mm`; rows sum to 1."""
    from scipy import sparse, special

    away = centres_mm[:, None] - positions_mm[None, :]
    scale = np.sqrt(2) * soft_mm
    weights = special.erf((away + width_mm / 2) / scale) - special.erf((away - width_mm / 2) / scale)
    weights[weights < 1e-3 * weights.max()] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    return sparse.csr_matrix(weights.astype(np.float32))


def coil(grid_mm: list[Axis], scanner: Scanner, rng: np.random.Generator, full_mm: tuple[Axis, Axis]) -> FloatArray:
    """The coil's sensitivity on the grid: smooth, positive, about 1. `full_mm` are the corners of the whole head's box."""
    lattice = covering(full_mm[0].tolist(), full_mm[1].tolist(), COIL_SPACING_MM)
    coefficients = rng.standard_normal(lattice.shape)
    coefficients -= coefficients.mean()
    return np.exp(lattice.evaluate(coefficients * (scanner.bias / SPLINE_SD), grid_mm))


def stored(array: NDArray[Any], sampled: Sampling, scanner: Scanner) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Voxels in storage order and their affine (voxel -> RAS mm). `array` runs to R, A, S, turned by the scanner's tilts."""
    from nibabel import orientations

    affine = np.diag([*sampled.steps_mm, 1.0])
    affine[:3, 3] = [centre_mm[0] for centre_mm in sampled.centres_mm]
    change = orientations.ornt_transform(
        orientations.axcodes2ornt(("R", "A", "S")), orientations.axcodes2ornt(tuple(scanner.axcodes))
    )
    turned = orientations.apply_orientation(array, change)
    affine[:3] = rotation_of(scanner.tilts_deg) @ affine[:3]
    return np.asfortranarray(turned), affine @ orientations.inv_ornt_aff(change, array.shape)
