"""Values and volumes of masks: every number type, scaling, pieces, and files that are no label maps."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from rnfm.cohort import masks
from rnfm.cohort.masks import Content, content
from rnfm.cohort.records import Fault
from rnfm.core.ledger import Reason

SPACING_MM = (1.0, 2.0, 0.5)  # a voxel is 1 mm3, so 1000 voxels are 1 ml


def _save(path: Path, voxels: np.ndarray, *, slope: float | None = None, inter: float = 0.0, big: bool = False) -> Path:
    header = nibabel.Nifti1Header(endianness=">" if big else "<")
    header.set_data_dtype(voxels.dtype)
    image = nibabel.Nifti1Image(voxels, np.diag([*SPACING_MM, 1.0]), header)
    image.header.set_sform(image.affine, code=1)
    if slope is not None:
        image.header.set_slope_inter(slope, inter)
    nibabel.save(image, path)
    return path


def _labels(dtype: Any) -> np.ndarray:
    voxels = np.zeros((10, 12, 14), dtype)
    voxels.ravel()[:7] = (1, 1, 1, 3, 3, 6, 8)
    return voxels


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.uint16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_voxels_of_each_value(tmp_path: Path, dtype: Any, suffix: str) -> None:
    found = content(_save(tmp_path / f"mask{suffix}", _labels(dtype)))
    assert found == Content({1: 3, 3: 2, 6: 1, 8: 1}, 0.001)
    assert found.volume_ml((1, 3)) == pytest.approx(0.005)


def test_big_endian_and_scaled_values(tmp_path: Path) -> None:
    # Stored 0, 2, 6 with slope 0.5 mean 0, 1, 3.
    voxels = (_labels(np.int16) * 2).astype(np.int16)
    path = _save(tmp_path / "mask.nii", voxels, big=True)
    data = bytearray(path.read_bytes())
    data[112:120] = np.array([0.5, 0.0], ">f4").tobytes()  # scl_slope, scl_inter
    path.write_bytes(bytes(data))
    assert content(path) == Content({1: 3, 3: 2, 6: 1, 8: 1}, 0.001)


def test_pieces_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    voxels = rng.integers(0, 4, (11, 13, 7), dtype=np.int16)
    monkeypatch.setattr(masks, "PIECE_BYTES", 64)
    found = content(_save(tmp_path / "mask.nii.gz", voxels))
    assert found == Content({value: int((voxels == value).sum()) for value in (1, 2, 3)}, 0.001)


def test_an_empty_mask_holds_nothing(tmp_path: Path) -> None:
    assert content(_save(tmp_path / "mask.nii", np.zeros((4, 4, 4), np.uint8))) == Content({}, 0.001)


@pytest.mark.parametrize(
    ("voxels", "detail"),
    [
        (np.full((4, 4, 4), 0.5, np.float32), "holds values that are no labels"),
        (np.full((4, 4, 4), -1, np.int16), "holds values that are no labels"),
        (np.full((4, 4, 4), np.nan, np.float32), "holds values that are no labels"),
        (np.full((4, 4, 4), 40_000, np.int32), "holds values that are no labels"),
        (np.arange(12**3, dtype=np.int16).reshape(12, 12, 12), "holds more than 1000 different values, so no labels"),
        (np.zeros((4, 4), np.uint8), "not_3d: 4 x 4 voxels"),
    ],
)
def test_what_is_no_label_map(tmp_path: Path, voxels: np.ndarray, detail: str) -> None:
    assert content(_save(tmp_path / "mask.nii", voxels)) == Fault(Reason.MASK_UNREADABLE, detail)


def test_files_that_end_early_and_damaged_ones(tmp_path: Path) -> None:
    path = _save(tmp_path / "mask.nii", _labels(np.uint8))
    path.write_bytes(path.read_bytes()[:-5])
    assert content(path) == Fault(Reason.MASK_UNREADABLE, "ends before its last voxel")
    packed = _save(tmp_path / "mask.nii.gz", np.random.default_rng(0).integers(0, 9, (20, 20, 20), dtype=np.uint8))
    packed.write_bytes(packed.read_bytes()[:2000])
    found = content(packed)
    assert isinstance(found, Fault)
    assert (found.reason, found.detail) == (Reason.MASK_UNREADABLE, "cannot be decoded (EOFError)")
    assert content(tmp_path / "none.nii") == Fault(Reason.MASK_UNREADABLE, "missing_file: no such file")


def test_a_claimed_gigabyte_takes_no_memory(tmp_path: Path) -> None:
    """The header claims 2^30 voxels and the gzip stream holds 40 MB of zeros: one piece at a time is decoded."""
    import tracemalloc

    path = _save(tmp_path / "small.nii", np.zeros((4, 4, 4), np.uint8))
    data = bytearray(path.read_bytes()[:352])
    data[40:48] = np.array([3, 1024, 1024, 1024], "<i2").tobytes()
    hostile = tmp_path / "mask.nii.gz"
    hostile.write_bytes(gzip.compress(bytes(data) + bytes(40_000_000), 1))
    tracemalloc.start()
    found = content(hostile)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == Fault(Reason.MASK_UNREADABLE, "ends before its last voxel")
    assert peak < 20_000_000
