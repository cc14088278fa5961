"""Files from nowhere: each malformed one is refused for the right reason, and no damaged one is read in silence."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel.affines import voxel_sizes

from rnfm.core.ledger import Reason
from rnfm.volume import ScanFault, load, load_mask
from rnfm.volume.reading import read_image

SHAPE = (12, 10, 8)
AFFINE = np.diag([-2.0, -2, 3, 1])
# Byte offsets of the NIfTI-1 header, from its standard (nifti1.h), independent of nibabel's tables.
DIM, DATATYPE, BITPIX, PIXDIM, VOX_OFFSET, SLOPE, INTER, QCODE, SCODE, QUATERN_B, SROW, MAGIC = (
    40, 70, 72, 76, 108, 112, 116, 252, 254, 256, 280, 344,
)  # fmt: skip


def voxels(kind: str = "<i2") -> np.ndarray:
    return np.arange(np.prod(SHAPE)).reshape(SHAPE).astype(kind)


def plain(data: np.ndarray | None = None) -> bytearray:
    """A sound little-endian NIfTI-1 file with both forms set."""
    image = nibabel.Nifti1Image(voxels() if data is None else data, AFFINE)
    image.set_sform(AFFINE, 1)
    image.set_qform(AFFINE, 1)
    return bytearray(image.to_bytes())


def put(at: int, form: str, *values: float) -> Callable[[bytearray], bytes]:
    def change(content: bytearray) -> bytes:
        struct.pack_into(f"<{form}", content, at, *values)
        return bytes(content)

    return change


def both(*changes: Callable[[bytearray], bytes]) -> Callable[[bytearray], bytes]:
    def change(content: bytearray) -> bytes:
        for one in changes:
            content = bytearray(one(content))
        return bytes(content)

    return change


def compressed(change: Callable[[bytes], bytes] = bytes) -> Callable[[bytearray], bytes]:
    return lambda content: change(gzip.compress(bytes(content), mtime=0))


def zipped(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("scan.nii", content)
    return buffer.getvalue()


NAN = float("nan")
FLOATS = plain(voxels("<f4"))
MALFORMED: dict[str, tuple[Callable[[bytearray], bytes], Reason, str]] = {
    "empty file": (lambda c: b"", Reason.CORRUPT, "it ends within its header"),
    "text": (lambda c: b"patient,age\n" * 99, Reason.UNREADABLE, "it is not a NIfTI file"),
    "ANALYZE": (put(MAGIC, "4s", b"\0\0\0\0"), Reason.UNREADABLE, "an ANALYZE 7.5 header, which states no orientation"),
    "header of a pair": (put(MAGIC, "4s", b"ni1\0"), Reason.UNREADABLE, "it is one half of a .hdr/.img pair"),
    "another magic": (
        put(MAGIC, "4s", b"n+7\0"),
        Reason.UNREADABLE,
        "it is not a NIfTI file (it has another magic number)",
    ),
    "zip": (lambda c: zipped(bytes(c)), Reason.UNREADABLE, "it is a zip archive"),
    "gzip inside gzip": (lambda c: gzip.compress(gzip.compress(bytes(c))), Reason.UNREADABLE, "it is gzip inside gzip"),
    "NRRD": (lambda c: b"NRRD0004\ntype: short\n" * 20, Reason.UNREADABLE, "it is an NRRD file"),
    "mgz": (
        lambda c: gzip.compress(struct.pack(">7i", 1, 12, 10, 8, 1, 4, 0) + bytes(400)),
        Reason.UNREADABLE,
        "it is a FreeSurfer .mgh or .mgz file",
    ),
    "DICOM": (lambda c: bytes(128) + b"DICM" + bytes(500), Reason.UNREADABLE, "it is a DICOM file"),
    "LFS pointer": (lambda c: b"version https://git-lfs.github.com/spec/v1\n", Reason.UNREADABLE, "a Git LFS pointer"),
    "cut header": (lambda c: bytes(c[:200]), Reason.CORRUPT, "it ends within its header"),
    "cut voxels": (lambda c: bytes(c[:-7]), Reason.CORRUPT, "it is 7 bytes shorter than it claims"),
    "cut gzip": (compressed(lambda z: z[: len(z) // 2]), Reason.CORRUPT, "damaged or cut short"),
    "gzip without trailer": (compressed(lambda z: z[:-8]), Reason.CORRUPT, "damaged or cut short"),
    "gzip with wrong CRC": (compressed(lambda z: z[:-8] + b"\1\2\3\4" + z[-4:]), Reason.CORRUPT, "damaged"),
    "gzip then rubbish": (compressed(lambda z: z + b"rubbish"), Reason.CORRUPT, "damaged or cut short"),
    "more than it claims": (compressed(lambda z: z + gzip.compress(bytes(2 << 20))), Reason.CORRUPT, "more data than"),
    "voxels inside the header": (put(VOX_OFFSET, "f", 100), Reason.CORRUPT, "places the voxels at byte 100"),
    "voxels nowhere": (put(VOX_OFFSET, "f", NAN), Reason.CORRUPT, "places the voxels at byte nan"),
    "another scan behind it": (
        lambda c: bytes(c) + bytes(c),
        Reason.CORRUPT,
        "it holds more data than its header claims",
    ),
    "a header that forgets a slice": (put(DIM, "4h", 3, 12, 10, 7), Reason.CORRUPT, "more data than its header claims"),
    "a member behind it": (compressed(lambda z: z + gzip.compress(b"rubbish")), Reason.CORRUPT, "more data than"),
    "20000 cubed": (put(DIM, "4h", 3, 20000, 20000, 20000), Reason.TOO_LARGE, "would take 2.98e+04 GiB, more than 1"),
    "bomb": (both(put(DIM, "4h", 3, 500, 500, 500), compressed()), Reason.TOO_LARGE, "claim to hold 238 MiB"),
    "time series": (put(DIM, "5h", 4, 6, 10, 8, 2), Reason.NOT_3D, "its size is 6 x 10 x 8 x 2"),
    "one slice": (put(DIM, "4h", 3, 12, 80, 1), Reason.NOT_3D, "its size is 12 x 80 x 1"),
    "two axes": (put(DIM, "3h", 2, 12, 80), Reason.NOT_3D, "its size is 12 x 80, not"),
    "zero axis": (put(DIM, "4h", 3, 12, 0, 8), Reason.NOT_3D, "its size is 12 x 0 x 8"),
    "negative axis": (put(DIM, "4h", 3, 12, -10, 8), Reason.NOT_3D, "its size is 12 x -10 x 8"),
    "no axes": (put(DIM, "h", 0), Reason.NOT_3D, "its size is not given"),
    "complex": (put(DATATYPE, "2h", 32, 64), Reason.BAD_DTYPE, "its voxel type (code 32)"),
    "colour": (put(DATATYPE, "2h", 128, 24), Reason.BAD_DTYPE, "its voxel type (code 128)"),
    "unknown type": (put(DATATYPE, "2h", 999, 16), Reason.BAD_DTYPE, "its voxel type (code 999)"),
    "no orientation": (put(QCODE, "2h", 0, 0), Reason.NO_ORIENTATION, "both form codes are 0"),
    "zero sform": (put(SROW, "12f", *[0] * 12), Reason.BAD_AFFINE, "not finite or cannot be inverted"),
    "NaN in the sform": (put(SROW, "f", NAN), Reason.BAD_AFFINE, "not finite or cannot be inverted"),
    "far away": (put(SROW + 12, "f", 1e9), Reason.BAD_AFFINE, "not finite or cannot be inverted"),
    "flat sform": (put(SROW, "12f", 1, 0, 0, 0, 0, 1, 0, 0, 1, 1, 0, 0), Reason.BAD_AFFINE, "cannot be inverted"),
    "bad quaternion": (both(put(SCODE, "h", 0), put(QUATERN_B, "3f", 1, 1, 1)), Reason.BAD_AFFINE, "not finite or"),
    "zero voxel size": (both(put(SCODE, "h", 0), put(PIXDIM + 4, "f", 0)), Reason.BAD_AFFINE, "not finite or"),
    "infinite slope": (put(SLOPE, "2f", float("inf"), 0), Reason.NOT_FINITE, "its intensity scaling is not finite"),
    "NaN voxel": (lambda c: put(400, "f", NAN)(bytearray(FLOATS)), Reason.NOT_FINITE, "NaN, infinite values"),
    "infinite voxel": (lambda c: put(400, "f", float("inf"))(bytearray(FLOATS)), Reason.NOT_FINITE, "NaN, infinite"),
    "beyond float32": (lambda c: bytes(plain(voxels("<f8") * 1e300)), Reason.NOT_FINITE, "beyond float32"),
    "constant": (lambda c: bytes(plain(np.full(SHAPE, 7, "<i2"))), Reason.CONSTANT, "all its voxels have the value 7"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_files_are_refused_for_the_right_reason(tmp_path: Path, name: str) -> None:
    change, reason, phrase = MALFORMED[name]
    file = tmp_path / "scan.nii"
    file.write_bytes(change(plain()))
    with pytest.raises(ScanFault) as error:
        load(file)
    assert error.value.reason is reason
    assert phrase in error.value.detail
    assert str(tmp_path) not in error.value.detail
    assert str(error.value) == f"{file}: {error.value.detail}. {error.value.mend}."
    assert error.value.exit_code == 3


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ScanFault, match="the file is not there") as error:
        load(tmp_path / "absent.nii")
    assert error.value.reason is Reason.MISSING_FILE
    with pytest.raises(ScanFault, match=r"it cannot be read \(Is a directory\)") as error:
        load(tmp_path)
    assert error.value.reason is Reason.UNREADABLE


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "scan.nii")
    with pytest.raises(ScanFault, match="it is a pipe or a device, not a file") as error:
        load(tmp_path / "scan.nii")
    assert error.value.reason is Reason.UNREADABLE


def test_what_writers_do_and_is_sound(tmp_path: Path) -> None:
    """Zeros behind the voxels, several gzip members (pigz, bgzip), zeros behind gzip: the same scan."""
    content = bytes(plain())
    for name, stored in {
        "padded.nii": content + bytes(512),
        "members.nii.gz": gzip.compress(content[:500]) + gzip.compress(content[500:]),
        "blocks.nii.gz": gzip.compress(content) + bytes(1024),
    }.items():
        (tmp_path / name).write_bytes(stored)
        np.testing.assert_array_equal(load(tmp_path / name).data, voxels())


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kind", ["<u1", "<i2", ">i2", "<u2", "<i4", ">f4", "<f8", ">f8"])
def test_every_allowed_type_reads_as_nibabel_does(tmp_path: Path, kind: str, suffix: str) -> None:
    data = (np.arange(np.prod(SHAPE)) % 251).reshape(SHAPE).astype(kind)
    file = tmp_path / f"scan{suffix}"
    nibabel.save(nibabel.Nifti1Image(data, AFFINE, nibabel.Nifti1Header(endianness=kind[0])), file)
    volume = load(file)
    assert volume.data.dtype == np.float32
    np.testing.assert_array_equal(volume.data, nibabel.load(file).get_fdata(dtype=np.float32))
    np.testing.assert_array_equal(volume.affine, AFFINE)


def test_scaling_nifti2_extensions_and_a_fourth_axis_of_one(tmp_path: Path) -> None:
    image = nibabel.Nifti2Image(voxels()[..., None], AFFINE)
    image.header.set_slope_inter(0.5, -3)
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"x" * 5000))
    nibabel.save(image, tmp_path / "scan.nii.gz")
    volume = load(tmp_path / "scan.nii.gz")
    assert volume.shape == SHAPE
    np.testing.assert_array_equal(
        volume.data, nibabel.load(tmp_path / "scan.nii.gz").get_fdata(dtype=np.float32)[..., 0]
    )


def test_the_qform_alone_and_its_standard_repairs(tmp_path: Path) -> None:
    # pixdim[0] = 0 means a right-handed grid, and sizes are taken without sign: nibabel reads it so too.
    content = both(put(SCODE, "h", 0), put(PIXDIM, "2f", 0, -2))(plain())
    (tmp_path / "scan.nii").write_bytes(content)
    np.testing.assert_allclose(load(tmp_path / "scan.nii").affine, nibabel.load(tmp_path / "scan.nii").affine)


def test_the_gap_between_the_forms_is_measured(tmp_path: Path) -> None:
    (tmp_path / "scan.nii").write_bytes(put(SROW + 12, "f", 5)(plain()))  # the sform's x moves by 5 mm of 2 mm voxels
    volume, header = read_image(tmp_path / "scan.nii")
    assert volume.affine[0, 3] == 5
    assert header.forms_gap_vox == pytest.approx(5 / min(voxel_sizes(AFFINE)))


def test_no_bit_flip_is_silent(tmp_path: Path) -> None:
    """Rows 24 of the fault table, small: what is read after a flip is refused, or is what was written."""
    noise = np.random.default_rng(5)
    data = noise.normal(300, 60, (24, 24, 24)).astype(np.int16)
    sound = gzip.compress(bytes(plain(data)), mtime=0)
    file, silent, refused = tmp_path / "scan.nii.gz", 0, 0
    for bit in noise.choice(len(sound) * 8, 50, replace=False):
        damaged = bytearray(sound)
        damaged[bit // 8] ^= 1 << (bit % 8)
        file.write_bytes(damaged)
        try:
            volume = load(file)
        except ScanFault:
            refused += 1
            continue
        silent += not (np.array_equal(volume.data, data) and np.array_equal(volume.affine, AFFINE))
    assert silent == 0
    assert refused >= 45  # the rest fell on gzip's name and time, which carry nothing


def test_bytes_are_not_taken_that_a_header_merely_claims(tmp_path: Path) -> None:
    import tracemalloc

    (tmp_path / "scan.nii").write_bytes(put(DIM, "4h", 3, 640, 640, 600)(plain()))  # 0.5 GB claimed, within the cap
    tracemalloc.start()
    with pytest.raises(ScanFault, match="bytes shorter than it claims"):
        load(tmp_path / "scan.nii")
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


def test_a_mask_of_another_size_is_refused_before_its_voxels_are_read(tmp_path: Path) -> None:
    """A mask may compress a thousandfold, so only the size of its scan bounds it; the axes may come in any order."""
    import tracemalloc

    header = both(put(DIM, "4h", 3, 400, 400, 200), put(DATATYPE, "2h", 2, 8))(plain())[:352]
    (tmp_path / "mask.nii.gz").write_bytes(gzip.compress(header + bytes(32 << 20), mtime=0))
    tracemalloc.start()
    with pytest.raises(ScanFault, match="it has another size: 400 x 400 x 200 against 12 x 10 x 8 voxels") as error:
        load_mask(tmp_path / "mask.nii.gz", SHAPE)
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()
    assert error.value.reason is Reason.MASK_GEOMETRY
    (tmp_path / "mask.nii").write_bytes(plain())
    for shape in (SHAPE, SHAPE[::-1], None):
        assert load_mask(tmp_path / "mask.nii", shape).shape == SHAPE


def test_a_gzip_bomb_is_left_after_its_first_megabyte(tmp_path: Path) -> None:
    import tracemalloc

    (tmp_path / "scan.nii.gz").write_bytes(gzip.compress(bytes(plain()) + bytes(200 << 20), mtime=0))
    tracemalloc.start()
    with pytest.raises(ScanFault, match="it holds more data than its header claims"):
        load(tmp_path / "scan.nii.gz")
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


MASKS: dict[str, tuple[np.ndarray, Reason, str]] = {
    "fractions": (voxels("<f4") / 3, Reason.UNREADABLE, "its values are not whole numbers"),
    "negative": (voxels("<i2") - 5, Reason.UNREADABLE, "its values go from -5 to 954"),
    "too large": (voxels("<i4") * 1000, Reason.UNREADABLE, "not 0 to 65535"),
    "empty": (voxels() * 0, Reason.MASK_EMPTY, "no voxel is set"),
}


@pytest.mark.parametrize("name", MASKS)
def test_masks_that_are_none(tmp_path: Path, name: str) -> None:
    data, reason, phrase = MASKS[name]
    (tmp_path / "mask.nii").write_bytes(plain(data))
    with pytest.raises(ScanFault, match=phrase) as error:
        load_mask(tmp_path / "mask.nii")
    assert error.value.reason is reason


def test_a_mask_of_any_type_becomes_its_labels(tmp_path: Path) -> None:
    labels = voxels("<u2") % 5 * 13107
    (tmp_path / "mask.nii").write_bytes(plain(labels.astype("<f8")))
    mask = load_mask(tmp_path / "mask.nii")
    assert mask.data.dtype == np.uint16
    np.testing.assert_array_equal(mask.data, labels)


def test_a_fault_crosses_processes_and_changes_its_thing() -> None:
    fault = ScanFault(Reason.CORRUPT, "it is torn", "S-1")
    again = pickle.loads(pickle.dumps(fault))
    assert (again.reason, again.detail, str(again)) == (Reason.CORRUPT, "it is torn", str(fault))
    assert str(fault.of("S-2")).startswith("S-2: it is torn. ")


@pytest.mark.parametrize(
    ("reason", "as_mask"),
    [
        (Reason.NO_ORIENTATION, Reason.MASK_GEOMETRY),
        (Reason.BAD_AFFINE, Reason.MASK_GEOMETRY),
        (Reason.MISSING_FILE, Reason.MISSING_FILE),
        (Reason.MASK_EMPTY, Reason.MASK_EMPTY),
        (Reason.CORRUPT, Reason.MASK_UNREADABLE),
        (Reason.NOT_3D, Reason.MASK_UNREADABLE),
    ],
)
def test_a_fault_of_a_mask_is_said_as_one(reason: Reason, as_mask: Reason) -> None:
    fault = ScanFault(reason, "it is odd").of_mask("S-1")
    assert (fault.reason, fault.detail) == (as_mask, "its mask is odd")


@pytest.mark.realdata
def test_all_real_scans_and_masks_load(real_scans: list[tuple[Path, Path]]) -> None:
    assert len(real_scans) == 16
    for image, mask in real_scans:
        volume, labels = load(image), load_mask(mask)
        assert volume.axes == "LPS"
        assert volume.shape == labels.shape
        np.testing.assert_array_equal(volume.data, nibabel.load(image).get_fdata(dtype=np.float32))
        assert set(np.unique(labels.data)) == {0, 1}
