"""Zarr sub-volumes: the second format behind the same archive.

    subvolumes.zarr/            Zarr v3, opens with plain `zarr.open_group`
    +-- train/                  one group a subset
    |   +-- image               u8 (n, D, H, W), codes as in samples.py
    |   +-- mask                u8 (n, D, H, W), zeros where a sample has no mask
    +-- val/ ...

One chunk a sample, zstd with its own checksum; one Zarr shard holds as many samples as one tar shard would. Zarr gives
zeros for a chunk that is missing and, without a checksum, decodes damage in silence: so empty chunks are written, and the
CRC-32 of the decoded voxels stands in the manifest and is compared on every read.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np

from rnfm.archive.samples import U8
from rnfm.archive.tar import MEND, Extent
from rnfm.core.errors import IntegrityError

FOLDER = "subvolumes.zarr"
ARRAYS = {"img": "image", "mask": "mask"}


class ZarrWriter:
    """Writes the arrays of one subset, one whole Zarr shard at a time (two writes into one shard would lose data)."""

    def __init__(
        self, folder: Path, subset: str, *, samples: int, crop_vox: tuple[int, int, int], per_shard: int
    ) -> None:
        import zarr
        from zarr.codecs import ZstdCodec

        self._per_shard, self._row = per_shard, 0
        group = zarr.open_group(folder / FOLDER, mode="a").require_group(subset)
        self._arrays = {
            member: group.create_array(
                name,
                shape=(samples, *crop_vox),
                dtype="u1",
                chunks=(1, *crop_vox),
                shards=(per_shard, *crop_vox),
                compressors=ZstdCodec(level=3, checksum=True),
                fill_value=0,
                config={"write_empty_chunks": True},
                dimension_names=("sample", "right", "anterior", "superior"),
            )
            for member, name in ARRAYS.items()
        }
        self._block = {member: np.zeros((per_shard, *crop_vox), np.uint8) for member in ARRAYS}
        self._filled = 0

    def add(self, img: U8, mask: U8 | None) -> dict[str, Extent]:
        """Append one sample; an extent's offset is its row in the subset's arrays."""
        row = self._row + self._filled
        extents = {}
        for member, voxels in (("img", img), ("mask", mask)):
            self._block[member][self._filled] = 0 if voxels is None else voxels
            if voxels is not None:
                extents[member] = Extent.of(row, np.ascontiguousarray(voxels).data)
        self._filled += 1
        if self._filled == self._per_shard:
            self._flush()
        return extents

    def _flush(self) -> None:
        for member, array in self._arrays.items():
            array[self._row : self._row + self._filled] = self._block[member][: self._filled]
        self._row, self._filled = self._row + self._filled, 0

    def __enter__(self) -> ZarrWriter:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None and self._filled:
            self._flush()


class ZarrRows:
    """Reads rows of the arrays, each against its CRC-32, from any thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opened: dict[str, Any] = {}

    def _array(self, subset: str, member: str) -> Any:
        import zarr

        name = f"{subset}/{ARRAYS[member]}"
        if name not in self._opened:
            self._opened[name] = zarr.open_array(self._folder / FOLDER, path=name, mode="r")
        return self._opened[name]

    def read(self, subset: str, extent: Extent, *, key: str, member: str) -> U8:
        """The voxels of one row: u8 (D, H, W). Raises IntegrityError with array, key and row if they are not whole."""
        name = f"{FOLDER}/{subset}/{ARRAYS[member]}"
        place = f"sample {key}, row {extent.offset}"
        try:
            voxels = np.ascontiguousarray(self._array(subset, member)[extent.offset], dtype=np.uint8)
        except Exception as error:  # a damaged chunk surfaces as one of a dozen types out of zarr and its codecs
            raise IntegrityError(name, f"{place}: cannot be decoded ({type(error).__name__})", MEND) from None
        if zlib.crc32(voxels.data) != extent.crc32:
            raise IntegrityError(name, f"{place}: other content than was published", MEND)
        return voxels
