"""A 3D Vision Transformer (Dosovitskiy et al. 2021): pre-norm, fused qkv, SDPA attention, class token, GELU.

    x_BCDHW --tokens_of--> tokens_BNE (patches + positions) --encode--> class token in front, blocks, final norm --> Features

`encode` takes any subset of the tokens, because each carries its own position: masked autoencoding feeds it the visible ones.

Legend: B batch, N patch tokens, A = 1 + N with the class token, E channels, H heads, F = E / H, P voxels of a patch.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rnfm.model.backbone import Backbone, Features
from rnfm.model.patches import Triple, patchify, sincos3d, token_grid

NORM_EPS = 1e-6


class Attention(nn.Module):
    """Multi-head self-attention; the weights are formed only for those who ask to see them."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        # No bias: softmax cancels a key's, so its gradient is rounding noise, which Adam would scale up to full steps and
        # which would make runs on one and on two ranks drift apart.
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.out = nn.Linear(dim, dim)

    def forward(self, x_BAE: Tensor, attention: bool = False) -> tuple[Tensor, Tensor | None]:
        B, A, E = x_BAE.shape
        q, k, v = self.qkv(x_BAE).view(B, A, 3, self.heads, E // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        weights_BHAA = None
        if attention:
            scores = (q @ k.transpose(-2, -1)) * q.shape[-1] ** -0.5
            weights_BHAA = scores.softmax(dim=-1, dtype=torch.promote_types(scores.dtype, torch.float32)).to(v.dtype)
            mixed_BHAF = weights_BHAA @ v
        else:
            mixed_BHAF = F.scaled_dot_product_attention(q, k, v)
        return self.out(mixed_BHAF.transpose(1, 2).reshape(B, A, E)), weights_BHAA


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, dim: int, heads: int, mlp_ratio: float) -> None:
        super().__init__()
        hidden = round(dim * mlp_ratio)
        self.norm1 = nn.LayerNorm(dim, eps=NORM_EPS)
        self.attention = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=NORM_EPS)
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))

    def forward(self, x_BAE: Tensor, attention: bool = False) -> tuple[Tensor, Tensor | None]:
        mixed_BAE, weights_BHAA = self.attention(self.norm1(x_BAE), attention)
        x_BAE = x_BAE + mixed_BAE
        return x_BAE + self.mlp(self.norm2(x_BAE)), weights_BHAA


class VisionTransformer(Backbone):
    """See the head of this file. Built by `rnfm.model.create_model`, which checks its arguments."""

    has_tokens = True

    def __init__(self, architecture: dict[str, Any], *, crop: Triple, patch: Triple) -> None:
        dim, heads = architecture["dim"], architecture["heads"]
        super().__init__(architecture, embed_dim=dim, crop=crop, grid=token_grid(crop, patch))
        self.patch = patch
        self.patch_embed = nn.Linear(patch[0] * patch[1] * patch[2] * self.in_channels, dim)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.blocks = nn.ModuleList(Block(dim, heads, architecture["mlp_ratio"]) for _ in range(architecture["depth"]))
        self.norm = nn.LayerNorm(dim, eps=NORM_EPS)
        self.head = self.make_head()
        self.position: Tensor
        if architecture["position"] == "learned":
            self.position = nn.Parameter(torch.zeros(self.grid[0] * self.grid[1] * self.grid[2], dim))
            nn.init.trunc_normal_(self.position, std=0.02)
        else:
            # Not in the state: another crop then needs no surgery, and nothing fixed is trained or averaged.
            self.register_buffer("position", sincos3d(self.grid, dim), persistent=False)
        init_linear(self.patch_embed, self.blocks)
        nn.init.normal_(self.cls_token, std=0.02)

    def tokens_of(self, x_BCDHW: Tensor) -> Tensor:
        """Patch tokens with their positions, (B, N, E); no class token."""
        self.check_input(x_BCDHW)
        patches_BNP = patchify(x_BCDHW, self.patch).to(self.patch_embed.weight.dtype)
        tokens_BNE = self.patch_embed(patches_BNP)
        return tokens_BNE + self.position.to(tokens_BNE.dtype)  # DeepSpeed leaves buffers in float32

    def encode(self, tokens_BNE: Tensor, attention: bool = False) -> Features:
        """Run tokens (all or some of a volume's) through the blocks behind a class token."""
        x_BAE = torch.cat((self.cls_token.expand(tokens_BNE.shape[0], -1, -1), tokens_BNE), dim=1)
        attentions = []
        for block in self.blocks:
            x_BAE, weights_BHAA = block(x_BAE, attention)
            if weights_BHAA is not None:
                attentions.append(weights_BHAA)
        x_BAE = self.norm(x_BAE)
        return Features(x_BAE[:, 0], x_BAE[:, 1:], attentions)

    def forward_features(self, x_BCDHW: Tensor, attention: bool = False) -> Features:
        return self.encode(self.tokens_of(x_BCDHW), attention)

    @property
    def input_weight(self) -> str:
        return "patch_embed.weight"

    def widen(self, weight: Tensor, channels: int) -> Tensor:
        by_channel = weight.unflatten(1, (-1, channels))  # the channel is the fastest axis of a token
        return F.pad(by_channel, (0, self.in_channels - channels)).flatten(1)


def init_linear(*roots: nn.Module) -> None:
    """Xavier-uniform weights and zero biases, as in MAE; a fused qkv is drawn as the three square maps it is."""
    modules = [module for root in roots for module in root.modules()]
    fused = {module.qkv for module in modules if isinstance(module, Attention)}
    for module in modules:
        if isinstance(module, nn.Linear):
            if module.bias is not None:
                nn.init.zeros_(module.bias)
            for part in module.weight.data.chunk(3 if module in fused else 1):
                nn.init.xavier_uniform_(part)
