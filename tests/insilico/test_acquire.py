"""Acquisition keeps constants, ramps and positions; storage order changes nothing in the world."""

from __future__ import annotations

import math
from dataclasses import replace

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from rnfm.core import keyed
from rnfm.insilico import acquire
from rnfm.insilico.scanners import SITE_A, SITE_B, Scanner, pool_scanner

SCANNERS = [SITE_A[0], SITE_B[0], pool_scanner(0, 3), pool_scanner(0, 7)]


def grid(shape: tuple[int, int, int] = (40, 44, 48), voxel_mm: float = 1.0) -> list[NDArray[np.float64]]:
    return [-20.0 + voxel_mm * np.arange(size) for size in shape]


@pytest.mark.parametrize("scanner", SCANNERS, ids=lambda item: item.name)
def test_a_constant_stays_and_a_ramp_keeps_its_place(scanner: Scanner) -> None:
    sampled = acquire.sampling(grid(), scanner, 1.0)
    ones = sampled.apply(np.ones((40, 44, 48), np.float32))
    assert ones.shape == sampled.shape
    assert ones == pytest.approx(np.ones(sampled.shape), abs=1e-4)
    x, y, z = np.meshgrid(*grid(), indexing="ij", sparse=True)
    ramp = sampled.apply((x + 2 * y - z).astype(np.float32))
    cx, cy, cz = np.meshgrid(*sampled.centres_mm, indexing="ij", sparse=True)
    inner = (slice(3, -3), slice(3, -3), slice(3, -3))
    if min(ramp[inner].shape):
        assert ramp[inner] == pytest.approx((cx + 2 * cy - cz)[inner], abs=0.02)


def test_a_thick_slice_is_the_mean_over_its_thickness() -> None:
    positions_mm = np.arange(30.0)
    matrix = acquire.profile_matrix(positions_mm, np.array([14.5]), width_mm=6.0, soft_mm=0.05).toarray()[0]
    expected = np.where(np.abs(positions_mm - 14.5) < 3, 1 / 6, 0)
    assert matrix == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("scanner", SCANNERS, ids=lambda item: item.name)
def test_a_part_is_sampled_like_the_whole(scanner: Scanner) -> None:
    sampled = acquire.sampling(grid(), scanner, 1.0)
    part = np.random.default_rng(0).random((9, 8, 12)).astype(np.float32)
    whole = np.zeros((40, 44, 48), np.float32)
    whole[5:14, 20:28, 30:42] = part
    found, window = sampled.apply_part(part, (5, 20, 30))
    expected = sampled.apply(whole)
    assert found == pytest.approx(expected[window], abs=1e-5)
    expected[window] = 0
    assert not expected.any()


@pytest.mark.parametrize("axcodes", ["RAS", "LPS", "LAS", "PSL", "RSA", "PSR"])
def test_storage_order_keeps_every_voxel_where_it_is(axcodes: str) -> None:
    scanner = replace(SITE_B[0], axcodes=axcodes, tilts_deg=(0.0, 0.0, 0.0))
    sampled = acquire.sampling(grid(), scanner, 1.0)
    array = np.random.default_rng(0).integers(0, 9000, sampled.shape).astype(np.int16)
    turned, affine = acquire.stored(array, sampled, scanner)
    assert "".join(nibabel.aff2axcodes(affine)) == axcodes
    for index in ((0, 0, 0), (3, 5, 2), tuple(size - 1 for size in turned.shape)):
        world_mm = nibabel.affines.apply_affine(affine, index)
        at = tuple(int(np.abs(c - w).argmin()) for c, w in zip(sampled.centres_mm, world_mm, strict=True))
        assert [c[i] for c, i in zip(sampled.centres_mm, at, strict=True)] == pytest.approx(world_mm.tolist())
        assert turned[index] == array[at]


def test_oblique_slices_are_turned_in_the_world_and_nowhere_else() -> None:
    straight = replace(SITE_B[0], tilts_deg=(0.0, 0.0, 0.0))
    oblique = replace(straight, tilts_deg=(-16.0, 2.0, 3.0))
    sampled = acquire.sampling(grid(), straight, 1.0)
    array = np.arange(np.prod(sampled.shape)).reshape(sampled.shape)
    (plain, plain_affine), (turned, turned_affine) = (
        acquire.stored(array, sampled, scanner) for scanner in (straight, oblique)
    )
    assert np.array_equal(plain, turned)
    # SciPy's Euler angles "XYZ" (turns about moving axes) are the same three turns; ours about A runs the other way round.
    rotation = Rotation.from_euler("XYZ", (-16.0, -2.0, 3.0), degrees=True).as_matrix()
    assert turned_affine[:3] == pytest.approx(rotation @ plain_affine[:3])
    assert nibabel.affines.voxel_sizes(turned_affine) == pytest.approx(nibabel.affines.voxel_sizes(plain_affine))
    assert nibabel.affines.obliquity(turned_affine).max() == pytest.approx(math.radians(16), abs=0.02)


def test_the_coil_is_smooth_and_as_strong_as_asked() -> None:
    corners = (np.full(3, -90.0), np.full(3, 100.0))
    axes = [np.arange(-80.0, 80.0, 8.0)] * 3
    scanner = replace(SITE_A[0], bias=0.2)
    logs = np.concatenate(
        [np.log(acquire.coil(axes, scanner, keyed.rng(0, "coil", k), corners)).ravel() for k in range(30)]
    )
    assert logs.std() == pytest.approx(0.2, rel=0.3)
    field = acquire.coil(axes, scanner, keyed.rng(0, "coil"), corners)
    assert field.min() > 0
    assert np.abs(np.diff(np.log(field), axis=0)).max() < 0.12  # over 8 mm
    part = acquire.coil([axis[5:9] for axis in axes], scanner, keyed.rng(0, "coil"), corners)
    assert part == pytest.approx(field[5:9, 5:9, 5:9], rel=1e-5)
