"""One scan as the quality page shows it: its facts, its picture, its intensities. Any number of processes, the same result.

    archive + code --decode once--> Look(facts, planes, intensities)     some kB each: voxels never travel between processes

Memory: one decoded volume a process, and the pictures of all scans (the page's own size).
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from rnfm.core.errors import DataError
from rnfm.viz.planes import Planes, three_planes
from rnfm.volume.archive import VolumeArchive
from rnfm.volume.geometry import Spacing, Volume
from rnfm.volume.intensities import Intensities, intensities

PREFIX = "intensity_"  # of the columns of scans.parquet that hold the rule's parameters


@dataclass(frozen=True)
class Lesions:
    """Of a mask: volume by mask value [ml], and the number of connected parts."""

    volume_ml: dict[int, float]
    parts: int


@dataclass(frozen=True)
class Look:
    """What the page says of one scan. `lesions` is None where the scan has no mask."""

    scan: str
    patient: str
    site: str | None
    source_axes: str
    source_shape_vox: tuple[int, ...]
    source_spacing_mm: Spacing
    shape_vox: tuple[int, ...]
    head_ml: float
    lesions: Lesions | None
    planes: Planes
    intensities: Intensities


def look(archive: VolumeArchive, scan: str, side_px: int) -> Look:
    """Decode one scan and sum it up. Raises IntegrityError for damaged voxels."""
    row, contract = archive.row(scan), archive.contract
    image, mask = archive.image(scan), archive.mask(scan) if row["has_mask"] else None
    voxel_ml = float(np.prod(contract.spacing_mm)) / 1000
    source = Volume(np.empty((1, 1, 1)), np.array(row["source_affine"]).reshape(4, 4))
    return Look(
        scan=scan,
        patient=row["patient"],
        site=row["site"] if isinstance(row["site"], str) else None,
        source_axes=source.axes,
        source_shape_vox=tuple(int(n) for n in row["source_shape_vox"]),
        source_spacing_mm=source.spacing_mm,
        shape_vox=image.shape,
        head_ml=float(row["foreground_voxels"]) * voxel_ml,
        lesions=None if mask is None else lesions_of(mask, voxel_ml),
        planes=three_planes(image, mask, contract.spacing_mm, side_px=side_px),
        intensities=intensities(image, parameters_of(row), contract.intensity),
    )


def lesions_of(mask_DHW: np.ndarray, voxel_ml: float) -> Lesions:
    """Volumes and parts of a mask of whole numbers, 0 outside; face-connected."""
    boxes = ndimage.find_objects((mask_DHW > 0).view(np.int8))
    if not boxes:
        return Lesions({}, 0)
    inside = mask_DHW[boxes[0]]  # labelling the box of a lesion, not the head, is a hundred times less work
    values, counts = np.unique(inside[inside > 0], return_counts=True)
    volumes = {int(value): float(count) * voxel_ml for value, count in zip(values, counts, strict=True)}
    return Lesions(volumes, int(ndimage.label(inside)[1]))


def parameters_of(row: Mapping[str, Any]) -> dict[str, float]:
    """The intensity rule's parameters of a row of scans.parquet."""
    return {name.removeprefix(PREFIX): value for name, value in row.items() if name.startswith(PREFIX)}


@contextlib.contextmanager
def looks(archive: VolumeArchive, *, side_px: int, workers: int) -> Iterator[Iterator[Look]]:
    """All scans in the archive's order, one by one as they are done. Raises DataError if a worker dies."""
    codes: Sequence[str] = list(archive.scans["scan"])
    if workers == 1 or len(codes) < 2:
        yield (look(archive, code, side_px) for code in codes)
        return
    # Spawned, not forked: a forked child of a process in which Zarr has started threads can hang.
    pool = ProcessPoolExecutor(
        min(workers, len(codes)),
        mp_context=get_context("spawn"),
        initializer=_begin,
        initargs=(archive.artifact.path, side_px),
    )
    try:
        yield pool.map(_work, codes, chunksize=4)
    except BrokenProcessPool:
        raise DataError("qc", "a worker process died, most likely out of memory", "Use fewer --workers") from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_MINE: dict[str, Any] = {}  # a worker's archive and picture size, set once by `_begin`


def _begin(path: Path, side_px: int) -> None:
    _MINE.update(archive=VolumeArchive.open(path), side_px=side_px)

    def follow() -> None:
        parent = parent_process()
        if parent is not None:
            parent.join()
        os._exit(1)  # a worker waits for ever on its queue if the parent is killed

    threading.Thread(target=follow, daemon=True).start()


def _work(scan: str) -> Look:
    return look(_MINE["archive"], scan, _MINE["side_px"])
