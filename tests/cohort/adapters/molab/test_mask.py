"""Masks of MOLAB: lesion x 10 + segment, volumes from the voxels, and values that are no lesion codes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rnfm.cohort.adapters.molab import mask as molab_mask
from rnfm.cohort.adapters.molab.mask import LesionMask
from rnfm.cohort.records import Fault
from rnfm.core.ledger import Reason


def _voxels(**counts: int) -> np.ndarray:
    voxels = np.zeros(512, np.int32)
    values = [int(name[1:]) for name, count in counts.items() for _ in range(count)]
    voxels[: len(values)] = values
    return voxels.reshape(8, 8, 8)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
def test_lesions_and_volumes(tmp_path: Path, nifti, dtype: type) -> None:
    """Voxels of 8 mm are 0.512 ml. Lesion 2 has the necrotic segment only; lesion 12 has the values 121 and 122."""
    path = nifti(tmp_path / "m.nii", _voxels(v11=3, v12=1, v22=2, v121=5, v122=5).astype(dtype))
    found = molab_mask.read(path)
    assert isinstance(found, dict)
    assert {number: lesion.values for number, lesion in found.items()} == {1: (11, 12), 2: (22,), 12: (121, 122)}
    assert [round(lesion.volume_ml, 6) for lesion in found.values()] == [2.048, 1.024, 5.12]


def test_an_empty_mask_has_no_lesion(tmp_path: Path, nifti) -> None:
    assert molab_mask.read(nifti(tmp_path / "m.nii", _voxels().astype(np.uint16))) == {}


def test_strays() -> None:
    lesions = {0: LesionMask((3,), 1.0), 1: LesionMask((11, 13), 1.0), 2: LesionMask((20, 22), 1.0)}
    assert molab_mask.stray(lesions) == [3, 13, 20]


@pytest.mark.parametrize("values", [[0.5], [-11], [40_000], [np.nan]])
def test_values_that_are_no_codes_are_refused(tmp_path: Path, nifti, values: list[float]) -> None:
    voxels = np.zeros((8, 8, 8), np.float32)
    voxels.ravel()[: len(values)] = values
    found = molab_mask.read(nifti(tmp_path / "m.nii", voxels))
    assert found == Fault(Reason.MASK_UNREADABLE, "holds values that are no lesion codes")


def test_a_cut_mask_is_a_fault(tmp_path: Path, nifti) -> None:
    path = nifti(tmp_path / "m.nii", _voxels(v11=3).astype(np.uint16))
    path.write_bytes(path.read_bytes()[:500])
    found = molab_mask.read(path)
    assert isinstance(found, Fault)
    assert (found.reason, found.detail) == (Reason.MASK_UNREADABLE, "cannot be decoded (OSError)")
