"""`rnfm data show`: what is in an artefact, and one sub-volume as a picture."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnfm.core import files
from rnfm.core.artifact import Artifact
from rnfm.core.config import Config, Field, positional
from rnfm.core.errors import ConfigError

SLICES = 6


class ShowConfig(Config):
    """Say what an artefact holds; draw one sample of a shard archive."""

    path: Path = positional("artefact folder")
    sample: int | None = Field(None, ge=0, description="sample of a shard archive to describe, counted from 0")
    png: Path | None = Field(None, description="file for a picture of the sample (of sample 0 if none is given)")


@dataclass(frozen=True)
class ShowResult:
    """Lines for people, and the picture if one was drawn."""

    path: Path
    lines: tuple[str, ...]
    png: Path | None

    def summary(self) -> str:
        return "\n".join(self.lines)


def show(config: ShowConfig) -> ShowResult:
    """Describe an artefact. Raises ConfigError if a sample is asked for that does not exist."""
    artifact = Artifact.open(config.path)
    size = sum(entry["bytes"] for entry in artifact.files.values())
    lines = [
        f"{config.path}: {artifact.kind}, format {artifact.version}, {len(artifact.files)} files, {size / 1e6:.1f} MB",
        f"digest {artifact.digest[:16]}, made by rnfm {artifact.lineage.get('rnfm')} from "
        f"{', '.join(artifact.lineage.get('inputs', {})) or 'nothing else'}",
        *_tree(artifact.contract),
    ]
    if "patients" in artifact.lineage:
        lines.append(f"patients: {len(artifact.lineage['patients'])}")
    wanted = config.sample is not None or config.png is not None
    if artifact.kind == "shards":
        lines += _shards(config, wanted)
    elif wanted:
        raise ConfigError("sample", f"a {artifact.kind} artefact holds no samples", "Give a shard archive")
    return ShowResult(config.path, tuple(lines), config.png)


def _tree(values: dict[str, Any], prefix: str = "") -> list[str]:
    lines = []
    for name, value in values.items():
        lines += _tree(value, f"{prefix}{name}.") if isinstance(value, dict) else [f"  {prefix}{name}: {value}"]
    return lines


def _shards(config: ShowConfig, wanted: bool) -> list[str]:
    from rnfm.archive.reader import open as open_archive

    archive = open_archive(config.path)
    columns = archive.manifest.columns
    sites = Counter(site if site is not None else "unknown" for site in columns["site"])
    lines = [
        f"shards: {len(archive.shard_sizes)}, samples a shard: {min(archive.shard_sizes)} to {max(archive.shard_sizes)}",
        "samples by site: " + ", ".join(f"{count} {site}" for site, count in sorted(sites.items())),
        f"samples around a named lesion: {sum(lesion is not None for lesion in columns['lesion'])}",
    ]
    if not wanted:
        return lines
    index = config.sample or 0
    if index >= len(archive):
        raise ConfigError("sample", f"{index} of {len(archive)} samples", f"Give 0 to {len(archive) - 1}")
    sample = archive[index]
    lines += [
        f"sample {index}: {sample.key}, shard {columns['shard'][index]}",
        f"  values {sample.image.min():.3g} to {sample.image.max():.3g}, mean {sample.image.mean():.3g}",
        *_tree({name: value for name, value in sample.meta.items() if name not in ("key", "affine")}),
    ]
    if config.png is not None:
        files.write_bytes(config.png, _picture(sample))
        lines.append(f"picture: {config.png}")
    return lines


def _picture(sample: Any) -> bytes:
    """PNG of axial slices from foot to head; below them, if there is a mask, the same with its outline in white."""
    from rnfm.viz import figure_png, montage

    heights = _heights(sample)
    images = [sample.image[:, :, height] for height in heights]
    labels = [f"{sample.key} S {height}" if i == 0 else f"S {height}" for i, height in enumerate(heights)]
    if sample.mask is not None:
        images += [_outlined(sample.image[:, :, height], sample.mask[:, :, height] > 0) for height in heights]
        labels += ["with mask"] * len(heights)
    return figure_png(montage(images, labels=labels, columns=len(heights)))


def _heights(sample: Any) -> list[int]:
    """Slices to draw: evenly spread over those that are not empty, one of them where the mask is largest."""
    import numpy as np

    filled = np.flatnonzero(np.ptp(sample.image, axis=(0, 1)) > 0)
    filled = filled if len(filled) else np.arange(sample.image.shape[2])
    chosen = filled[np.linspace(0, len(filled) - 1, min(SLICES, len(filled))).round().astype(int)]
    if sample.mask is not None and sample.mask.any():
        largest = int((sample.mask > 0).sum(axis=(0, 1)).argmax())
        chosen[np.abs(chosen - largest).argmin()] = largest
    return [int(height) for height in chosen]


def _outlined(image_2d: Any, inside_2d: Any) -> Any:
    import numpy as np
    from scipy import ndimage

    edge = inside_2d & ~ndimage.binary_erosion(inside_2d)
    return np.where(edge, image_2d.max(), image_2d)
