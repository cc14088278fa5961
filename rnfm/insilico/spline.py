"""Smooth fields on a few control points, evaluated on whole grids: separable cubic B-splines as sparse matrices.

A field on a regular grid is three small matrix products, some hundred times faster than evaluating it point by point.
Coefficients are taken as given (no interpolating prefilter), so linear fields are reproduced exactly and all else a
little smoother. Sparse products run in one thread and in one order, so results do not depend on the number of cores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnfm.insilico.physics import FloatArray


@dataclass(frozen=True)
class Lattice:
    """Control points: the first one [mm], their spacing [mm] and their number along each axis."""

    start_mm: tuple[float, float, float]
    spacing_mm: float
    shape: tuple[int, int, int]

    def points_mm(self) -> NDArray[np.float64]:
        """Positions of the control points, (3, n0, n1, n2)."""
        axes = [
            start + self.spacing_mm * np.arange(size) for start, size in zip(self.start_mm, self.shape, strict=True)
        ]
        return np.stack(np.meshgrid(*axes, indexing="ij"))

    def evaluate(self, coefficients: NDArray[Any], axes_mm: Sequence[NDArray[np.float64]]) -> FloatArray:
        """The spline with `coefficients` (n0, n1, n2) on the grid spanned by three axes [mm], float32."""
        return self.evaluate_first(self.evaluate_last_two(coefficients, axes_mm), axes_mm[0])

    def evaluate_last_two(self, coefficients: NDArray[Any], axes_mm: Sequence[NDArray[np.float64]]) -> FloatArray:
        """Only the last two of three axes: (n0, len(axes_mm[1]), len(axes_mm[2])), still small."""
        # The last axis first: the arrays stay small until the last product, which writes in C order.
        array = np.asarray(coefficients, np.float32)
        for axis in (2, 1):
            array = along(self._matrix(axis, axes_mm[axis]), array, axis)
        return array

    def evaluate_first(self, partial: FloatArray, axis_mm: NDArray[np.float64]) -> FloatArray:
        """The first axis, after `evaluate_last_two`."""
        return along(self._matrix(0, axis_mm), partial, 0)

    def _matrix(self, axis: int, positions_mm: NDArray[np.float64]) -> Any:
        return spline_matrix(positions_mm, self.start_mm[axis], self.spacing_mm, self.shape[axis])


def covering(low_mm: Sequence[float], high_mm: Sequence[float], spacing_mm: float) -> Lattice:
    """The lattice whose cubic splines are complete everywhere between two corners."""
    shape = [int(np.ceil((high - low) / spacing_mm)) + 4 for low, high in zip(low_mm, high_mm, strict=True)]
    start = [low - 1.5 * spacing_mm for low in low_mm]
    return Lattice((start[0], start[1], start[2]), spacing_mm, (shape[0], shape[1], shape[2]))


def spline_matrix(positions_mm: NDArray[np.float64], start_mm: float, spacing_mm: float, size: int) -> Any:
    """Sparse (positions, size) matrix of the cubic B-spline weights; beyond the ends the end coefficients go on."""
    from scipy import sparse

    where = (np.asarray(positions_mm, np.float64) - start_mm) / spacing_mm
    base = np.floor(where)
    t = where - base
    weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1) / 6
    columns = np.clip(base[:, None].astype(np.int64) + np.arange(-1, 3), 0, size - 1)
    rows = np.repeat(np.arange(len(where)), 4)
    # Equal (row, column) pairs at the ends are summed by the constructor.
    return sparse.csr_matrix((weights.ravel().astype(np.float32), (rows, columns.ravel())), shape=(len(where), size))


def along(matrix: Any, array: FloatArray, axis: int) -> FloatArray:
    """Apply a (sparse) matrix along one axis of a 3-D array; the result is contiguous."""
    moved = np.ascontiguousarray(np.moveaxis(array, axis, 0))
    out = matrix @ moved.reshape(moved.shape[0], -1)
    return np.ascontiguousarray(np.moveaxis(out.reshape(-1, *moved.shape[1:]), 0, axis))
