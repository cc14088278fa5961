"""The labelled lesions of one or several volume archives: one row a classified lesion, and its voxels on request.

    table   lesion  patient  scan  site  label  archive  start_vox  stop_vox  mask_box  volume_mm3  clinical_<name> ...
              |                                   |          |                    |
              code; the scan's where no           |          |                    the mask inside that box (bool)
              lesion is named                     |          box of the target mask in the canonical volume, stop excluded
                                                  position in `archives`

The mask of a row is the *target* lesion's alone: other lesions of the scan are not in it.
A row without a usable mask is left out and named in `left_out`; more than `max_bad` of them are refused.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rnfm.core.contract import InputContract
from rnfm.core.errors import ConfigError, DataError
from rnfm.downstream.lineage import volume_inputs
from rnfm.downstream.windows import bounding_box, crop_start, cut

if TYPE_CHECKING:
    from rnfm.volume import VolumeArchive

Voxels = tuple[np.ndarray, np.ndarray]
"""Image float32 and target mask bool, both (D, H, W)."""


class Lesions:
    """A table of lesions over opened archives. Rows are positions in `table`."""

    def __init__(
        self, table: pd.DataFrame, archives: Sequence[VolumeArchive], inputs: dict[str, str], left_out: list[str]
    ):
        self.table, self.archives, self.inputs, self.left_out = table, tuple(archives), inputs, tuple(left_out)
        self.contract: InputContract = archives[0].contract
        self._volume = lru_cache(maxsize=1)(self._read)

    def __len__(self) -> int:
        return len(self.table)

    def volume(self, row: int) -> Voxels:
        """The whole canonical scan of `row` and its target mask."""
        lesion = self.table.iloc[row]
        image = self._volume(lesion["archive"], lesion["scan"])
        return image, self._mask(row, (0, 0, 0), image.shape)

    def crop(self, row: int, size: tuple[int, int, int]) -> Voxels:
        """A crop of `size` voxels centred on the box of the lesion, padded with background where it leaves the volume."""
        lesion = self.table.iloc[row]
        return self._cut(row, crop_start(lesion["start_vox"], lesion["stop_vox"], size), size)

    def box(self, row: int, margin: int = 1) -> Voxels:
        """The lesion's own box with `margin` voxels around it, whatever its size."""
        lesion = self.table.iloc[row]
        start = tuple(int(edge) - margin for edge in lesion["start_vox"])
        size = tuple(
            int(high - low) + 2 * margin for low, high in zip(lesion["start_vox"], lesion["stop_vox"], strict=True)
        )
        return self._cut(row, start, size)

    def in_scan_order(self) -> list[int]:
        """Rows ordered so that each scan is read once."""
        return list(self.table.reset_index(drop=True).sort_values(["archive", "scan"], kind="stable").index)

    def _cut(self, row: int, start: Sequence[int], size: Sequence[int]) -> Voxels:
        lesion = self.table.iloc[row]
        image = self._volume(lesion["archive"], lesion["scan"])
        fill = background(self.archives[lesion["archive"]], lesion["scan"])
        return cut(image, start, size, fill), self._mask(row, start, size)

    def _mask(self, row: int, start: Sequence[int], size: Sequence[int]) -> np.ndarray:
        offset = [int(first) - int(low) for first, low in zip(start, self.table["start_vox"].iloc[row], strict=True)]
        return cut(self.table["mask_box"].iloc[row], offset, size, False)

    def _read(self, archive: int, scan: str) -> np.ndarray:
        return self.archives[archive].image(scan)


def load_lesions(volumes: Sequence[Path], *, labelled: bool = True, max_bad: float = 0.05) -> Lesions:
    """The classified lesions of `volumes`, in order of their codes; only labelled ones unless `labelled` is false.

    Raises ConfigError for archives of different contracts, DataError for an empty cohort, one class only, a lesion twice,
    or more than max(1, max_bad) lesions without a mask.
    """
    from rnfm.volume import VolumeArchive

    if not volumes:
        raise ConfigError(
            "volumes", "no volume archive is given", "Name at least one folder that `rnfm data prepare` wrote"
        )
    archives = [VolumeArchive.open(path) for path in volumes]
    for path, archive in zip(volumes[1:], archives[1:], strict=True):
        require_same_input(path, archive.contract, archives[0].contract)
    parts = [archive.cohort.assign(archive=i) for i, archive in enumerate(archives)]
    table = pd.concat(parts, ignore_index=True)
    table = table[table["classified"].astype(bool) & (table["label"].notna() | (not labelled))]
    if table.empty:
        what = "labelled, classified" if labelled else "classified"
        raise DataError(volumes[0], f"the cohort holds no {what} lesion", "Index a cohort with outcomes and prepare it")
    table["lesion"] = table["lesion"].where(table["lesion"].notna(), table["scan"])
    _require_once(volumes, table)
    table, left_out = _with_boxes(table, archives, max_bad)
    if labelled and table["label"].nunique() < 2:
        only = int(table["label"].iloc[0])
        raise DataError(volumes[0], f"all {len(table)} lesions have label {only}", "Give a cohort with both outcomes")
    return Lesions(table, archives, volume_inputs([archive.digest for archive in archives]), left_out)


def background(archive: VolumeArchive, scan: str) -> float:
    """The value of empty space in a scan: what the intensity rule makes of a raw 0."""
    from rnfm.volume.intensity import apply_intensity

    prefix = "intensity_"
    parameters = {name.removeprefix(prefix): v for name, v in archive.row(scan).items() if name.startswith(prefix)}
    return float(apply_intensity(np.zeros(1), parameters, archive.contract.intensity)[0])


def require_same_input(thing: object, found: InputContract, expected: InputContract) -> None:
    """Raise ConfigError if two inputs differ in axes, spacing or intensity rule."""
    differences = expected.differences(found)
    if differences:
        raise ConfigError(thing, "; ".join(differences), "Prepare the scans with the settings that the model expects")


def _require_once(volumes: Sequence[Path], table: pd.DataFrame) -> None:
    twice = table["lesion"][table["lesion"].duplicated()]
    if len(twice):
        raise DataError(
            volumes[0],
            f"lesion {twice.iloc[0]} is classified on {int((table['lesion'] == twice.iloc[0]).sum())} scans",
            "Mark one scan a lesion as classified, and give each archive once",
        )


def _with_boxes(
    table: pd.DataFrame, archives: Sequence[VolumeArchive], max_bad: float
) -> tuple[pd.DataFrame, list[str]]:
    """Add box and volume of each lesion; rows without a mask go to the list of what was left out."""
    kept, left_out = [], []
    for row in table.to_dict("records"):
        archive = archives[row["archive"]]
        row["mask_values"] = [int(value) for value in (row["mask_values"] if row["mask_values"] is not None else [])]
        mask = archive.lesion_mask(row["scan"], row["mask_values"]) if row["has_mask"] else np.zeros((1, 1, 1), bool)
        box = bounding_box(mask)
        if box is None:
            left_out.append(f"{row['lesion']} has no {'voxel in its mask' if row['has_mask'] else 'mask'}")
            continue
        voxel_mm3 = float(np.prod(archive.contract.spacing_mm))
        inside = mask[tuple(slice(low, high) for low, high in zip(*box, strict=True))]
        volume_mm3 = float(inside.sum()) * voxel_mm3
        found: dict[Hashable, Any] = {
            "start_vox": box[0],
            "stop_vox": box[1],
            "mask_box": inside.copy(),
            "volume_mm3": volume_mm3,
        }
        kept.append(row | found)
    if len(left_out) > max(1, int(max_bad * len(table))) or not kept:
        raise DataError(
            "lesions",
            f"{len(left_out)} of {len(table)} have no mask ({'; '.join(left_out[:3])})",
            "Give the masks and prepare again, or take these rows out of the cohort",
        )
    return pd.DataFrame(kept).sort_values("lesion", kind="stable").reset_index(drop=True), left_out
