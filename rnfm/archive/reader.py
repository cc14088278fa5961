"""Open a shard archive and read samples: one at a time, or as an endless stream of batches in the global order.

    train = rnfm.archive.open("shards/pool", subset="train")
    state = train.first_state(seed=0, global_batch=32)
    for batch in train.stream(state, rank=0, world_size=1): ...

Every read is checked against the CRC-32 in the manifest. Damage raises IntegrityError with shard, key and offset; nothing
is skipped or replaced in silence.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rnfm.archive import manifest as manifests
from rnfm.archive.order import WINDOW, StreamState, default_lanes, steps_per_epoch
from rnfm.archive.samples import F32, U8, Sample, dequantise, npy_payload
from rnfm.archive.subvolumes import ZarrRows
from rnfm.archive.tar import MEND, SUFFIXES, ShardFiles
from rnfm.core.artifact import Artifact
from rnfm.core.config import from_dict
from rnfm.core.contract import InputContract
from rnfm.core.errors import ConfigError, DataError, IntegrityError, nearest

if TYPE_CHECKING:
    from rnfm.archive.stream import Stream

KIND, VERSION = "shards", 1


def open(uri: Path | str, subset: str | None = None) -> Archive:
    """Open the shard archive in the local folder `uri`, or its `train` or `val` part (which may be empty).

    Raises ConfigError for what is no archive or another format version, IntegrityError for damaged heads or manifest.
    """
    text = str(uri)
    if text.startswith("pipe:") or "://" in text:
        raise ConfigError(text, "only local folders are read", "Copy the archive to a disk and give its folder")
    if subset is not None and subset not in manifests.SUBSETS:
        raise ConfigError(
            "subset", f"{subset!r} is neither train nor val{nearest(subset, manifests.SUBSETS)}", "Choose one of them"
        )
    artifact = Artifact.open(uri, kind=KIND, version=VERSION)
    manifest = manifests.read(artifact)
    return Archive(artifact, manifest if subset is None else manifest.subset(subset))


class Archive:
    """The samples of an archive, or of one subset, in the order of their keys. Safe to read from many threads."""

    def __init__(self, artifact: Artifact, manifest: manifests.Manifest) -> None:
        contract = from_dict(InputContract, artifact.contract["input"])
        if contract.crop is None:
            raise IntegrityError(artifact.path, "the contract holds no crop", "Cut the shards again")
        self.artifact, self.manifest, self.contract = artifact, manifest, contract
        self.format: str = artifact.contract["format"]
        self.shape: tuple[int, int, int] = contract.crop
        self._tars, self._rows = ShardFiles(artifact.path), ZarrRows(artifact.path)

    @property
    def path(self) -> Path:
        return self.artifact.path

    @property
    def digest(self) -> str:
        """Names the content of the whole archive."""
        return self.artifact.digest

    @property
    def patients(self) -> list[str]:
        """Codes of all patients in the archive, of every subset: what a model that sees it must own up to."""
        return list(self.artifact.lineage["patients"])

    @property
    def manifest_sha256(self) -> str:
        return self.artifact.files[manifests.NAME]["sha256"]

    @cached_property
    def shard_sizes(self) -> list[int]:
        """Samples of each shard, in the order in which indices count them."""
        return self.manifest.shard_sizes()

    def __len__(self) -> int:
        return len(self.manifest)

    def __iter__(self) -> Iterator[Sample]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: int) -> Sample:
        """Read one sample whole. Raises IndexError outside 0..len-1, IntegrityError for damage."""
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        mask = self._codes(index, "mask") if self.manifest.extent(index, "mask").length else None
        return Sample(self.key(index), self.image(index), mask, self._meta(index))

    def key(self, index: int) -> str:
        return str(self.manifest.columns["key"][index])

    def image(self, index: int, out: F32 | None = None) -> F32:
        """The image of one sample, float32 (D, H, W), decoded into `out` if given."""
        columns = self.manifest.columns
        scale, offset = columns["value_scale"][index], columns["value_offset"][index]
        return dequantise(self._codes(index, "img"), scale, offset, out)

    def verify(self, deep: bool = False) -> list[str]:
        """Every fault found, one phrase each, naming shard and sample: sizes, heads, manifest; with `deep` every byte."""
        from rnfm.archive.verify import shard_faults

        return shard_faults(self.artifact, deep)

    def first_state(
        self, *, seed: int, global_batch: int, lanes: int | None = None, window: int = WINDOW
    ) -> StreamState:
        """The state at which a new run starts. Raises DataError if one epoch has not even one whole batch."""
        if steps_per_epoch(len(self), global_batch) == 0:
            raise DataError(
                self.path,
                f"holds {len(self)} samples here, fewer than one global batch of {global_batch}",
                "Cut more sub-volumes, or lower the global batch",
            )
        chosen = default_lanes(global_batch) if lanes is None else lanes
        return StreamState(seed, 0, 0, global_batch, chosen, window, self.manifest_sha256)

    def stream(self, state: StreamState, rank: int = 0, world_size: int = 1) -> Stream:
        """Batches from `state` on, without end. Raises ConfigError for a world size, rank or state that does not fit."""
        from rnfm.archive.stream import Stream

        return Stream(self, state, rank=rank, world_size=world_size)

    def _codes(self, index: int, member: str) -> U8:
        key, extent = self.key(index), self.manifest.extent(index, member)
        if self.format == "zarr":
            return self._rows.read(str(self.manifest.columns["subset"][index]), extent, key=key, member=member)
        shard = str(self.manifest.columns["shard"][index])
        voxels = npy_payload(self._tars.read(shard, extent, key=key, member=member), self.shape)
        if voxels is None:
            raise IntegrityError(
                shard, f"sample {key}: {SUFFIXES[member]} is not a u8 array of {self.shape}; it was not decoded", MEND
            )
        return voxels

    def _meta(self, index: int) -> dict[str, Any]:
        key, extent = self.key(index), self.manifest.extent(index, "meta")
        shard = str(self.manifest.columns["shard"][index])
        if self.format == "zarr":
            data = str(self.manifest.columns["meta"][index]).encode()
            if zlib.crc32(data) != extent.crc32:
                raise IntegrityError(manifests.NAME, f"sample {key}: its meta is not what was published", MEND)
        else:
            data = self._tars.read(shard, extent, key=key, member="meta").tobytes()
        try:
            return json.loads(data)
        except ValueError:
            raise IntegrityError(shard, f"sample {key}: meta.json is not JSON", MEND) from None


def images(archive: Archive, indices: np.ndarray, out: F32) -> F32:
    """Decode the images at `indices` into `out`, float32 (B, 1, D, H, W), and return it."""
    for row, index in enumerate(indices):
        archive.image(int(index), out[row, 0])
    return out
