"""One scan from file to input: what comes out, where it lies, and that it is the same every time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from nibabel.affines import apply_affine

from rnfm.core.contract import BiasRule, InputContract, IntensityRule
from rnfm.core.ledger import Reason
from rnfm.volume import ScanFault, prepare_one
from rnfm.volume.single import cut, voxels_sha256, window

CONTRACT = InputContract(spacing_mm=(3.0, 3.0, 3.0))
AFFINE = np.array([[-3.0, 0, 0, 60], [0, -3, 0, 66], [0, 0, 3, -60], [0, 0, 0, 1]])


@pytest.fixture
def files(tmp_path: Path, save: Callable[..., Path], head_arrays) -> tuple[Path, Path]:
    raw, inner = head_arrays()
    return save(tmp_path / "scan.nii.gz", raw, AFFINE), save(tmp_path / "mask.nii.gz", inner * 7, AFFINE)


def test_what_comes_out(files: tuple[Path, Path], head_arrays) -> None:
    done = prepare_one(*files, CONTRACT)
    raw, inner = head_arrays()
    assert done.image.dtype == np.float32
    assert done.mask is not None
    assert done.mask.dtype == np.uint16
    assert done.image.shape == done.mask.shape
    assert all(n % 16 == 0 for n in done.image.shape)
    assert set(np.unique(done.mask)) == {0, 7}
    assert (done.mask == 7).sum() == inner.sum()
    assert done.source_shape == raw.shape
    np.testing.assert_array_equal(done.source_affine, AFFINE)
    assert [str(found.reason) for found in done.findings] == []
    assert done.foreground_voxels == pytest.approx(4 / 3 * np.pi * 15**3, rel=0.02)


def test_voxels_stay_at_their_place(files: tuple[Path, Path], head_arrays) -> None:
    """Every source voxel of the lesion, looked up through both affines, has its own intensity and label."""
    raw, inner = head_arrays()
    done = prepare_one(*files, CONTRACT)
    index = np.argwhere(inner)
    there = np.rint(apply_affine(np.linalg.inv(done.affine) @ AFFINE, index)).astype(int)
    mean, sd = done.intensity["mean"], done.intensity["sd"]
    np.testing.assert_allclose(done.image[tuple(there.T)], np.clip((raw[tuple(index.T)] - mean) / sd, -5, 5), atol=1e-4)
    assert (done.mask[tuple(there.T)] == 7).all()


def test_empty_space_is_the_rules_value_of_zero(tmp_path: Path, save, head_arrays) -> None:
    raw = head_arrays()[0][4:37, 6:39, 4:37]  # the head fills it: whatever is added lies beyond the grid
    file = save(tmp_path / "scan.nii.gz", raw, AFFINE)
    done = prepare_one(file, None, CONTRACT)
    assert done.mask is None
    assert done.image.shape == (48, 48, 48)
    expected = max(-done.intensity["mean"] / done.intensity["sd"], -5)
    assert done.background == pytest.approx(expected, abs=1e-6)
    assert (done.image[0] == np.float32(done.background)).all()


def test_the_margin_widens_the_window(files: tuple[Path, Path]) -> None:
    near, far = prepare_one(*files, CONTRACT, margin_mm=0), prepare_one(*files, CONTRACT, margin_mm=12)
    assert near.image.shape == (32, 32, 32)  # a ball of 15 voxels radius
    assert far.image.shape == (48, 48, 48)


def test_the_same_bits_every_time_and_whatever_held_the_scan(
    files: tuple[Path, Path], tmp_path: Path, save, head_arrays
) -> None:
    first, again = prepare_one(*files, CONTRACT), prepare_one(*files, CONTRACT)
    assert first.image.tobytes() == again.image.tobytes()
    other = save(tmp_path / "other.nii", head_arrays()[0].astype(np.float32), AFFINE)
    assert prepare_one(other, None, CONTRACT).voxels_sha256 == first.voxels_sha256


def test_the_hash_tells_shapes_and_values_apart() -> None:
    data = np.arange(24, dtype=np.float32)
    hashes = {voxels_sha256(data.reshape(s)) for s in ((2, 3, 4), (4, 3, 2))} | {
        voxels_sha256(data.reshape(2, 3, 4) + 1)
    }
    assert len(hashes) == 3
    assert voxels_sha256(np.asfortranarray(data.reshape(2, 3, 4))) in hashes


def test_other_rules_reach_the_image(files: tuple[Path, Path], head_arrays) -> None:
    raw = head_arrays()[0]
    scaled = prepare_one(*files, CONTRACT.model_copy(update={"intensity": IntensityRule(rule="percentile")})).image
    assert (scaled.min(), scaled.max()) == (0, 1)
    assert (
        prepare_one(*files, CONTRACT.model_copy(update={"intensity": IntensityRule(rule="none")})).image.max()
        == raw.max()
    )


def shifted(by_mm: float) -> np.ndarray:
    affine = AFFINE.copy()
    affine[0, 3] += by_mm
    return affine


@pytest.mark.parametrize(
    ("shape", "affine", "reason", "phrase"),
    [
        ((40, 44, 39), AFFINE, Reason.MASK_GEOMETRY, "its mask has another size: 40 x 44 x 39 against 40 x 44 x 40"),
        ((40, 44, 40), shifted(3), Reason.MASK_GEOMETRY, "its mask lies 1 voxels away from it"),
        ((40, 44, 40), AFFINE * [[-1], [1], [1], [1]], Reason.MASK_GEOMETRY, "voxels away from it"),
        ((40, 44, 40), AFFINE * 0, Reason.MASK_GEOMETRY, "its mask: its header's orientation matrix is not finite"),
    ],
)
def test_a_mask_of_another_grid_is_refused(
    tmp_path: Path, files, save, shape, affine, reason: Reason, phrase: str
) -> None:
    import nibabel

    data = np.zeros(shape, np.uint8)
    data[20:22, 20:22, 20:22] = 1
    image = nibabel.Nifti1Image(data, None)
    image.header.set_sform(affine, 1)
    nibabel.save(image, tmp_path / "wrong.nii.gz")
    with pytest.raises(ScanFault) as error:
        prepare_one(files[0], tmp_path / "wrong.nii.gz", CONTRACT)
    assert error.value.reason is reason
    assert phrase in error.value.detail


def test_a_mask_whose_header_was_rounded_is_accepted(tmp_path: Path, files, save, head_arrays) -> None:
    mask = save(tmp_path / "rounded.nii.gz", head_arrays()[1], shifted(0.01))
    assert prepare_one(files[0], mask, CONTRACT).mask is not None


@pytest.mark.parametrize("axes", ["RAS", "PIL", "SRA", "LPI"])
def test_a_mask_stored_in_another_order_of_the_same_grid_is_sound(tmp_path: Path, files, axes: str) -> None:
    """nibabel turns the file; the lesion must come out at the same place, value for value, without a finding."""
    import nibabel

    image = nibabel.load(files[1])
    old, new = nibabel.io_orientation(image.affine), nibabel.orientations.axcodes2ornt(axes)
    other = image.as_reoriented(nibabel.orientations.ornt_transform(old, new))
    assert nibabel.aff2axcodes(other.affine) == tuple(axes)
    nibabel.save(other, tmp_path / "turned.nii.gz")
    done, same = prepare_one(files[0], tmp_path / "turned.nii.gz", CONTRACT), prepare_one(*files, CONTRACT)
    np.testing.assert_array_equal(done.mask, same.mask)
    assert done.findings == same.findings == ()


def test_n4_reaches_the_image(files: tuple[Path, Path]) -> None:
    plain = prepare_one(*files, CONTRACT)
    rule = BiasRule(rule="n4", shrink=2, levels=1, iterations=5)
    corrected = prepare_one(*files, CONTRACT.model_copy(update={"bias": rule}))
    assert corrected.image.shape == plain.image.shape
    assert 0 < np.abs(corrected.image - plain.image).max() < 2
    assert corrected.voxels_sha256 == plain.voxels_sha256


def test_the_window_by_hand() -> None:
    where = np.zeros((20, 40, 10), bool)
    where[2:18, 10:20, 0:10] = True
    start, stop = window(where, np.array([3.0, 1.2, 5.0]))
    # 0..20 after the margin met the edge -> 32 long; 8..22 -> 16 long; 0..10 -> 16 long
    assert (start.tolist(), stop.tolist()) == ([-6, 7, -3], [26, 23, 13])


def test_cutting_beyond_the_edges() -> None:
    data = np.arange(8).reshape(2, 2, 2)
    out = cut(data, np.array([-1, 0, 1]), np.array([2, 3, 3]), fill=-9)
    expected = np.full((3, 3, 2), -9)
    expected[1:3, 0:2, 0] = data[:, :, 1]
    np.testing.assert_array_equal(out, expected)


@pytest.mark.realdata
def test_the_real_scans_give_the_findings_that_a_person_gives(real_scans: list[tuple[Path, Path]]) -> None:
    for image, mask in real_scans:
        done = prepare_one(image, mask, InputContract(spacing_mm=(2.0, 2.0, 2.0)))
        expected = {Reason.SPACING_IMPLAUSIBLE}  # headers claim slabs of 22 to 26 mm
        if image.name.startswith("btp"):
            expected |= {Reason.BLANK_SLICES}
        if image.name.startswith(("qin03", "qin06")):
            expected |= {Reason.NO_CONTRAST}
        assert {found.reason for found in done.findings} == expected, image.name
