"""What every network of this room can do, whatever it is made of.

    x_BCDHW --forward_features--> Features --pool--> pooled_BE --head--> logits_BK

`pooling` says which token speaks for the whole input:
    cls    the class token (of a CNN: the mean of its last feature map)
    mean   the mean of the patch tokens
    mask   the patch tokens weighted by how much of each lies in the lesion, which is the LAST input channel; the mean where
           that channel is empty

Legend: B batch, C channels, D H W voxels, N patch tokens, E channels of the model, K classes, A = 1 + N tokens.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rnfm.core.errors import ConfigError
from rnfm.model.patches import Triple

Pooling = Literal["cls", "mean", "mask"]


class Features(NamedTuple):
    """What a backbone saw. `attentions`: one (B, heads, A, A) a layer, class token first; empty unless asked for."""

    cls_BE: Tensor
    patch_BNE: Tensor
    attentions: list[Tensor]


class Backbone(nn.Module, ABC):
    """Base of all networks. `create_model(**model.architecture)` builds the same network with fresh weights."""

    head: nn.Module
    has_tokens = False  # whether `tokens_of` and `encode` exist: objectives that hide tokens need them

    def __init__(self, architecture: dict[str, Any], *, embed_dim: int, crop: Triple, grid: Triple) -> None:
        super().__init__()
        if architecture["pooling"] not in get_args(Pooling):
            raise ConfigError(
                "pooling", f"is {architecture['pooling']!r}", f"Use one of {', '.join(get_args(Pooling))}"
            )
        if architecture["pooling"] == "mask" and architecture["in_channels"] < 2:
            raise ConfigError("pooling", "'mask' needs a lesion mask as last of two or more channels", "Use 'mean'")
        self.architecture, self.embed_dim, self.crop, self.grid = architecture, embed_dim, crop, grid
        self.in_channels: int = architecture["in_channels"]
        self.num_classes: int = architecture["num_classes"]
        self.pooling: Pooling = architecture["pooling"]

    @property
    @abstractmethod
    def input_weight(self) -> str:
        """Name of the one parameter whose shape follows the number of input channels."""

    @abstractmethod
    def widen(self, weight: Tensor, channels: int) -> Tensor:
        """An `input_weight` for `channels` inputs as one for this network's: further channels, appended last, weigh zero."""

    @abstractmethod
    def forward_features(self, x_BCDHW: Tensor, attention: bool = False) -> Features:
        """Class and patch tokens after the final norm; with `attention` also every layer's attention weights."""

    def forward(self, x_BCDHW: Tensor) -> Tensor:
        """Logits (B, K), or the pooled features (B, E) if the model has no classes."""
        pooled_BE = self.pool(self.forward_features(x_BCDHW), x_BCDHW)
        return self.head(pooled_BE)

    def pool(self, features: Features, x_BCDHW: Tensor) -> Tensor:
        """The features that speak for the whole input, (B, E)."""
        if self.pooling == "cls":
            return features.cls_BE
        weights_BN = self.patch_weights(x_BCDHW).to(features.patch_BNE.dtype)
        return torch.einsum("bn,bne->be", weights_BN, features.patch_BNE)

    def patch_weights(self, x_BCDHW: Tensor) -> Tensor:
        """Share of each patch token in the pooled features for 'mean' and 'mask', (B, N) float32; rows sum to 1."""
        N = self.grid[0] * self.grid[1] * self.grid[2]
        even_BN = x_BCDHW.new_full((x_BCDHW.shape[0], N), 1 / N, dtype=torch.float32)
        if self.pooling != "mask":
            return even_BN
        inside_BN = F.adaptive_avg_pool3d(x_BCDHW[:, -1:].float().clamp(min=0), self.grid).flatten(1)
        total_B1 = inside_BN.sum(dim=1, keepdim=True)
        return torch.where(total_B1 > 0, inside_BN / total_B1.clamp(min=torch.finfo(torch.float32).tiny), even_BN)

    def make_head(self) -> nn.Module:
        """A linear layer onto the classes, or nothing if there are none."""
        if not self.num_classes:
            return nn.Identity()
        head = nn.Linear(self.embed_dim, self.num_classes)
        nn.init.trunc_normal_(head.weight, std=0.02)
        nn.init.zeros_(head.bias)
        return head

    def check_input(self, x_BCDHW: Tensor) -> None:
        """Raise ConfigError unless the input is (B, C, D, H, W) of this model's channels and crop."""
        if tuple(x_BCDHW.shape[1:]) != (self.in_channels, *self.crop):
            expected = f"(B, {self.in_channels}, {', '.join(map(str, self.crop))})"
            raise ConfigError(
                "model input", f"has shape {tuple(x_BCDHW.shape)}, expected {expected}", "Crop it, or adapt the model"
            )
