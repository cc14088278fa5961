"""Plain PyTorch for an exported rnfm foundation: this file and the two beside it are all that is needed.

    model = load("folder")
    tokens_BAE = model(x_BCDHW)        # A = 1 + N: the class token, then the patch tokens, d, h, w row-major

Needs torch and safetensors, and not rnfm. Legend: B batch, C channels, D H W voxels, E channels of the model, A tokens.
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn


class Block(nn.Module):
    def __init__(self, dim: int, heads: int, hidden: int, eps: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=eps), nn.LayerNorm(dim, eps=eps)
        self.attention = nn.ModuleDict({"qkv": nn.Linear(dim, 3 * dim, bias=False), "out": nn.Linear(dim, dim)})
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))

    def forward(self, x_BAE: Tensor) -> Tensor:
        qkv = self.attention["qkv"](self.norm1(x_BAE)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(qkv[0], qkv[1], qkv[2]).transpose(1, 2).flatten(2)
        x_BAE = x_BAE + self.attention["out"](mixed)
        return x_BAE + self.mlp(self.norm2(x_BAE))


class Encoder(nn.Module):
    """The 3D ViT of `config.json`; input (B, C, D, H, W) as its `input` says, output (B, A, E)."""

    def __init__(self, config: dict) -> None:
        super().__init__()
        dim, self.patch = config["hidden_size"], config["patch_size"]
        self.grid = [size // part for size, part in zip(config["image_size"], self.patch, strict=True)]
        voxels = self.patch[0] * self.patch[1] * self.patch[2] * config["num_channels"]
        eps, hidden = config["layer_norm_eps"], config["intermediate_size"]
        self.patch_embed = nn.Linear(voxels, dim)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.blocks = nn.ModuleList(
            Block(dim, config["num_attention_heads"], hidden, eps) for _ in range(config["num_hidden_layers"])
        )
        self.norm = nn.LayerNorm(dim, eps=eps)
        if config["position"] == "learned":
            self.position = nn.Parameter(torch.zeros(self.grid[0] * self.grid[1] * self.grid[2], dim))
        else:
            self.register_buffer("position", sincos3d(self.grid, dim), persistent=False)

    def forward(self, x_BCDHW: Tensor) -> Tensor:
        (d, h, w), (pd, ph, pw) = self.grid, self.patch
        blocks = x_BCDHW.reshape(-1, x_BCDHW.shape[1], d, pd, h, ph, w, pw).permute(0, 2, 4, 6, 3, 5, 7, 1)
        tokens_BNE = self.patch_embed(blocks.reshape(x_BCDHW.shape[0], d * h * w, -1)) + self.position
        x_BAE = torch.cat((self.cls_token.expand(len(tokens_BNE), -1, -1), tokens_BNE), dim=1)
        for block in self.blocks:
            x_BAE = block(x_BAE)
        return self.norm(x_BAE)


def sincos3d(grid: list[int], dim: int) -> Tensor:
    """Sines, then cosines, of dim // 6 frequencies for each axis d, h, w; channels left over are zero."""
    n = dim // 6
    frequency = 10000.0 ** (-torch.arange(n, dtype=torch.float64) / n)
    places = torch.cartesian_prod(*(torch.arange(size, dtype=torch.float64) for size in grid))
    angles = places[:, :, None] * frequency
    table = torch.cat((angles.sin(), angles.cos()), dim=2).flatten(1)
    return F.pad(table, (0, dim - 6 * n)).float()


def load(folder: str | Path) -> Encoder:
    """The encoder with its weights, in evaluation mode. Raises if a weight is missing or left over."""
    config = json.loads((Path(folder) / "config.json").read_text())
    model = Encoder(config)
    model.load_state_dict(load_file(Path(folder) / "model.safetensors"), strict=True)
    return model.eval()
