"""Separable splines against SciPy's point-by-point ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from rnfm.insilico.spline import along, covering, spline_matrix


def test_whole_grids_equal_points_one_by_one() -> None:
    rng = np.random.default_rng(0)
    lattice = covering((-10.0, 0.0, 5.0), (30.0, 21.0, 40.0), 7.0)
    coefficients = rng.standard_normal(lattice.shape)
    axes_mm = [np.linspace(-10, 30, 9), np.linspace(0, 21, 5), np.linspace(5, 40, 8)]
    found = lattice.evaluate(coefficients, axes_mm)
    points_mm = np.stack(np.meshgrid(*axes_mm, indexing="ij"))
    index = (points_mm - np.array(lattice.start_mm)[:, None, None, None]) / lattice.spacing_mm
    expected = ndimage.map_coordinates(coefficients, index, order=3, prefilter=False)
    assert found == pytest.approx(expected, abs=1e-5)
    assert found.dtype == np.float32


def test_linear_fields_are_reproduced() -> None:
    lattice = covering((0.0, 0.0, 0.0), (20.0, 20.0, 20.0), 5.0)
    x, y, z = lattice.points_mm()
    axes_mm = [np.arange(0, 20.5, 0.5)] * 3
    found = lattice.evaluate(2 * x - y + 0.5 * z + 3, axes_mm)
    gx, gy, gz = np.meshgrid(*axes_mm, indexing="ij")
    assert found == pytest.approx(2 * gx - gy + 0.5 * gz + 3, abs=1e-4)


def test_weights_sum_to_one_also_beyond_the_ends() -> None:
    matrix = spline_matrix(np.array([-100.0, 0.0, 3.3, 9.9, 100.0]), 0.0, 2.0, 6)
    assert np.asarray(matrix.sum(axis=1)).ravel() == pytest.approx(np.ones(5), abs=1e-6)
    assert matrix[0].toarray().ravel().tolist() == [1, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_along_equals_tensordot(axis: int) -> None:
    rng = np.random.default_rng(1)
    array = rng.standard_normal((4, 5, 6)).astype(np.float32)
    matrix = rng.standard_normal((3, array.shape[axis])).astype(np.float32)
    expected = np.moveaxis(np.tensordot(matrix, array, axes=(1, axis)), 0, axis)
    assert along(matrix, array, axis) == pytest.approx(expected, abs=1e-5)
