"""Attention rollout (Abnar & Zuidema 2020): how much of each input token reaches each output token through all layers.

    one layer:   A' = alpha * fuse over heads(A) + (1 - alpha) * I, rows normalised      (I is the residual connection)
    all layers:  R  = A'_L A'_{L-1} ... A'_1, so that R[i, j] is the share of input token j in output token i

Every row of R sums to 1. A map shows the row that the classifier reads: the class token's, or, where a model pools patch
tokens, their rows in the proportions of its pooling. A rollout says where information *can* have come from; it knows nothing
of classes.

Legend: B batch, H heads, A = 1 + N tokens (class token first), N patch tokens on the grid (d, h, w), D H W voxels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from rnfm.core.errors import ConfigError
from rnfm.model.backbone import Backbone

FUSIONS: dict[str, Callable[..., Tensor]] = {"mean": torch.mean, "max": torch.amax, "min": torch.amin}


def rollout(attentions: Sequence[Tensor], fusion: Literal["mean", "max", "min"] = "mean", alpha: float = 0.5) -> Tensor:
    """The product over layers, (B, A, A); `attentions`: one (B, H, A, A) a layer, first layer first, rows summing to 1.

    `alpha` in 0..1 is the share of attention beside the residual connection. Raises ConfigError for anything else.
    """
    _check(attentions, fusion, alpha)
    eye_AA = torch.eye(attentions[0].shape[-1], dtype=attentions[0].dtype, device=attentions[0].device)
    product_BAA = eye_AA.expand(attentions[0].shape[0], -1, -1)
    for layer_BHAA in attentions:
        mixed_BAA = alpha * FUSIONS[fusion](layer_BHAA, dim=1) + (1 - alpha) * eye_AA
        total_BA1 = mixed_BAA.sum(dim=-1, keepdim=True)
        # With alpha = 1 the minimum over heads can leave a row empty: such a token passes on nothing but itself.
        product_BAA = torch.where(total_BA1 > 0, mixed_BAA / total_BA1.clamp(min=1e-30), eye_AA) @ product_BAA
    return product_BAA


def class_map(rollout_BAA: Tensor, grid: Sequence[int]) -> Tensor:
    """The class token's row over the patch tokens, (B, d, h, w); what remains to 1 is its share in itself."""
    return _on_grid(rollout_BAA[:, 0, 1:], grid)


def pooled_map(rollout_BAA: Tensor, grid: Sequence[int], weights_BN: Tensor) -> Tensor:
    """The patch tokens' rows, averaged with `weights_BN` (`Backbone.patch_weights`), over the patch tokens, (B, d, h, w)."""
    shares_BN = torch.einsum("bi,bij->bj", weights_BN.to(rollout_BAA.dtype), rollout_BAA[:, 1:, 1:])
    return _on_grid(shares_BN, grid)


def upsample_map(map_Bdhw: Tensor, crop: Sequence[int]) -> Tensor:
    """The map on the voxels of the crop, (B, D, H, W), trilinear between token centres; values are not rescaled."""
    return F.interpolate(map_Bdhw.unsqueeze(1), size=tuple(crop), mode="trilinear", align_corners=False)[:, 0]


@torch.no_grad()
def attention_map(
    model: Backbone, x_BCDHW: Tensor, fusion: Literal["mean", "max", "min"] = "mean", alpha: float = 0.5
) -> Tensor:
    """The rollout map of a ViT for its own way of pooling, on the voxels of its input, (B, D, H, W).

    Raises ConfigError for a network without attention weights.
    """
    attentions = model.forward_features(x_BCDHW, attention=True).attentions
    rollout_BAA = rollout(attentions, fusion, alpha)
    if model.pooling == "cls":
        map_Bdhw = class_map(rollout_BAA, model.grid)
    else:
        map_Bdhw = pooled_map(rollout_BAA, model.grid, model.patch_weights(x_BCDHW))
    return upsample_map(map_Bdhw, model.crop)


def _on_grid(shares_BN: Tensor, grid: Sequence[int]) -> Tensor:
    d, h, w = grid
    if shares_BN.shape[1] != d * h * w:
        raise ConfigError(
            "rollout", f"{shares_BN.shape[1]} patch tokens do not fill the grid {d}x{h}x{w}", "Give theirs"
        )
    return shares_BN.reshape(-1, d, h, w)


def _check(attentions: Sequence[Tensor], fusion: str, alpha: float) -> None:
    if fusion not in FUSIONS:
        raise ConfigError("rollout", f"fusion={fusion!r} is not known", f"Use one of {', '.join(FUSIONS)}")
    if not 0 <= alpha <= 1:
        raise ConfigError("rollout", f"alpha={alpha} is not between 0 and 1", "Use 0.5 for equal shares")
    if not attentions:
        raise ConfigError(
            "rollout", "no attention weights were given", "Ask for them: forward_features(x, attention=True)"
        )
    shape = tuple(attentions[0].shape)
    if len(shape) != 4 or shape[2] != shape[3] or any(tuple(layer.shape) != shape for layer in attentions):
        found = ", ".join(str(tuple(layer.shape)) for layer in attentions)
        raise ConfigError(
            "rollout", f"layers have shapes {found}, not one (B, H, A, A)", "Give one network's attentions"
        )
