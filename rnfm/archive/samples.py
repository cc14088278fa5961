"""What a sample is, in memory and in bytes: u8 voxels with a scale and an offset, an .npy member, a JSON member.

    value = code * scale + offset           code: u8; scale and offset: float32, one pair a sample

The codes span the sample's own minimum and maximum, so nothing is clipped and the error is at most half a step
(`scale / 2`). The intensity rule of the volumes has clipped outliers before.

An .npy member is written by hand: NumPy promises that it can read old headers, not that it writes the same ones for ever.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnfm.archive.order import StreamState
from rnfm.core.errors import DataError

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]

BACKGROUND, TARGET, OTHER = 0, 1, 2


@dataclass(frozen=True)
class Sample:
    """One sub-volume. `mask_DHW`-like codes: 0 none, 1 the sample's own lesion, 2 anything else that is masked."""

    key: str
    image: F32
    mask: U8 | None
    meta: dict[str, Any]


@dataclass(frozen=True)
class Batch:
    """This rank's share of global batch `state.step` of `state.epoch`.

    `index_B` int64: indices into the archive; `image_BCDHW` float32, C = 1; `wait_s`: how long the caller waited for it.
    """

    state: StreamState
    index_B: NDArray[np.int64]
    image_BCDHW: F32
    keys: list[str]
    wait_s: float


def quantise(image: F32, thing: str) -> tuple[U8, float, float]:
    """(codes u8 of the same shape, scale, offset); raises DataError naming `thing` if a value is not finite."""
    low, high = np.float32(image.min()), np.float32(image.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise DataError(thing, "has a voxel that is not finite", "Prepare the volumes again")
    scale = np.float32((np.float64(high) - np.float64(low)) / 255)
    if scale == 0:  # constant, or too flat for float32
        return np.zeros(image.shape, np.uint8), 1.0, float(low)
    codes = np.rint((image.astype(np.float64) - float(low)) / float(scale))
    return np.clip(codes, 0, 255).astype(np.uint8), float(scale), float(low)


def dequantise(codes: U8, scale: float, offset: float, out: F32 | None = None) -> F32:
    """float32 values of the codes, written into `out` if given."""
    out = np.empty(codes.shape, np.float32) if out is None else out
    np.copyto(out, codes)  # a plain cast and two in-place passes are 2x faster than one mixed-type multiplication
    out *= np.float32(scale)
    out += np.float32(offset)
    return out


def npy_header(shape: tuple[int, ...]) -> bytes:
    """Header of a version 1.0 .npy file of a C-ordered u8 array, padded to a multiple of 64 bytes."""
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {tuple(int(size) for size in shape)}, }}"
    length = -(-(10 + len(text) + 1) // 64) * 64
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", length - 10) + text.ljust(length - 11).encode() + b"\n"


def npy_bytes(array: U8) -> bytes:
    """The array as an .npy file; the same bytes for ever."""
    return npy_header(array.shape) + np.ascontiguousarray(array).tobytes()


def npy_payload(data: U8, shape: tuple[int, int, int]) -> U8 | None:
    """The voxels in the bytes of an .npy member, without a copy; None unless the header is the one we write.

    Another dtype, an object array or another shape is never parsed, only refused.
    """
    header = npy_header(shape)
    if data.size != len(header) + int(np.prod(shape)) or data[: len(header)].tobytes() != header:
        return None
    return data[len(header) :].reshape(shape)


def json_bytes(meta: dict[str, Any]) -> bytes:
    """Sorted keys, no blanks: equal values give equal bytes."""
    return json.dumps(meta, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
