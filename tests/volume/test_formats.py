"""What a file is, told by real files of each kind where a library here writes them."""

from __future__ import annotations

import bz2
import io
import lzma
import tarfile
import zipfile

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from rnfm.volume.formats import SIGNATURES, name_of, name_of_magic

IMAGE = sitk.GetImageFromArray(np.zeros((4, 4, 4), np.int16))


def tarred() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("scan.nii"))
    return buffer.getvalue()


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("scan.nii", b"")
    return buffer.getvalue()


def saved(tmp_path, suffix: str) -> bytes:
    sitk.WriteImage(IMAGE, str(tmp_path / f"scan{suffix}"))
    return (tmp_path / f"scan{suffix}").read_bytes()


def mgh(tmp_path) -> bytes:
    nibabel.save(nibabel.MGHImage(np.zeros((4, 4, 4), np.float32), np.eye(4)), tmp_path / "scan.mgh")
    return (tmp_path / "scan.mgh").read_bytes()


FILES = {
    "an NRRD file": lambda path: saved(path, ".nrrd"),
    "a MetaImage header": lambda path: saved(path, ".mha"),
    "a FreeSurfer .mgh or .mgz file": mgh,
    "a bzip2 file": lambda path: bz2.compress(bytes(999)),
    "an xz file": lambda path: lzma.compress(bytes(999)),
    "a tar archive": lambda path: tarred(),
    "a zip archive": lambda path: zipped(),
    "a DICOM file": lambda path: bytes(128) + b"DICM" + bytes(300),
    "a web page": lambda path: b"<!DOCTYPE html><title>Sign in</title>",
}


@pytest.mark.parametrize("name", FILES)
def test_each_is_named(tmp_path, name: str) -> None:
    assert name_of(FILES[name](tmp_path)[:348]) == name


def test_nothing_else_is() -> None:
    assert name_of(b"") is None
    assert name_of(b"patient,age\n" * 40) is None
    assert name_of(bytes(400)) is None
    assert len({mark for _, mark, _ in SIGNATURES}) == len(SIGNATURES)


def test_magic_numbers() -> None:
    assert name_of_magic(b"ni1\0") == name_of_magic(b"ni2\0") == "one half of a .hdr/.img pair"
    assert name_of_magic(b"\0\0\0\0") == "an ANALYZE 7.5 header, which states no orientation"
    assert name_of_magic(b"abcd") is None
