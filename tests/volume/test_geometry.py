"""Where a voxel goes: a table of grids, each held to figures that follow from the file's affine alone, then properties."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.affines import apply_affine
from nibabel.eulerangles import euler2mat

from rnfm.core.ledger import Reason
from rnfm.volume import ScanFault, Volume, canonicalise, load, restore
from rnfm.volume.geometry import canonical_grid, grids_differ_by, turned

CENTRE_MM = np.array([11.3, -27.9, 42.4])


def affine_of(axes: str, spacing: tuple[float, float, float], angles=(0.0, 0.0, 0.0)) -> np.ndarray:
    """Voxel -> RAS mm of a grid whose axes run to `axes`, turned about z, y, x [radian]."""
    codes = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
    linear = np.zeros((3, 3))
    for column, (code, mm) in enumerate(zip(axes, spacing, strict=True)):
        row, sign = codes[code]
        linear[row, column] = sign * mm
    affine = np.eye(4)
    affine[:3, :3] = euler2mat(*angles) @ linear
    affine[:3, 3] = CENTRE_MM
    return affine


SHEAR = np.array([[1, 0.2, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
GRIDS = {
    "RAS 1 mm": ((60, 56, 52), affine_of("RAS", (1, 1, 1))),
    "LAS": ((60, 56, 52), affine_of("LAS", (1, 1, 1))),
    "LPS, thin voxels": ((90, 96, 88), affine_of("LPS", (0.6, 0.6, 0.6))),
    "PIL": ((52, 50, 48), affine_of("PIL", (1.1, 0.9, 1.2))),
    "thick slices": ((64, 64, 14), affine_of("LPS", (0.9, 0.9, 4.0))),
    "coarse": ((30, 30, 30), affine_of("RAS", (2, 2, 2))),
    "half": ((110, 110, 110), affine_of("RAS", (0.5, 0.5, 0.5))),
    "oblique": ((64, 64, 60), affine_of("LAS", (1.0, 1.0, 1.2), (0.3, -0.2, 0.15))),
    "oblique thick": ((64, 64, 16), affine_of("RPI", (1.0, 1.0, 4.0), (0.1, 0.25, -0.2))),
    "sheared": ((60, 56, 52), affine_of("RAS", (1, 1, 1)) @ SHEAR),
}
SOURCES = [*GRIDS, "big-endian", "scaled int16", "sform against qform", "qform only"]


def ramp(places_mm: np.ndarray) -> np.ndarray:
    """A linear function of place that stays within about 0..1 over every grid of the table."""
    return (places_mm - np.array([11.3, -27.9, 42.4])) @ np.array([0.003, -0.002, 0.0025]) + 0.5


def places(shape: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
    return apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))


def write(path: Path, name: str, data: np.ndarray, affine: np.ndarray) -> Path:
    """The array as the table's row says it lies on the disk."""
    path = path / "scan.nii.gz"
    header = nibabel.Nifti1Header(endianness=">") if name == "big-endian" else None
    image = nibabel.Nifti1Image(data, affine, header)
    if name == "scaled int16":
        image = nibabel.Nifti1Image(np.rint((data - 0.25) / 1e-4).astype(np.int16), affine)
        image.header.set_slope_inter(1e-4, 0.25)
    image.set_sform(affine, code=0 if name == "qform only" else 1)
    image.set_qform(affine_of("RAS", (1, 1, 1)) if name == "sform against qform" else affine, code=1)
    nibabel.save(image, path)
    return path


def grid(name: str) -> tuple[tuple[int, int, int], np.ndarray]:
    return GRIDS.get(name, GRIDS["thick slices"])


def inside(volume: Volume, shape: tuple[int, ...], affine: np.ndarray, margin_vox: float) -> np.ndarray:
    """Voxels of `volume` whose place lies that far within the centres of a grid's outer voxels."""
    index = apply_affine(np.linalg.inv(affine), places(volume.shape, volume.affine))
    return ((index >= margin_vox) & (index <= np.array(shape) - 1 - margin_vox)).all(axis=-1)


def stored(tmp_path: Path, name: str, data: np.ndarray) -> Volume:
    """`data` after a trip to the disk as the row `name` of the table."""
    return load(write(tmp_path, name, data.astype(np.float32), grid(name)[1]))


@pytest.mark.parametrize("name", SOURCES)
def test_a_linear_ramp_survives(tmp_path: Path, name: str) -> None:
    shape, affine = grid(name)
    canonical = canonicalise(stored(tmp_path, name, ramp(places(shape, affine))))
    reach_vox = 3 if name in ("half", "LPS, thin voxels") else 0  # of the anti-alias filter
    where = inside(canonical, shape, affine, margin_vox=reach_vox)
    assert where.mean() > 0.2
    error = np.abs(canonical.data - ramp(places(canonical.shape, canonical.affine)))[where]
    assert error.max() < 2e-3


@pytest.mark.parametrize("name", SOURCES)
def test_a_bright_point_stays_where_it_was(tmp_path: Path, name: str) -> None:
    shape, affine = grid(name)
    at = np.array(shape) // 2 + np.array([3, -4, 1])
    data = np.zeros(shape)
    data[tuple(at)] = 1
    canonical = canonicalise(stored(tmp_path, name, data))
    found = np.unravel_index(canonical.data.argmax(), canonical.shape)
    gap_mm = apply_affine(canonical.affine, found) - apply_affine(affine, at)
    # Half the diagonal of a 1 mm voxel. Of a tilted 4 mm slice the brightest voxel need not be the nearest one.
    assert np.linalg.norm(gap_mm) <= (1.0 if name == "oblique thick" else 0.87)
    weights = canonical.data.clip(0)[..., None]
    centre_mm = (weights * places(canonical.shape, canonical.affine)).sum(axis=(0, 1, 2)) / weights.sum()
    assert np.linalg.norm(centre_mm - apply_affine(affine, at)) < 0.35


@pytest.mark.parametrize("spacing", [1.0, 2.0])
@pytest.mark.parametrize("name", SOURCES)
def test_a_sphere_keeps_volume_and_centre(tmp_path: Path, name: str, spacing: float) -> None:
    shape, affine = grid(name)
    centre = apply_affine(affine, (np.array(shape) - 1) / 2) + np.array([0.7, -0.4, 1.3])
    ball = np.linalg.norm(places(shape, affine) - centre, axis=-1) < 12
    source = Volume((ball * 5).astype(np.uint16), affine)
    canonical = canonicalise(source, (spacing,) * 3, is_mask=True)
    assert canonical.data.dtype == np.uint16
    assert set(np.unique(canonical.data)) == {0, 5}
    volume = (canonical.data > 0).sum() * spacing**3 / (ball.sum() * abs(np.linalg.det(affine[:3, :3])))
    assert volume == pytest.approx(1, abs=0.01)
    centroid = places(canonical.shape, canonical.affine)[canonical.data > 0].mean(axis=0)
    assert np.linalg.norm(centroid - places(shape, affine)[ball].mean(axis=0)) < 0.35


@pytest.mark.parametrize("name", GRIDS)
def test_restore_returns_within_one_voxel(name: str) -> None:
    shape, affine = GRIDS[name]
    at = np.array(shape) // 2 + np.array([2, -3, 1])
    source = Volume(np.zeros(shape, np.float32), affine)
    source.data[tuple(slice(x - 1, x + 2) for x in at)] = 1
    back = restore(canonicalise(source), like=source)
    assert back.shape == shape
    np.testing.assert_array_equal(back.affine, affine)
    weights = back.data.clip(0)
    found = np.array([(weights * axis).sum() for axis in np.indices(shape)]) / weights.sum()
    assert np.abs(found - at).max() < 1
    labels = restore(canonicalise(Volume((source.data * 3).astype(np.uint8), affine), is_mask=True), (shape, affine))
    assert set(np.unique(labels.data)) == {0, 3}
    assert labels.data.dtype == np.uint8


@settings(max_examples=40, deadline=None)
@given(st.permutations(range(3)), st.tuples(*[st.sampled_from([1, -1])] * 3), st.tuples(*[st.floats(-0.6, 0.6)] * 3))
def test_a_grid_is_found_in_each_of_its_48_orders(order: list[int], flips: tuple[int, ...], angles) -> None:
    data = np.random.default_rng(0).normal(size=(5, 7, 6)).astype(np.float32)
    image = nibabel.Nifti1Image(data, affine_of("LPS", (0.9, 1.1, 4.0), angles))
    stored = image.as_reoriented(np.column_stack([order, flips]))
    back = turned(Volume(np.asarray(stored.dataobj), stored.affine), (image.shape, image.affine))
    assert back is not None
    np.testing.assert_array_equal(back.data, data)
    np.testing.assert_allclose(back.affine, image.affine, atol=1e-9)


def test_a_grid_that_no_order_fits_is_none() -> None:
    volume = Volume(np.zeros((5, 7, 6), np.float32), affine_of("RAS", (1, 1, 1)))
    assert turned(volume, ((5, 6, 7), volume.affine)) is None
    assert turned(volume, ((5, 7, 6), affine_of("RAS", (1, 1, 1), (np.pi / 4, 0, 0)))) is None


def test_the_origin_rule_by_hand() -> None:
    # Source boxes: -9.5..0.5, -9.5..0.5, -2.5..17.5 mm; 2 mm voxels fit exactly and start half a voxel in.
    shape, affine = canonical_grid((10, 10, 4), np.diag([-1.0, -1, 5, 1]), (2.0, 2.0, 2.0))
    assert shape == (5, 5, 10)
    np.testing.assert_allclose(affine, [[2, 0, 0, -8.5], [0, 2, 0, -8.5], [0, 0, 2, -1.5], [0, 0, 0, 1]])
    # 10 mm in voxels of 3: four voxels, 1 mm over on each side, so the first centre lies at -0.5 - 1 + 1.5.
    shape, affine = canonical_grid((10, 10, 10), np.eye(4), (3.0, 3.0, 3.0))
    assert shape == (4, 4, 4)
    np.testing.assert_allclose(affine[:3, 3], 0)


@settings(max_examples=25, deadline=None)
@given(st.permutations("RAS"), st.tuples(*[st.booleans()] * 3), st.integers(0, 10**6))
def test_an_aligned_grid_is_only_reordered(order: list[str], flips: tuple[bool, ...], seed: int) -> None:
    opposite = {"R": "L", "A": "P", "S": "I"}
    axes = "".join(opposite[code] if flip else code for code, flip in zip(order, flips, strict=True))
    data = np.random.default_rng(seed).normal(size=(5, 7, 6)).astype(np.float32)
    image = nibabel.Nifti1Image(data, affine_of(axes, (1.5, 1.5, 1.5)))
    canonical = canonicalise(Volume(data, image.affine), (1.5, 1.5, 1.5))
    expected = nibabel.as_closest_canonical(image)
    np.testing.assert_array_equal(canonical.data, expected.get_fdata(dtype=np.float32))
    np.testing.assert_allclose(canonical.affine, expected.affine, atol=1e-9)


@settings(max_examples=15, deadline=None)
@given(st.tuples(*[st.floats(0.7, 3)] * 3), st.tuples(*[st.floats(-0.5, 0.5)] * 3), st.floats(0.8, 2.5))
def test_canonicalising_twice_changes_nothing(spacing, angles, target: float) -> None:
    source = Volume(
        np.random.default_rng(0).normal(size=(9, 8, 7)).astype(np.float32), affine_of("LIP", spacing, angles)
    )
    once = canonicalise(source, (target,) * 3)
    twice = canonicalise(once, (target,) * 3)
    np.testing.assert_array_equal(once.data, twice.data)
    np.testing.assert_allclose(once.affine, twice.affine, atol=1e-9)
    assert once.axes == "RAS"


def test_touching_labels_do_not_mix_and_a_tiny_one_does_not_vanish() -> None:
    labels = np.zeros((24, 24, 24), np.uint16)
    labels[4:12, 4:20, 4:20], labels[12:20, 4:20, 4:20] = 1, 7
    labels[22, 22, 22] = 300  # one voxel of 1 mm, an eighth of the new voxel
    canonical = canonicalise(Volume(labels, affine_of("LPS", (1, 1, 1))), (2, 2, 2), is_mask=True)
    assert set(np.unique(canonical.data)) == {0, 1, 7, 300}
    assert [int((canonical.data == v).sum()) for v in (1, 7, 300)] == [256, 256, 1]


def test_small_lesions_keep_volume_and_place_on_a_coarser_grid() -> None:
    for seed in range(12):
        centre = 20 + np.random.default_rng(seed).uniform(-1, 1, 3)
        ball = np.linalg.norm(places((40, 40, 40), np.eye(4)) - centre, axis=-1) < 4
        canonical = canonicalise(Volume(ball.astype(np.uint8), np.eye(4)), (2, 2, 2), is_mask=True)
        assert abs((canonical.data > 0).sum() * 8 - ball.sum()) <= 4
        centroid = places(canonical.shape, canonical.affine)[canonical.data > 0].mean(axis=0)
        assert np.linalg.norm(centroid - np.argwhere(ball).mean(axis=0)) < 0.35


def test_of_equal_voxels_a_label_keeps_its_inner_ones() -> None:
    slab = np.zeros((24, 24, 24), np.uint8)
    slab[6:16, 6:16, 10:13] = 1  # 300 mm3: 25 whole voxels of 8 mm3, and 13 of 25 that are half its own
    canonical = canonicalise(Volume(slab, np.eye(4)), (2, 2, 2), is_mask=True)
    assert (canonical.data > 0).sum() == 38
    centroid = places(canonical.shape, canonical.affine)[canonical.data > 0].mean(axis=0)
    assert np.abs(centroid - np.argwhere(slab).mean(axis=0)).max() < 0.5  # a quarter of a voxel


def test_coarser_grids_are_smoothed_first() -> None:
    noise = np.random.default_rng(0).normal(size=(64, 64, 64)).astype(np.float32)
    thin = canonicalise(Volume(noise, affine_of("RAS", (0.5, 0.5, 0.5))), (2, 2, 2))
    assert thin.data.std() < 0.25  # picking every fourth pair would leave 0.35 or more


def test_refuses_a_grid_that_would_fill_the_memory() -> None:
    huge = Volume(np.zeros((64, 64, 64), np.float32), affine_of("RAS", (400, 400, 400)))
    with pytest.raises(
        ScanFault, match=r"canonical grid would have 25600 x 25600 x 25600 voxels, more than 2\^28"
    ) as error:
        canonicalise(huge)
    assert error.value.reason is Reason.TOO_LARGE


def test_distance_of_grids_in_voxels() -> None:
    moved = affine_of("RAS", (1, 1, 4)).copy()
    moved[2, 3] += 2
    assert grids_differ_by((8, 8, 8), affine_of("RAS", (1, 1, 4)), moved) == pytest.approx(2)


def test_a_volume_needs_three_axes_and_an_affine() -> None:
    with pytest.raises(ValueError, match="a volume is 3-D with a 4x4 affine"):
        Volume(np.zeros((2, 2)), np.eye(4))
