"""One scan at a time: safe reading, orientation, resampling, intensity, masks, checks; and the volume archive.

    from rnfm.volume import load, canonicalise, restore
    scan = load("scan.nii.gz")                        # Volume(data float32 (i, j, k), affine to RAS mm)
    ras = canonicalise(scan, spacing_mm=(1, 1, 1))    # axes R, A, S
    back = restore(ras, like=scan)

Where to look:

    one file in          reading, formats, inflate, faults    what a file is, every byte of it read, or one reason why not
    one scan made        single: geometry, grids, strides, bias, brain, intensity, landmarks, findings
    `data prepare`       preparing: bill, sources, workfolder -> finishing: workers, worker, cluster, guard -> production
                         -> gathering: store, alike
    the archive out      archive, restoring, writing
    `data qc`            quality: look, intensities, page, templates/

Names are imported when first used: the configurations cost nothing, SimpleITK and Zarr come with the work.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rnfm.volume.archive import VolumeArchive
    from rnfm.volume.faults import ScanFault
    from rnfm.volume.geometry import Volume, canonicalise, restore
    from rnfm.volume.preparing import PrepareConfig, PrepareResult, prepare
    from rnfm.volume.quality import QcConfig, QcResult, qc
    from rnfm.volume.reading import load, load_mask
    from rnfm.volume.restoring import RestoreConfig, RestoreResult, restore_map
    from rnfm.volume.single import PreparedScan, prepare_one
    from rnfm.volume.writing import save_nifti

_HOMES = {
    "archive": ("VolumeArchive",),
    "faults": ("ScanFault",),
    "geometry": ("Volume", "canonicalise", "restore"),
    "preparing": ("PrepareConfig", "PrepareResult", "prepare"),
    "quality": ("QcConfig", "QcResult", "qc"),
    "reading": ("load", "load_mask"),
    "restoring": ("RestoreConfig", "RestoreResult", "restore_map"),
    "single": ("PreparedScan", "prepare_one"),
    "writing": ("save_nifti",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "PrepareConfig",
    "PrepareResult",
    "PreparedScan",
    "QcConfig",
    "QcResult",
    "RestoreConfig",
    "RestoreResult",
    "ScanFault",
    "Volume",
    "VolumeArchive",
    "canonicalise",
    "load",
    "load_mask",
    "prepare",
    "prepare_one",
    "qc",
    "restore",
    "restore_map",
    "save_nifti",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value
