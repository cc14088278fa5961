"""Tar shards: written reproducibly to the byte, read by offset, checked byte by byte.

    shard   = member* end
    member  = header[512] data[length] zeros[to a multiple of 512]      header: USTAR, mtime 0, uid 0, gid 0, mode 0644
    end     = zeros[1024]

A name is KEY.img.npy, KEY.mask.npy or KEY.meta.json. Because a header is a pure function of name and length, a check is
a comparison: every byte of a shard is a header we can recompute, data with a known CRC-32, or a zero. Reading goes by the
manifest's offsets and never by a name found in the tar, so a planted member is neither extracted nor executed.
"""

from __future__ import annotations

import os
import tarfile
import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from rnfm.archive.samples import U8
from rnfm.core.errors import IntegrityError

BLOCK = 512
END = bytes(2 * BLOCK)
SUFFIXES = {"img": "img.npy", "mask": "mask.npy", "meta": "meta.json"}
MOST_OPEN_FILES = 128
MEND = "List all damage with `rnfm data verify --deep`, then restore the shard from a copy or cut it again"


@dataclass(frozen=True)
class Extent:
    """Where the data of one member lie in a shard, and their CRC-32. `length` 0: the sample has no such member."""

    offset: int
    length: int
    crc32: int

    @classmethod
    def of(cls, offset: int, data: bytes | memoryview) -> Extent:
        """The extent of these bytes at `offset`."""
        return cls(offset, memoryview(data).nbytes, zlib.crc32(data))


ABSENT = Extent(-1, 0, 0)


def padded(length: int) -> int:
    return -(-length // BLOCK) * BLOCK


def header(name: str, length: int) -> bytes:
    """The 512 bytes before a member's data."""
    info = tarfile.TarInfo(name)
    info.size = length
    return info.tobuf(format=tarfile.USTAR_FORMAT)


class TarWriter:
    """Writes one shard from its first byte to its last; `extents` of each sample go into the manifest."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = open(path, "xb")  # noqa: SIM115 - closed by `close`, which a `with` calls
        self._position = 0

    def add(self, key: str, members: dict[str, bytes]) -> dict[str, Extent]:
        """Append the members (`img`, `mask`, `meta`) of one sample, in this order."""
        extents = {}
        for member, data in members.items():
            self._write(header(f"{key}.{SUFFIXES[member]}", len(data)))
            extents[member] = Extent.of(self._position, data)
            self._write(data)
            self._write(bytes(padded(len(data)) - len(data)))
        return extents

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._position += len(data)

    def __enter__(self) -> TarWriter:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._write(END)
        self._file.close()


class _OpenFile:
    """A descriptor that closes when the last reader lets go of it, so a thread never reads a reused number."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDONLY)

    def __del__(self) -> None:
        if hasattr(self, "descriptor"):
            os.close(self.descriptor)


class ShardFiles:
    """Positioned reads from the shards of one folder, from any thread; the descriptors used last stay open."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._lock = folder, threading.Lock()
        self._open: OrderedDict[str, _OpenFile] = OrderedDict()

    def _file(self, shard: str) -> _OpenFile:
        with self._lock:
            if shard not in self._open:
                self._open[shard] = _OpenFile(self._folder / shard)
            self._open.move_to_end(shard)
            if len(self._open) > MOST_OPEN_FILES:
                self._open.popitem(last=False)
            return self._open[shard]

    def read(self, shard: str, extent: Extent, *, key: str, member: str) -> U8:
        """The bytes of one member: u8 (length,). Raises IntegrityError with shard, key and offset if they are not whole."""
        data = np.empty(extent.length, np.uint8)
        place = f"sample {key}, {SUFFIXES[member]} at offset {extent.offset}"
        try:
            file, done = self._file(shard), 0
            while done < extent.length:
                count = os.preadv(file.descriptor, [data.data[done:]], extent.offset + done)
                if count == 0:
                    raise IntegrityError(shard, f"{place}: the file ends {extent.length - done} bytes early", MEND)
                done += count
        except OSError as error:
            raise IntegrityError(shard, f"{place}: cannot be read ({error.strerror})", MEND) from None
        if zlib.crc32(data.data) != extent.crc32:
            raise IntegrityError(shard, f"{place}: other content than was published", MEND)
        return data


def faults_of(path: Path, samples: Sequence[tuple[str, dict[str, Extent]]]) -> Iterator[str]:
    """Every fault of one shard, byte for byte against its `samples` (key, extents), in file order."""
    try:
        file = open(path, "rb")  # noqa: SIM115 - the `with` below
    except OSError as error:
        for key, _ in samples:
            yield f"sample {key}: the shard cannot be read ({error.strerror})"
        return
    with file:
        position = 0
        for key, extents in samples:
            for member in SUFFIXES:
                if extents[member].length:
                    yield from _member_faults(file, key, member, extents[member], position)
                    position = extents[member].offset + padded(extents[member].length)
        file.seek(position)
        # Read a bounded piece: what follows may be of any size.
        if file.read(len(END) + 1) != END:
            yield f"the end at offset {position} is not {len(END)} zeros and nothing more"


def _member_faults(file: BinaryIO, key: str, member: str, extent: Extent, position: int) -> Iterator[str]:
    start = extent.offset - BLOCK
    name = SUFFIXES[member]
    if start != position:
        yield f"sample {key}: {name} begins at offset {start} instead of {position}: something else lies between"
    file.seek(start)
    if file.read(BLOCK) != header(f"{key}.{name}", extent.length):
        yield f"sample {key}: the header of {name} at offset {start} is damaged"
    data = file.read(extent.length)
    if len(data) < extent.length:
        yield f"sample {key}: {name} at offset {extent.offset} is cut short ({len(data)} of {extent.length} bytes)"
    elif zlib.crc32(data) != extent.crc32:
        yield f"sample {key}: {name} at offset {extent.offset} has other content than was published"
    elif any(file.read(padded(extent.length) - extent.length)):
        yield f"sample {key}: the padding after {name} at offset {extent.offset + extent.length} is not zero"
