"""The disk bill of a volume archive: what it will take, told before the first byte is written."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet

from rnfm.core.artifact import Artifact
from rnfm.core.errors import ConfigError

BYTES_A_VOXEL = 1.2
"""Bytes on the disk for each canonical voxel of the whole field of view: float16 and mask, compressed, cut to the head.

Measured at 1 mm: 0.33 and 0.38 for simulated whole heads, most of whose field of view is air; 0.95 to 1.55 for 16 public
slabs of 22 to 26 slices, which the padding to 16 voxels makes larger. Rather too much asked for than a disk full after hours.
"""
ALWAYS = 1 << 20


def bytes_needed(cohort: Artifact, spacing_mm: Sequence[float], done: frozenset[str] = frozenset()) -> int:
    """An estimate for the scans of the cohort that are not `done`; scans of unknown size count as the mean of the others."""
    table = parquet.read_table(cohort.file("cohort.parquet"))
    if not {"shape_vox", "spacing_mm"} <= set(table.column_names):
        return ALWAYS
    extent_mm3 = {
        row["scan"]: np.prod(np.multiply(row["shape_vox"], row["spacing_mm"]))
        if row["shape_vox"] and row["spacing_mm"]
        else np.nan
        for row in table.select(["scan", "shape_vox", "spacing_mm"]).to_pylist()
    }
    known = [mm3 for mm3 in extent_mm3.values() if np.isfinite(mm3)]
    if not known:
        return ALWAYS
    left = [mm3 if np.isfinite(mm3) else np.mean(known) for scan, mm3 in extent_mm3.items() if scan not in done]
    return ALWAYS + int(sum(left) / np.prod(spacing_mm) * BYTES_A_VOXEL)


def require_space(out: Path, needed: int) -> None:
    """Raise ConfigError with both figures if the disk of `out` has less than `needed` bytes free."""
    there = next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        cause = f"needs about {_gb(needed)} and {_gb(free)} are free on its disk"
        raise ConfigError(out, cause, "Free some space, choose another --out, or a coarser --spacing-mm")


def _gb(size: int) -> str:
    return f"{size / 1e9:.3g} GB" if size >= 1e9 else f"{size / 1e6:.3g} MB"
