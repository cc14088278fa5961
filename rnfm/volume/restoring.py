"""`rnfm data restore`: a map drawn on a canonical volume (attention, a predicted mask) back on the source scan's own grid.

The archive keeps the shape and affine of every source grid, so neither the source scan nor the key table is needed. Without a
map the scan's own image (or mask) is restored, its values turned back by the intensity rule's stored parameters: what the rule
clipped comes back as its clip, N4 and skull-stripping are not undone, and beyond the archived window there is 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rnfm.core.config import Config, Field, positional
from rnfm.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from rnfm.volume.archive import VolumeArchive
    from rnfm.volume.grids import Volume


class RestoreConfig(Config):
    """Resample a canonical map to the grid of the scan it belongs to, so that it overlays the source file."""

    volumes: Path = positional("volume archive, written by `rnfm data prepare`")
    scan: str = Field(description="code of the scan that the map belongs to")
    map: Path | None = Field(
        None,
        description="NIfTI file on a canonical grid (its affine says where it lies); none: the archive's own image in scanner values",
    )
    is_mask: bool = Field(
        False,
        description="the map holds labels: take the nearest voxel, never a mixture; without a map: the archive's own mask",
    )
    out: Path = Field(description="NIfTI file to write (.nii or .nii.gz)")
    overwrite: bool = Field(False, description="replace the file if it exists")


@dataclass(frozen=True)
class RestoreResult:
    """The file written, and its grid."""

    path: Path
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]

    def summary(self) -> str:
        """Two lines for people."""
        size, spacing = " x ".join(map(str, self.shape)), " x ".join(f"{mm:.3g}" for mm in self.spacing_mm)
        return f"map of {size} voxels of {spacing} mm in {self.path}\nnext: open it over the source scan in any viewer"


def restore_map(config: RestoreConfig) -> RestoreResult:
    """Run the stage. Raises ConfigError for paths and codes, ScanFault for the map's file, DataError if it lies elsewhere."""
    from rnfm.volume.archive import VolumeArchive
    from rnfm.volume.geometry import restore
    from rnfm.volume.writing import require_nifti_name, save_nifti

    require_nifti_name(config.out)
    if config.out.exists() and not config.overwrite:
        raise ConfigError(config.out, "exists already", "Choose another --out, or pass --overwrite to replace it")
    archive = VolumeArchive.open(config.volumes)
    restored = restore(_canonical(archive, config), like=archive.source_grid(config.scan))
    if not restored.data.any():
        raise DataError(
            config.map or config.volumes,
            f"nothing of it lies within scan {config.scan}",
            "Give a map on the canonical grid of this scan",
        )
    save_nifti(restored, config.out)
    return RestoreResult(config.out, restored.shape, restored.spacing_mm)


def _canonical(archive: VolumeArchive, config: RestoreConfig) -> Volume:
    """The map, or what the archive itself holds of the scan."""
    from rnfm.volume.grids import Volume
    from rnfm.volume.intensity import undo_intensity
    from rnfm.volume.reading import load, load_mask

    if config.map is not None:
        return load_mask(config.map) if config.is_mask else load(config.map)
    affine = archive.affine(config.scan)
    if config.is_mask:
        return Volume(archive.mask(config.scan), affine)
    prefix = "intensity_"
    row = archive.row(config.scan).items()
    parameters = {name.removeprefix(prefix): float(value) for name, value in row if name.startswith(prefix)}
    return Volume(undo_intensity(archive.image(config.scan), parameters, archive.contract.intensity), affine)
