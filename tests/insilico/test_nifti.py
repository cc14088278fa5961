"""NIfTI files: geometry in both forms, no text, fast gzip, no time stamp."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np

from rnfm.insilico import nifti


def test_both_forms_hold_the_affine_and_nothing_else_is_said(tmp_path: Path) -> None:
    affine = np.array([[-1.1, 0, 0, 80], [0, 1.1, 0, -90], [0, 0, 2.4, -40], [0, 0, 0, 1]])
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    for name in ("a.nii", "a.nii.gz"):
        nifti.write(tmp_path / name, array, affine)
        image = nibabel.nifti1.load(tmp_path / name)
        assert np.array_equal(np.asarray(image.dataobj), array)
        for form, code in (image.get_sform(coded=True), image.get_qform(coded=True)):
            assert code == 1
            assert np.allclose(form, affine, atol=1e-5)
        assert image.header["descrip"].tobytes().strip(b"\0") == b""
        assert image.header.get_xyzt_units() == ("mm", "sec")
        assert image.get_data_dtype() == np.int16
    packed = (tmp_path / "a.nii.gz").read_bytes()
    assert packed[:2] == b"\x1f\x8b"
    assert packed[4:8] == b"\0\0\0\0"  # no modification time
