"""The arithmetic of `rnfm embed`: which tokens speak for a lesion.

    lesion   patch tokens weighted by how much of each patch lies in the lesion
    rim      the same for the shell of `rim_vox` voxels around it
    cls      the class token                mean    the mean of all patch tokens

The foundation sees the image channels it was trained on; the mask only weighs tokens, so its outline cannot leak into them.

Legend: N lesions, B batch, P patch tokens, E channels of the model, D H W voxels of the crop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from torch import Tensor

from rnfm.core import progress
from rnfm.downstream.clinical import PREFIX
from rnfm.downstream.crops import cut_crops, outgrown
from rnfm.downstream.lesions import Lesions

if TYPE_CHECKING:
    from rnfm.downstream.embed import EmbedConfig
    from rnfm.model import Backbone


def embeddings(config: EmbedConfig, lesions: Lesions) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Vectors (N, parts * E) float32 in the order of `lesions.table`, and the crop that the foundation sees."""
    from rnfm import foundation

    model, _ = foundation.load(config.foundation)
    model.eval()
    crops = cut_crops(lesions, model.crop)
    starts = range(0, len(crops), config.batch)
    parts = []
    with torch.inference_mode():
        for start in progress.track(starts, len(starts), "embed", "batches"):
            x_B2DHW = crops.batch(np.arange(start, min(start + config.batch, len(crops))))
            parts.append(embed_batch(model, x_B2DHW, config.pooling, config.rim_vox).numpy())
    return np.concatenate(parts).astype(np.float32), model.crop


def embed_batch(model: Backbone, x_B2DHW: Tensor, pooling: Sequence[str], rim_vox: int) -> Tensor:
    """One batch's vectors, (B, parts * E)."""
    image_B1DHW, mask_B1DHW = x_B2DHW[:, :1], x_B2DHW[:, 1:]
    features = model.forward_features(image_B1DHW)
    vectors = []
    for part in pooling:
        if part == "cls":
            vectors.append(features.cls_BE)
        elif part == "mean":
            vectors.append(features.patch_BNE.mean(dim=1))
        else:
            where = mask_B1DHW if part == "lesion" else rim(mask_B1DHW, rim_vox)
            vectors.append(weighted(features.patch_BNE, where, model.grid))
    return torch.cat(vectors, dim=1)


def rim(mask_B1DHW: Tensor, width_vox: int) -> Tensor:
    """Voxels outside the mask within `width_vox` of it (largest distance along an axis), as 0/1."""
    grown = F.max_pool3d(mask_B1DHW, 2 * width_vox + 1, stride=1, padding=width_vox)
    return grown - mask_B1DHW


def weighted(patch_BPE: Tensor, where_B1DHW: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """Mean of patch tokens weighted by the part of each patch that `where` covers; the plain mean where it covers none."""
    share_BP = F.adaptive_avg_pool3d(where_B1DHW, grid).flatten(1)
    total_B1 = share_BP.sum(dim=1, keepdim=True)
    even = torch.full_like(share_BP, 1 / share_BP.shape[1])
    weight_BP = torch.where(total_B1 > 0, share_BP / total_B1.clamp(min=1e-12), even)
    return torch.einsum("bp,bpe->be", weight_BP, patch_BPE)


def table_of(lesions: Lesions, vectors_NE: np.ndarray) -> pa.Table:
    """The rows of `embeddings.parquet`; `embedding` is a list<float32>."""
    known = ["patient", "lesion", "scan", "site", "label"]
    clinical = [name for name in lesions.table.columns if name.startswith(PREFIX)]
    frame = lesions.table[known + clinical].astype({"label": "Int8"})
    vectors = pa.array(list(vectors_NE), type=pa.list_(pa.float32()))
    return pa.Table.from_pandas(frame, preserve_index=False).add_column(len(known), "embedding", vectors)


def large_lesions(lesions: Lesions, crop: tuple[int, int, int]) -> list[str]:
    """A warning if lesions do not fit the crop."""
    large = outgrown(lesions, crop)
    return [f"warning: {len(large)} lesions are larger than the crop (first: {large[0]})"] if large else []
