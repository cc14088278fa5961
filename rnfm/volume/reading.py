"""Reading one NIfTI file from an untrusted place, so that what comes out is what was written or a ScanFault.

    bytes:   [ 348 or 540 header | extensions | voxels ........ ]  (the same inside gzip, then CRC-32 and length)
    steps:   header -> everything it claims is judged -> only then are the voxels read -> the rest is drained to the CRC

Why not nibabel's own reader: it stops where the voxels end and so never reaches gzip's checksum (173 of 200 single-bit
flips passed it unseen), allocates what a header claims, falls back to a guessed orientation, and drops imaginary parts.
nibabel's header classes are used for the format itself. Nothing of the header but grid and scaling leaves this file.

What cannot be seen: a plain `.nii` has no checksum, so a flipped bit among its voxels is a voxel. Keep scans compressed.
Reading takes at most the stored type once and float32 once; where it happens and what bounds it: `rnfm.volume.guard`.
"""

from __future__ import annotations

import io
import os
import stat
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import nibabel
import numpy as np
from nibabel.spatialimages import HeaderDataError

from rnfm.core.ledger import Reason
from rnfm.volume import formats
from rnfm.volume.faults import ScanFault
from rnfm.volume.grids import Shape, Volume, grids_differ_by, shape3, spacing_of
from rnfm.volume.inflate import Inflated

HEADERS = {348: (nibabel.Nifti1Header, b"n+1\0"), 540: (nibabel.Nifti2Header, b"n+2\0")}
KINDS = {f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)} | {"f4", "f8"}
MAX_BYTES = 1 << 30  # of the voxels, as stored and as float32: 512^3 in double precision, 2^28 voxels of others
MAX_RATIO = 200  # decoded to stored bytes; real scans compress 1.5 to 30 times, masks up to 1000 times
RATIO_FROM = 64 << 20  # bytes of voxels from which an image's ratio counts
MAX_EXTENSIONS = 16 << 20
MAX_TRAILER = 1 << 20  # zeros behind the voxels that some writers leave
STEP = 1 << 20
SPACING_MM = (1e-3, 1e3)
MAX_PLACE_MM = 1e5  # of the first voxel from the origin; beyond it float32 headers lose whole voxels
MAX_LABEL = 65535


@dataclass(frozen=True, eq=False)
class Header:
    """What a header claims, judged. `forms_gap_vox`: how far qform and sform lie apart (0 where only one is given)."""

    size: int
    shape: Shape
    kind: np.dtype
    offset: int
    scale: tuple[float, float] | None
    affine: np.ndarray
    forms_gap_vox: float

    @property
    def nbytes(self) -> int:
        """Of the voxels as stored; exact for any claim."""
        return int(np.prod(self.shape, dtype=object)) * self.kind.itemsize


def load(path: Path | str) -> Volume:
    """The scan in a `.nii` or `.nii.gz` file: data float32 (i, j, k) as in the file, scaled; affine to RAS mm.

    The affine is the sform if it is set, else the qform; a file with neither is refused, never guessed. A fourth axis of
    length 1 is dropped. Raises ScanFault with one of MISSING_FILE, UNREADABLE, CORRUPT, TOO_LARGE, NOT_3D, BAD_DTYPE,
    NO_ORIENTATION, BAD_AFFINE, NOT_FINITE, CONSTANT.
    """
    return read_image(path)[0]


def read_image(path: Path | str) -> tuple[Volume, Header]:
    """As `load`, with the header."""
    header, data = _read(Path(path), MAX_RATIO)
    low, high = float(data.min()), float(data.max())  # NaN wins both, so two passes tell everything
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ScanFault(Reason.NOT_FINITE, "it holds NaN, infinite values or values beyond float32", path)
    if low == high:
        raise ScanFault(Reason.CONSTANT, f"all its voxels have the value {low:g}", path)
    return Volume(data, header.affine), header


def load_mask(path: Path | str, shape: Shape | None = None) -> Volume:
    """The mask in a file: data uint16 (i, j, k), whole numbers 0 to 65535 of any stored type.

    `shape` is that of its scan: a mask of another size, in any order of its axes, is refused before its voxels are read (a
    mask may compress a thousandfold, so nothing else bounds it). Raises ScanFault as `load` does, MASK_GEOMETRY for another
    size, UNREADABLE for other values, MASK_EMPTY where no voxel is set.
    """
    header, data = _read(Path(path), max_ratio=None, shape=shape)
    labels, low, high = np.empty(data.shape, np.uint16, order="F"), np.inf, -np.inf
    exact = header.kind.kind in "iu" and header.scale is None
    for k in range(data.shape[2]):  # slice by slice, so that no second copy is made
        whole = data[:, :, k] if exact else np.rint(data[:, :, k])
        if not (exact or (np.isfinite(whole).all() and np.abs(data[:, :, k] - whole).max() < 1e-3)):
            raise ScanFault(Reason.UNREADABLE, "its values are not whole numbers", path)
        low, high = min(low, float(whole.min())), max(high, float(whole.max()))
        labels[:, :, k] = whole.clip(0, MAX_LABEL)
    if low < 0 or high > MAX_LABEL:
        raise ScanFault(Reason.UNREADABLE, f"its values go from {low:g} to {high:g}, not 0 to 65535", path)
    if high == 0:
        raise ScanFault(Reason.MASK_EMPTY, "no voxel is set", path)
    return Volume(labels, header.affine)


def _read(path: Path, max_ratio: float | None, shape: Shape | None = None) -> tuple[Header, np.ndarray]:
    """Header and float32 voxels (Fortran order, as stored), every byte of the file having been read."""
    try:
        _require_file(path)
        with open(path, "rb") as file:
            stored = os.fstat(file.fileno()).st_size
            packed = file.peek(2)[:2] == b"\x1f\x8b"
            stream: BinaryIO = io.BufferedReader(Inflated(file)) if packed else file
            header = _header(stream)
            if shape is not None and sorted(shape) != sorted(header.shape):
                sizes = " against ".join(" x ".join(map(str, one)) for one in (header.shape, shape))
                raise ScanFault(Reason.MASK_GEOMETRY, f"it has another size: {sizes} voxels")
            _require_size(header, stored, packed, max_ratio)
            _skip(stream, header.offset - header.size)
            voxels = _take(stream, header.nbytes, what="voxels")
            _drain(stream)
    except ScanFault as fault:
        raise fault.of(path) from None
    except FileNotFoundError:
        raise ScanFault(Reason.MISSING_FILE, "the file is not there", path) from None
    except (EOFError, zlib.error):
        raise ScanFault(Reason.CORRUPT, "its compressed data are damaged or cut short", path) from None
    except OSError as error:
        raise ScanFault(Reason.UNREADABLE, f"it cannot be read ({error.strerror})", path) from None
    return header, _scaled(voxels.view(header.kind).reshape(header.shape, order="F"), header.scale)


def _require_file(path: Path) -> None:
    """Opening a pipe would wait for a writer, and a device never ends. (A folder is left to `open`, which says so.)"""
    kind = os.stat(path).st_mode
    if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        raise ScanFault(Reason.UNREADABLE, "it is a pipe or a device, not a file")


def _header(stream: BinaryIO) -> Header:
    start = _start(stream)
    order = "<" if int.from_bytes(start[:4], "little") in HEADERS else ">"
    size = int.from_bytes(start[:4], "little" if order == "<" else "big")
    kind, magic = HEADERS[size]
    block = start + _take(stream, size - 348, what="header").tobytes()
    fields = kind(block, endianness=order, check=False)
    found = block[344:348] if size == 348 else block[4:8]  # as written: NumPy drops the zeros at the end
    if found != magic:
        name = formats.name_of_magic(found) or "not a NIfTI file (it has another magic number)"
        raise ScanFault(Reason.UNREADABLE, f"it is {name}")
    shape = _shape(fields)
    affine, gap = _orientation(fields, shape)
    return Header(size, shape, _dtype(fields, order), _offset(fields, size), _scale(fields), affine, gap)


def _start(stream: BinaryIO) -> bytes:
    """The first 348 bytes of what has the header of a NIfTI file."""
    start = stream.read(4)
    if not any(int.from_bytes(start, order) in HEADERS for order in ("little", "big")):
        start += stream.read(344)
        name = formats.name_of(start)
        if name is None and len(start) < 348:
            raise ScanFault(Reason.CORRUPT, "it ends within its header")
        raise ScanFault(Reason.UNREADABLE, f"it is {name or 'not a NIfTI file'}")
    return start + _take(stream, 344, what="header").tobytes()


def _shape(fields: nibabel.Nifti1Header) -> Shape:
    count, *sizes = (int(n) for n in fields["dim"])
    if not 3 <= count <= 7 or any(n != 1 for n in sizes[3:count]) or any(n < 2 for n in sizes[:3]):
        claimed = " x ".join(str(n) for n in sizes[: max(0, min(count, 7))])
        raise ScanFault(Reason.NOT_3D, f"its size is {claimed or 'not given'}, not that of one 3-D volume")
    return shape3(tuple(sizes[:3]))


def _dtype(fields: nibabel.Nifti1Header, order: str) -> np.dtype:
    try:
        kind = fields.get_data_dtype()
    except (HeaderDataError, KeyError):
        kind = None
    if kind is None or kind.fields or f"{kind.kind}{kind.itemsize}" not in KINDS:
        raise ScanFault(Reason.BAD_DTYPE, f"its voxel type (code {int(fields['datatype'])}) is not a real number")
    return kind.newbyteorder(order)


def _offset(fields: nibabel.Nifti1Header, size: int) -> int:
    offset = float(fields["vox_offset"])
    if not size + 4 <= offset <= MAX_EXTENSIONS or offset != int(offset):
        raise ScanFault(Reason.CORRUPT, f"its header places the voxels at byte {offset:g}")
    return int(offset)


def _scale(fields: nibabel.Nifti1Header) -> tuple[float, float] | None:
    """Slope and intercept; None for the values as stored (by the standard slope 0, by nibabel's habit NaN)."""
    slope, inter = float(fields["scl_slope"]), float(fields["scl_inter"])
    if slope == 0 or np.isnan(slope) or (slope, inter) == (1, 0):
        return None
    if not (np.isfinite(slope) and np.isfinite(inter)):
        raise ScanFault(Reason.NOT_FINITE, "its intensity scaling is not finite")
    return slope, inter


def _orientation(fields: nibabel.Nifti1Header, shape: Shape) -> tuple[np.ndarray, float]:
    """The affine by the standard's rule (sform before qform), and the gap between both where both are set."""
    sform = fields.get_sform() if fields["sform_code"] > 0 else None
    qform = _qform(fields) if fields["qform_code"] > 0 else None
    if fields["sform_code"] <= 0 and fields["qform_code"] <= 0:
        raise ScanFault(Reason.NO_ORIENTATION, "its header states no orientation (both form codes are 0)")
    affine = qform if sform is None else sform
    if affine is None or not _is_valid(affine):
        raise ScanFault(Reason.BAD_AFFINE, "its header's orientation matrix is not finite or cannot be inverted")
    if sform is None or fields["qform_code"] <= 0:
        return affine, 0.0
    valid = qform is not None and _is_valid(qform)
    return affine, grids_differ_by(shape, affine, qform) if valid and qform is not None else float("inf")


def _qform(fields: nibabel.Nifti1Header) -> np.ndarray | None:
    """The qform with nibabel's own repairs (a handedness other than -1 is 1; sizes are positive), None if it has none."""
    fields = fields.copy()
    fields["pixdim"][0] = -1 if fields["pixdim"][0] == -1 else 1
    fields["pixdim"][1:4] = np.abs(fields["pixdim"][1:4])
    try:
        return np.asarray(fields.get_qform())
    except (HeaderDataError, ValueError):
        return None


def _is_valid(affine: np.ndarray) -> bool:
    """Finite, near the origin, sizes between 1 um and 1 m, and axes that span a volume (a shear may take 90% of it)."""
    if not np.isfinite(affine).all() or np.abs(affine[:3, 3]).max() > MAX_PLACE_MM:
        return False
    spacing = np.array(spacing_of(affine))
    sizes = bool((spacing >= SPACING_MM[0]).all() and (spacing <= SPACING_MM[1]).all())
    return sizes and abs(float(np.linalg.det(affine[:3, :3] / spacing))) > 0.1


def _require_size(header: Header, stored: int, packed: bool, max_ratio: float | None) -> None:
    """Refuse, before a voxel is read, what would not fit or what this file cannot hold."""
    needed = header.nbytes * max(1.0, 4 / header.kind.itemsize)
    if needed > MAX_BYTES:
        raise ScanFault(Reason.TOO_LARGE, f"its voxels would take {needed / 2**30:.3g} GiB, more than 1")
    if not packed and stored < header.offset + header.nbytes:
        raise ScanFault(Reason.CORRUPT, f"it is {header.offset + header.nbytes - stored} bytes shorter than it claims")
    if max_ratio and header.nbytes > max(RATIO_FROM, max_ratio * stored):
        raise ScanFault(Reason.TOO_LARGE, f"its {stored} bytes claim to hold {header.nbytes / 2**20:.0f} MiB of voxels")


def _take(stream: BinaryIO, count: int, what: str) -> np.ndarray:
    """Exactly `count` bytes as uint8."""
    buffer = np.empty(count, np.uint8)
    view, done = memoryview(buffer.data), 0
    while done < count:
        got = stream.readinto(view[done : done + STEP])  # type: ignore[attr-defined]
        if not got:
            raise ScanFault(Reason.CORRUPT, f"it ends within its {what}")
        done += got
    return buffer


def _skip(stream: BinaryIO, count: int) -> None:
    """Pass over the extensions without keeping them: they may hold anything, names among it."""
    while count:
        got = len(stream.read(min(count, STEP)))
        if not got:
            raise ScanFault(Reason.CORRUPT, "it ends within its header")
        count -= got


def _drain(stream: BinaryIO) -> None:
    """Read to the end: only there does gzip compare its checksum. Anything but a few zeros there is more of the scan."""
    left = MAX_TRAILER
    while chunk := stream.read(STEP):
        left -= len(chunk)
        if left < 0 or chunk.strip(b"\0"):
            raise ScanFault(Reason.CORRUPT, "it holds more data than its header claims")


def _scaled(raw: np.ndarray, scale: tuple[float, float] | None) -> np.ndarray:
    """float32 voxels; scaled slice by slice in double precision, so that no second copy of the scan is made."""
    with np.errstate(over="ignore", invalid="ignore"):
        if scale is None:
            return raw.astype(np.float32, order="F", copy=False)
        data = np.empty(raw.shape, np.float32, order="F")
        for k in range(raw.shape[2]):
            data[:, :, k] = raw[:, :, k] * np.float64(scale[0]) + scale[1]
        return data
