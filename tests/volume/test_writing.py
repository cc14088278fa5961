"""Files that leave: any reader gets grid and voxels back, and nothing of a source's header travels along."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from rnfm.core.errors import ConfigError
from rnfm.volume import Volume, load, save_nifti

OBLIQUE = nibabel.affines.from_matvec(
    nibabel.eulerangles.euler2mat(0.2, 0.1, -0.3) @ np.diag([-0.9, 1.1, 4]), [5, -6, 7]
)


@pytest.mark.parametrize(
    ("kind", "stored"),
    [("float32", "float32"), ("float64", "float32"), ("bool", "uint8"), ("uint16", "uint16"), ("int64", "int32")],
)
@pytest.mark.parametrize("name", ["map.nii", "map.nii.gz"])
def test_a_round_trip(tmp_path: Path, name: str, kind: str, stored: str) -> None:
    data = (np.arange(60).reshape(3, 4, 5) % 2).astype(kind)
    save_nifti(Volume(data, OBLIQUE), tmp_path / name)
    image = nibabel.load(tmp_path / name)
    assert image.get_data_dtype() == stored
    np.testing.assert_array_equal(np.asarray(image.dataobj), data)
    for form, code in (image.get_sform(coded=True), image.get_qform(coded=True)):
        np.testing.assert_allclose(form, OBLIQUE, atol=1e-5)
        assert code == 1
    np.testing.assert_array_equal(load(tmp_path / name).data, data)


def test_equal_volumes_give_equal_bytes_and_no_words(tmp_path: Path) -> None:
    volume = Volume(np.arange(60, dtype=np.float32).reshape(3, 4, 5), OBLIQUE)
    save_nifti(volume, tmp_path / "a.nii.gz")
    save_nifti(volume, tmp_path / "b.nii.gz")
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    header = nibabel.load(tmp_path / "a.nii.gz").header
    assert [bytes(header[field]).strip(b"\0") for field in ("descrip", "aux_file", "db_name", "intent_name")] == [
        b""
    ] * 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.nii.gz", "b.nii.gz"]


def test_a_sheared_grid_is_kept_in_the_sform_alone(tmp_path: Path) -> None:
    sheared = np.eye(4)
    sheared[0, 1] = 0.3
    save_nifti(Volume(np.ones((3, 4, 5), np.float32), sheared), tmp_path / "map.nii")
    image = nibabel.load(tmp_path / "map.nii")
    np.testing.assert_allclose(image.affine, sheared)
    assert image.get_qform(coded=True) == (None, 0)


def test_a_name_that_is_not_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"map\.npy: is not the name of a NIfTI file\. End it with \.nii\.gz\."):
        save_nifti(Volume(np.ones((3, 4, 5)), np.eye(4)), tmp_path / "map.npy")
