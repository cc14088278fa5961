"""The bytes of the volume archive: Zarr v3, one group a geometry, one shard a scan, checksums on every chunk.

    volumes.zarr/  zarr.json
                   g64x80x64/  zarr.json
                               image/  zarr.json   c/<row>/0/0/0     float16 (n, 64, 80, 64), one shard a row
                               mask/   zarr.json   c/<row>/0/0/0     uint16
    shard          [ chunk | chunk | ... | index (offset, length of each) + CRC-32C ], chunks of about 32^3, Zstandard + checksum

A shard does not know its row. So whoever prepares a scan writes its two shards at once, as the files `image` and `mask` of
a folder of its own (one writer a shard, any number of processes), and rows are given out at the end by linking, in the
order of the cohort: the same bytes with any number of workers. The staged files stay until the archive stands. All chunks
are written, also the empty ones, so that a missing one is a fault.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zarr
from zarr.codecs import ZstdCodec
from zarr.core.buffer import Buffer
from zarr.storage import MemoryStore

from rnfm.core.errors import IntegrityError
from rnfm.volume.geometry import Shape

KINDS = {"image": np.float16, "mask": np.uint16}
CHUNK_VOX = 32
LEVEL = 3


@dataclass(frozen=True)
class Staged:
    """A scan whose shards are the files `image` and `mask` of the folder `path`."""

    path: Path
    shape: Shape


def geometry_name(shape: Shape) -> str:
    """`g64x80x64` for a scan of that size."""
    return "g" + "x".join(str(n) for n in shape)


def stage(path: Path, image: np.ndarray, mask: np.ndarray | None) -> Staged:
    """Write the shards of one scan (D, H, W) into the existing folder `path`; without a mask, zeros stand for it."""
    shape = image.shape
    for name, data in (("image", image), ("mask", np.zeros(shape, np.uint16) if mask is None else mask)):
        (path / name).write_bytes(_encoded(name, data))
    return Staged(path, shape)


def assemble(path: Path, staged: Sequence[Staged], attributes: Mapping[str, object]) -> list[int]:
    """Make `volumes.zarr` in the folder `path` out of staged scans, which stay; the row of each scan in its geometry.

    Raises IntegrityError if a chunk is missing afterwards.
    """
    root = zarr.create_group(path / "volumes.zarr", attributes=dict(attributes))
    rows, members = [], dict[str, list[Staged]]()
    for scan in staged:
        alike = members.setdefault(geometry_name(scan.shape), [])
        rows.append(len(alike))
        alike.append(scan)
    for geometry, scans in sorted(members.items()):
        group = root.create_group(geometry)
        for name in KINDS:
            array = _create(group, name, shape=scans[0].shape, rows=len(scans))
            for row, scan in enumerate(scans):
                folder = path / "volumes.zarr" / geometry / name / "c" / str(row) / "0" / "0"
                folder.mkdir(parents=True)
                os.link(scan.path / name, folder / "0")
            if array.nchunks_initialized != array.nchunks:
                raise IntegrityError(
                    path / "volumes.zarr",
                    f"{geometry}/{name} lacks chunks after writing",
                    "Check the disk and run the same command again",
                )
    return rows


def chunk_of(size: int) -> int:
    """The divisor of `size` that is nearest to 32; the smaller of two.

    >>> [chunk_of(n) for n in (64, 80, 112, 16)]
    [32, 40, 28, 16]
    """
    return min((n for n in range(1, size + 1) if size % n == 0), key=lambda n: (abs(n - CHUNK_VOX), n))


def _encoded(name: str, data: np.ndarray) -> bytes:
    """The bytes of one shard, as Zarr makes them."""
    blobs: dict[str, Buffer] = {}
    array = _create(zarr.create_group(MemoryStore(blobs)), name, shape=data.shape, rows=1)
    array[0] = data.astype(KINDS[name])
    return blobs[f"{name}/c/0/0/0/0"].to_bytes()


def _create(group: zarr.Group, name: str, *, shape: Shape, rows: int) -> zarr.Array:
    return group.create_array(
        name,
        shape=(rows, *shape),
        dtype=KINDS[name],
        shards=(1, *shape),
        chunks=(1, *(chunk_of(n) for n in shape)),
        compressors=[ZstdCodec(level=LEVEL, checksum=True)],
        fill_value=0,
        config={"write_empty_chunks": True},
        dimension_names=("scan", "R", "A", "S"),
    )
