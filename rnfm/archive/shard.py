"""`rnfm data shard`: cut sub-volumes out of canonical volumes and write them as a shard archive.

A crop depends on (seed, scan, k) and on its own scan alone: adding a scan to the volumes changes no other crop. The layout
of the shards is a function of the sorted keys, so the same inputs give the same bytes. One archive is published whole or
not at all (`rnfm.core.artifact.publish`).
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rnfm.core import artifact
from rnfm.core.config import Config, Field, positional
from rnfm.core.errors import ConfigError

if TYPE_CHECKING:
    from rnfm.archive.plan import Bill

KIND, VERSION = "shards", 1


class ShardConfig(Config):
    """Cut sub-volumes and write them as tar shards or as Zarr, with a manifest."""

    volumes: Path = positional("volumes folder that `rnfm data prepare` wrote")
    out: Path = Field(Path("shards/archive"), description="folder of the shard archive")
    split: Path | None = Field(
        None, description="split folder: role holdout becomes `val`, external is left out; none: all is `train`"
    )
    crop: tuple[int, int, int] = Field((96, 96, 96), description="size of a sub-volume along D, H, W [voxel]")
    per_scan: int = Field(
        4, ge=1, le=9999, description="sub-volumes a scan: around its lesions in turn, else in the head"
    )
    jitter: float = Field(
        0.125, ge=0, le=1, description="largest move of a lesion-centred crop along each axis [share of the crop]"
    )
    format: Literal["tar", "zarr"] = Field("tar", description="tar: fastest to read; zarr: smaller, compressed")
    shard_mb: float | None = Field(
        None, gt=0, description="size of a shard [MB]; none: a 512th of all, but at least 64 and at most 1024"
    )
    seed: int = Field(0, ge=0, description="seed of the places where crops are cut")
    overwrite: bool = Field(False, description="replace an archive made with other settings")

    def result_hash(self) -> str:
        """Hash of the settings that determine the bytes; the inputs are named by their digests."""
        settings = self.model_dump(mode="json", exclude={"volumes", "out", "split", "overwrite"})
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class ShardResult:
    """What was written. `samples` counts by subset, `padded` those that reach beyond their scan along an axis.

    `fresh` is False if the archive stood already.
    """

    path: Path
    format: str
    samples: dict[str, int]
    patients: int
    bytes: int
    padded: int
    fresh: bool = True

    def summary(self) -> str:
        state = "" if self.fresh else " (up to date)"
        counts = ", ".join(f"{count} {subset}" for subset, count in self.samples.items())
        lines = [f"{self.path}{state}: {counts} sub-volumes of {self.patients} patients, {self.bytes / 1e6:.1f} MB"]
        if self.padded:
            lines.append(f"{self.padded} of them are larger than their scan along an axis and filled with background")
        if not self.samples.get("val"):
            lines.append("no validation part: give --split to hold patients out")
        return "\n".join([*lines, f"next: rnfm pretrain {self.path}"])


def shard(config: ShardConfig) -> ShardResult:
    """Write the archive. Raises ConfigError (paths, settings, disk), DataError (nothing to cut, patients without a role)."""
    volumes = artifact.Artifact.open(config.volumes, kind="volumes")
    split = artifact.Artifact.open(config.split, kind="split") if config.split else None
    inputs = {"volumes": volumes.digest, **({"split": split.digest} if split else {})}
    standing = artifact.current(config.out, KIND, config.result_hash(), inputs)
    if standing is not None:
        return _result(config.out, standing, fresh=False)
    artifact.require_free(config.out, config.overwrite)
    _require_crop(config)

    from rnfm.archive.write import write_shards
    from rnfm.volume import VolumeArchive

    archive = VolumeArchive.open(config.volumes)
    split_table = _read_split(split) if split else None
    lineage = {"config_hash": config.result_hash(), "inputs": inputs}
    with artifact.publish(config.out, KIND, VERSION, lineage=lineage, overwrite=config.overwrite) as draft:
        written = write_shards(archive, split_table, config, draft.path)
        draft.contract.update(written.contract)
        draft.lineage["patients"] = written.patients
    return _result(config.out, artifact.Artifact.open(config.out, kind=KIND), fresh=True)


def require_disk(bill: Bill, out: Path) -> None:
    """Say what will be written, and raise ConfigError if the disk cannot hold it."""
    folder = out.resolve()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    print(f"{bill.text()}; {free / 1e9:.1f} GB free", file=sys.stderr, flush=True)
    if bill.bytes > free:
        raise ConfigError(
            out,
            f"needs {bill.bytes / 1e9:.1f} GB, the disk has {free / 1e9:.1f} GB free",
            "Free some space, choose another --out, or cut fewer or smaller sub-volumes",
        )


def _require_crop(config: ShardConfig) -> None:
    if min(config.crop) < 1:
        raise ConfigError("crop", f"{config.crop} has an edge below one voxel", "Give three positive sizes")


def _read_split(split: artifact.Artifact) -> Any:
    import pandas as pd

    split.require_intact(deep=True)  # a role changed by hand is found
    return pd.read_parquet(split.file("split.parquet"))


def _result(path: Path, published: artifact.Artifact, *, fresh: bool) -> ShardResult:
    from rnfm.archive import manifest

    contract, patients = published.contract, published.lineage["patients"]
    size = sum(entry["bytes"] for entry in published.files.values())
    padded = int((manifest.read(published).columns["origin_vox"] < 0).any(axis=1).sum())
    return ShardResult(path, contract["format"], contract["samples"], len(patients), size, padded, fresh)
