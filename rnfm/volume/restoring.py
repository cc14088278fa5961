"""`rnfm data restore`: a map drawn on a canonical volume (attention, a predicted mask) back on the source scan's own grid.

The archive keeps the shape and affine of every source grid, so neither the source scan nor the key table is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rnfm.core.config import Config, Field, positional
from rnfm.core.errors import ConfigError, DataError


class RestoreConfig(Config):
    """Resample a canonical map to the grid of the scan it belongs to, so that it overlays the source file."""

    volumes: Path = positional("volume archive, written by `rnfm data prepare`")
    scan: str = Field(description="code of the scan that the map belongs to")
    map: Path = Field(description="NIfTI file on a canonical grid (its affine says where it lies)")
    is_mask: bool = Field(False, description="the map holds labels: take the nearest voxel, never a mixture")
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
    from rnfm.volume.reading import load, load_mask
    from rnfm.volume.writing import require_nifti_name, save_nifti

    require_nifti_name(config.out)
    if config.out.exists() and not config.overwrite:
        raise ConfigError(config.out, "exists already", "Choose another --out, or pass --overwrite to replace it")
    grid = VolumeArchive.open(config.volumes).source_grid(config.scan)
    found = load_mask(config.map) if config.is_mask else load(config.map)
    restored = restore(found, like=grid)
    if not restored.data.any():
        raise DataError(
            config.map, f"nothing of it lies within scan {config.scan}", "Give a map on the canonical grid of this scan"
        )
    save_nifti(restored, config.out)
    return RestoreResult(config.out, restored.shape, restored.spacing_mm)
