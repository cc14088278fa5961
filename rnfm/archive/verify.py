"""`rnfm data verify`: is an artefact, of whatever kind, what was published? For shards, which samples are damaged?

A damaged archive cannot be opened, so the search for damage reads the heads alone and goes on past every fault.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rnfm.core import files
from rnfm.core.artifact import HEADS, Artifact
from rnfm.core.config import Config, Field, positional
from rnfm.core.errors import ConfigError, IntegrityError
from rnfm.core.progress import track

if TYPE_CHECKING:
    from rnfm.archive.manifest import Manifest

SHOWN = 5


class VerifyConfig(Config):
    """Check an artefact against what was published."""

    path: Path = positional("artefact folder: cohort, split, volumes, shards, checkpoint, foundation, ...")
    deep: bool = Field(False, description="read every byte; otherwise presence, sizes and heads")
    faults: Path | None = Field(None, description="file that gets every fault, one a line")


@dataclass(frozen=True)
class VerifyResult:
    """A sound artefact; unsound ones raise."""

    path: Path
    kind: str
    deep: bool
    files: int
    bytes: int

    def summary(self) -> str:
        how = "every byte" if self.deep else "presence, sizes and heads"
        lines = [f"{self.path}: {self.kind}, sound ({how} of {self.files} files, {self.bytes / 1e6:.1f} MB)"]
        return "\n".join(lines if self.deep else [*lines, f"next: rnfm data verify {self.path} --deep"])


def verify(config: VerifyConfig) -> VerifyResult:
    """Raise IntegrityError (exit code 4) that names the first faults, ConfigError for what is no artefact."""
    artifact = read_heads(config.path)
    faults = find_faults(artifact, deep=config.deep)
    if config.faults is not None:
        files.write_text(config.faults, "".join(f"{fault}\n" for fault in faults))
    if faults:
        shown = "; ".join(faults[:SHOWN]) + (f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else "")
        count = f"{len(faults)} fault{'s' if len(faults) > 1 else ''}"
        raise IntegrityError(config.path, f"{count}: {shown}", "Restore it from a copy or make it again")
    size = sum(entry["bytes"] for entry in artifact.files.values())
    return VerifyResult(config.path, artifact.kind, config.deep, len(artifact.files), size)


def find_faults(artifact: Artifact, *, deep: bool) -> list[str]:
    """Every fault of an artefact of any kind."""
    if artifact.kind == "volumes":
        from rnfm.volume import VolumeArchive

        return VolumeArchive(artifact).verify(deep)
    return shard_faults(artifact, deep) if artifact.kind == "shards" else artifact.verify(deep)


def shard_faults(artifact: Artifact, deep: bool) -> list[str]:
    """Every fault of a shard archive: of its files, of its manifest and, with `deep`, of each sample."""
    from rnfm.archive import manifest, tar

    faults = artifact.verify(deep)
    if any(fault.startswith(HEADS) for fault in faults):
        return faults  # what the heads say of the samples cannot be trusted
    try:
        rows = manifest.read(artifact)
    except IntegrityError as error:
        return [*faults, f"{error.cause}; the samples cannot be told apart"]
    if not deep:
        return faults
    if artifact.contract.get("format") == "zarr":
        return faults + _zarr_faults(artifact, rows)
    groups = rows.shard_groups()
    for shard, members in track(groups.items(), len(groups), "verify samples", "shards"):
        samples = [(str(rows.columns["key"][i]), rows.extents(i)) for i in members]
        faults += [f"{shard}: {fault}" for fault in tar.faults_of(artifact.path / shard, samples)]
    return faults


def _zarr_faults(artifact: Artifact, rows: Manifest) -> list[str]:
    from rnfm.archive.reader import Archive

    archive, faults = Archive(artifact, rows), []
    for i in track(range(len(archive)), len(archive), "verify samples", "samples"):
        try:
            archive[i]
        except IntegrityError as error:
            faults.append(f"{error.thing}: {error.cause}")
    return faults


def read_heads(path: Path) -> Artifact:
    """The artefact's heads, without asking whether its files are there. Raises ConfigError if it is no artefact."""
    if not (path / "digests.json").is_file():
        found = "there is no such folder" if not path.is_dir() else "is not a published artefact (no digests.json)"
        raise ConfigError(path, found, "Give a folder that a stage wrote")
    try:
        config, lineage, digests = (json.loads((path / head).read_text()) for head in HEADS)
        return Artifact(
            path, config["kind"], config["version"], config["contract"], lineage, digests["files"], digests["digest"]
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IntegrityError(
            path, f"its head files are damaged ({error})", "Restore it from a copy or make it again"
        ) from None
