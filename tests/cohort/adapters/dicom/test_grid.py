"""The grid of a series out of its headers: an affine worked out by hand, a property over oblique series, and each fault."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnfm.cohort.adapters.dicom.grid import Grid, Plane, grid, same_place

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def _planes(heights_mm: list[float], **given) -> list[Plane]:
    facts = {"orientation": AXIAL, "pixel_spacing_mm": (0.5, 2.0), "rows": 7, "columns": 5, **given}
    return [Plane((10.0, 20.0, height), **facts) for height in heights_mm]


def test_an_affine_by_hand() -> None:
    """Rows are 0.5 mm apart (first number), columns 2 mm; LPS (10, 20, -6) is RAS (-10, -20, -6); slices are put in order."""
    found = grid(_planes([-3.0, -6.0, 0.0]))
    assert isinstance(found, Grid)
    assert found.shape_vox == (5, 7, 3)
    np.testing.assert_allclose(
        found.affine, [[-2, 0, 0, -10], [0, -0.5, 0, -20], [0, 0, 3, -6], [0, 0, 0, 1]], atol=1e-12
    )


@settings(max_examples=60, deadline=None)
@given(
    angles=st.tuples(*[st.floats(-3, 3)] * 3),
    vox=st.tuples(st.integers(0, 8), st.integers(0, 6), st.integers(0, 5)),
    gap_mm=st.floats(0.5, 6),
    seed=st.integers(0, 99),
)
def test_any_voxel_of_any_oblique_series_is_where_the_standard_puts_it(angles, vox, gap_mm, seed) -> None:
    turn = _rotation(*angles)
    across, down, normal = turn[:, 0], turn[:, 1], turn[:, 2]
    origin = np.array([-30.0, 12.0, 44.0])
    planes = [
        Plane(tuple(origin + k * gap_mm * normal), (*across, *down), (1.5, 0.8), rows=7, columns=9) for k in range(6)
    ]
    found = grid([planes[k] for k in np.random.default_rng(seed).permutation(6)])
    assert isinstance(found, Grid)
    lps = origin + vox[0] * 0.8 * across + vox[1] * 1.5 * down + vox[2] * gap_mm * normal
    np.testing.assert_allclose(found.affine @ [*vox, 1], [-lps[0], -lps[1], lps[2], 1], atol=1e-6)


@pytest.mark.parametrize(
    ("planes", "why"),
    [
        (_planes([0.0]), "a single slice"),
        (_planes([0.0, 3.0, 6.0, 12.0]), "slices 3.00 to 6.00 mm apart, so some are missing or uneven"),
        (_planes([0.0, 3.0, 3.0, 6.0]), "several images at one slice position"),
        (_planes([0.0, 3.0]) + _planes([6.0], rows=8), "slices of different sizes in one series"),
        (
            _planes([0.0, 3.0]) + _planes([6.0], orientation=(0.0, 1.0, 0.0, 1.0, 0.0, 0.0)),
            "slices of different directions or pixel sizes in one series",
        ),
        (
            _planes([0.0, 3.0], orientation=(1.0, 0, 0, 1, 0, 0)),
            "direction cosines or pixel sizes that describe no slice",
        ),
        (
            [Plane((0.0, 0.3 * k, 3.0 * k), AXIAL, (1.0, 1.0), 8, 8) for k in range(4)],
            "slices tilted against the direction in which they follow each other",
        ),
        (
            [Plane((float(k == 1), 0.0, 3.0 * k), AXIAL, (1.0, 1.0), 8, 8) for k in range(4)],
            "slices that are not in one line",
        ),
    ],
)
def test_each_fault_has_its_phrase(planes: list[Plane], why: str) -> None:
    assert grid(planes) == why


def test_headers_rounded_to_a_hundredth_are_even() -> None:
    assert isinstance(grid(_planes([round(k * 4 / 3, 2) for k in range(20)])), Grid)


def test_flips_and_other_orders_of_axes_are_the_same_place_and_a_shift_is_not() -> None:
    ours = grid(_planes([0.0, 3.0, 6.0]))
    assert isinstance(ours, Grid)
    flip = np.array([[0, -1, 0, 6], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], float)  # (j, 6 - i, k)
    assert same_place(ours, ours.affine @ np.linalg.inv(flip), (7, 5, 3))
    shifted = ours.affine.copy()
    shifted[2, 3] += 0.2
    assert not same_place(ours, shifted, ours.shape_vox)
    assert not same_place(ours, ours.affine, (5, 7, 4))


def _rotation(a: float, b: float, c: float) -> np.ndarray:
    rx = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    ry = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    rz = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return rx @ ry @ rz
