"""What a header alone can refuse: one malformed file a reason, and no library message in any detail."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest

from rnfm.cohort.headers import Header, inspect, read_header
from rnfm.cohort.records import Fault, ScanRecord
from rnfm.core.ledger import Reason


def _scan(image: Path | None, mask: Path | None = None) -> ScanRecord:
    return ScanRecord(patient="SMITH", scan="SMITH_1", image=image, mask=mask)


def _poke(path: Path, offset: int, value: bytes) -> Path:
    data = bytearray(path.read_bytes())
    data[offset : offset + len(value)] = value
    path.write_bytes(bytes(data))
    return path


def _rgb(path: Path) -> Path:
    data = np.zeros((8, 8, 8), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
    nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), path)
    return path


def _text(path: Path) -> Path:
    path.write_text("John Smith 1950-01-01")
    return path


def _cut(path: Path) -> Path:
    path.write_bytes(gzip.compress(b"x" * 100))
    return path


# Offsets of NIfTI-1 (nifti1.h): dim at 40, pixdim at 76, qform_code 252, sform_code 254, srow_x 280.
CASES = {
    "lost": (lambda p, nifti: p, Reason.MISSING_FILE),
    "text": (lambda p, nifti: _text(p), Reason.UNREADABLE),
    "cut": (lambda p, nifti: _cut(p.with_suffix(".nii.gz")), Reason.UNREADABLE),
    "two axes": (lambda p, nifti: nifti(p, shape=(8, 8)), Reason.NOT_3D),
    "four axes": (lambda p, nifti: nifti(p, shape=(8, 8, 8, 2)), Reason.NOT_3D),
    "empty axis": (lambda p, nifti: _poke(nifti(p), 42, b"\0\0"), Reason.NOT_3D),
    "colour": (lambda p, nifti: _rgb(p), Reason.BAD_DTYPE),
    "complex": (lambda p, nifti: nifti(p, np.ones((8, 8, 8), np.complex64)), Reason.BAD_DTYPE),
    "huge": (lambda p, nifti: _poke(nifti(p), 42, b"\x20\x4e\x20\x4e\x20\x4e"), Reason.TOO_LARGE),
    "no orientation": (lambda p, nifti: _poke(nifti(p), 252, b"\0\0\0\0"), Reason.NO_ORIENTATION),
    "flat affine": (lambda p, nifti: _poke(nifti(p), 280, b"\0" * 12), Reason.BAD_AFFINE),
    "nan affine": (lambda p, nifti: _poke(nifti(p), 280, b"\0\0\xc0\x7f"), Reason.BAD_AFFINE),
}


@pytest.mark.parametrize("case", CASES)
def test_each_malformed_file_has_its_reason(tmp_path: Path, nifti, case: str) -> None:
    make, reason = CASES[case]
    path = make(tmp_path / "SMITH_1.nii", nifti)
    fault = read_header(path)
    assert isinstance(fault, Fault)
    assert fault.reason is reason
    assert "SMITH" not in fault.detail.upper()
    assert "tmp" not in fault.detail


def test_size_and_spacing_come_from_the_header(tmp_path: Path, nifti) -> None:
    assert read_header(nifti(tmp_path / "a.nii.gz", shape=(8, 9, 10, 1), spacing_mm=7.5)) == Header(
        (8, 9, 10), (7.5, 7.5, 7.5)
    )


def test_a_mask_of_another_size_refuses_the_scan(tmp_path: Path, nifti) -> None:
    image, mask = nifti(tmp_path / "a.nii"), nifti(tmp_path / "m.nii", shape=(8, 8, 9))
    fault = inspect(_scan(image, mask)).fault
    assert fault == Fault(Reason.MASK_GEOMETRY, "mask 8 x 8 x 9, image 8 x 8 x 8 voxels")


def test_a_lost_mask_and_a_lost_image(tmp_path: Path, nifti) -> None:
    fault = inspect(_scan(nifti(tmp_path / "a.nii"), tmp_path / "nothing.nii")).fault
    assert fault == Fault(Reason.MASK_UNREADABLE, "missing_file: no such file")
    fault = inspect(_scan(None, tmp_path / "m.nii")).fault
    assert fault == Fault(Reason.MISSING_FILE, "a mask without its image")


@pytest.mark.parametrize(
    ("spacing_mm", "detail"),
    [
        (8.0, None),
        (0.05, "header claims 0.05 x 0.05 x 0.05 mm, outside 0.1 to 10 mm"),
        (1.0, "header claims 1 x 1 x 1 mm, so only 8 mm are covered along one axis"),
    ],
)
def test_spacing_that_cannot_be_is_a_finding(tmp_path: Path, nifti, spacing_mm: float, detail: str | None) -> None:
    inspected = inspect(_scan(nifti(tmp_path / "a.nii", spacing_mm=spacing_mm)))
    assert inspected.fault is None
    assert [finding.detail for finding in inspected.findings] == ([detail] if detail else [])


@pytest.mark.realdata
def test_real_scans_pass_and_their_wrong_spacing_is_named(real_data: Path) -> None:
    files = sorted((real_data / "t1c").glob("*.nii.gz"))
    inspected = [inspect(_scan(file, real_data / "masks" / file.name)) for file in files]
    assert [item.fault for item in inspected] == [None] * 16
    assert all(finding.reason is Reason.SPACING_IMPLAUSIBLE for item in inspected for finding in item.findings)
    assert sum(len(item.findings) for item in inspected) == 16  # 22 to 26 slices of '1 mm' are no head
