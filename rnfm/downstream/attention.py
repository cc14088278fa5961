"""Where the classifier looked: rollout maps of a few test lesions, in each scan's own grid.

    attention.parquet            lesion, scan, site, label, probability, file
    <lesion>_attention.nii.gz    float32, the grid of the source scan, 0 outside the crop
    slices.npz                   <lesion>_image, _mask, _map: the axial slice through the middle of the lesion (D, H), float32

The lesions are drawn by key from the test lesions, classes in turn, before anything is known of their predictions: a
gallery of the best cases would explain nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rnfm.core import artifact as artifacts
from rnfm.core import keyed
from rnfm.core.artifact import Artifact
from rnfm.downstream.crops import Crops
from rnfm.downstream.lesions import Lesions
from rnfm.downstream.windows import crop_start, cut

if TYPE_CHECKING:
    from torch import Tensor

    from rnfm.model import Backbone
    from rnfm.volume.geometry import Grid

KIND, VERSION, TABLE, SLICES = "attention", 1, "attention.parquet", "slices.npz"


def draw(table: pd.DataFrame, rows: np.ndarray, count: int, seed: int) -> list[int]:
    """At most `count` of `rows`, label 1 and label 0 in turn, in an order that depends on seed and code alone."""
    queues: dict[int, list[int]] = {1: [], 0: []}
    for row in sorted(rows, key=lambda row: keyed.seed64(seed, "attention", table["lesion"].iloc[row])):
        queues[int(table["label"].iloc[row])].append(int(row))
    drawn: list[int] = []
    turn = 1
    while len(drawn) < count and any(queues.values()):
        queue = queues[turn] or queues[1 - turn]
        drawn.append(queue.pop(0))
        turn = 1 - turn
    return drawn


def attention_maps(model: Backbone, x_B2DHW: Tensor) -> np.ndarray:
    """Rollout of what the pooled token attended to, on the voxels of the crop: (B, D, H, W) float32."""
    from rnfm.explain import attention_map

    maps_BDHW = attention_map(model, x_B2DHW.to(next(model.parameters()).device))
    return np.asarray(maps_BDHW.cpu().numpy(), dtype=np.float32)


def save_map(file: Path, map_DHW: np.ndarray, affine: np.ndarray, grid: Grid) -> None:
    """Write a map of a canonical volume as NIfTI in the grid (shape, affine) of its source scan."""
    from rnfm.volume import Volume, restore, save_nifti

    save_nifti(restore(Volume(map_DHW, affine), grid), file)


def into_canonical(map_DHW: np.ndarray, start: tuple[int, ...], shape: tuple[int, ...]) -> np.ndarray:
    """A crop's map at its place in a canonical volume of `shape`, 0 elsewhere."""
    return cut(map_DHW, tuple(-first for first in start), shape, 0.0)


def save_attention(
    path: Path,
    lesions: Lesions,
    crops: Crops,
    model: Backbone,
    rows: list[int],
    *,
    probability: Mapping[int, float],
    lineage: Mapping[str, Any],
    overwrite: bool,
) -> Artifact:
    """Publish the maps of `rows` (positions in `lesions.table`); `probability` is by row."""
    maps_BDHW = attention_maps(model, crops.batch(np.array(rows)))
    records, slices = [], {}
    with artifacts.publish(path, KIND, VERSION, contract={}, lineage=lineage, overwrite=overwrite) as draft:
        for row, map_DHW in zip(rows, maps_BDHW, strict=True):
            lesion = lesions.table.iloc[row]
            code, archive = str(lesion["lesion"]), lesions.archives[lesion["archive"]]
            image, mask = lesions.volume(row)
            start = crop_start(lesion["start_vox"], lesion["stop_vox"], map_DHW.shape)
            whole = into_canonical(map_DHW, start, image.shape)
            file = f"{code}_attention.nii.gz"
            save_map(draft.path / file, whole, archive.affine(lesion["scan"]), archive.source_grid(lesion["scan"]))
            axial = (int(lesion["start_vox"][2]) + int(lesion["stop_vox"][2])) // 2
            for name, volume in (("image", image), ("mask", mask), ("map", whole)):
                slices[f"{code}_{name}"] = volume[:, :, axial].astype(np.float32)
            known = {"lesion": code, "scan": lesion["scan"], "site": lesion["site"], "label": int(lesion["label"])}
            records.append({**known, "probability": float(probability[row]), "file": file})
        np.savez_compressed(draft.path / SLICES, allow_pickle=False, **slices)
        pd.DataFrame(records).to_parquet(draft.path / TABLE, index=False)
    return Artifact.open(path, KIND, VERSION)
