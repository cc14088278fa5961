"""Volumes as tokens, and where each token lies.

    x_BCDHW --patchify--> tokens_BNP        N = d*h*w tokens, the last axis (w) fastest
                                            P = pd*ph*pw*C voxels of one token, the channel fastest

Legend: B batch, C channels, D H W voxels along R A S, N tokens, P voxels of one token, E channels of the model;
`grid` (d, h, w) counts tokens along each axis, `patch` (pd, ph, pw) voxels of a token along each axis.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rnfm.core.errors import ConfigError

Triple = tuple[int, int, int]


def triple(value: int | Sequence[int], name: str) -> Triple:
    """One whole number for all axes, or three; all positive. Raises ConfigError."""
    numbers = [value] * 3 if isinstance(value, int) else list(value)
    if len(numbers) != 3 or any(not isinstance(n, int) or n < 1 for n in numbers):
        raise ConfigError(name, f"is {value!r}, not one or three positive whole numbers", f"Give {name}=16 or three")
    return numbers[0], numbers[1], numbers[2]


def token_grid(crop: Triple, patch: Triple) -> Triple:
    """Tokens along each axis. Raises ConfigError if the patch does not divide the crop."""
    if any(size % part for size, part in zip(crop, patch, strict=True)):
        below = tuple(max(size // part, 1) * part for size, part in zip(crop, patch, strict=True))
        raise ConfigError("patch", f"{patch} does not divide the crop {crop}", f"Use a crop such as {below}")
    return crop[0] // patch[0], crop[1] // patch[1], crop[2] // patch[2]


def patchify(x_BCDHW: Tensor, patch: int | Sequence[int]) -> Tensor:
    """Cut a batch of volumes into tokens of voxels, (B, N, P); the inverse is `unpatchify`."""
    pd, ph, pw = patch = triple(patch, "patch")
    B, C, *size = x_BCDHW.shape
    d, h, w = token_grid((size[0], size[1], size[2]), patch)
    blocks = x_BCDHW.reshape(B, C, d, pd, h, ph, w, pw).permute(0, 2, 4, 6, 3, 5, 7, 1)
    return blocks.reshape(B, d * h * w, pd * ph * pw * C)


def unpatchify(tokens_BNP: Tensor, patch: int | Sequence[int], size: int | Sequence[int]) -> Tensor:
    """Put tokens back together as (B, C, D, H, W) of `size` (D, H, W); C follows from P."""
    pd, ph, pw = patch = triple(patch, "patch")
    d, h, w = token_grid(triple(size, "size"), patch)
    B, N, P = tokens_BNP.shape
    if d * h * w != N or P % (pd * ph * pw):
        raise ConfigError("tokens", f"{N} tokens of {P} voxels do not fill {size} by {patch}", "Give their own size")
    blocks = tokens_BNP.reshape(B, d, h, w, pd, ph, pw, -1).permute(0, 7, 1, 4, 2, 5, 3, 6)
    return blocks.reshape(B, -1, d * pd, h * ph, w * pw)


def sincos3d(grid: Sequence[int], dim: int) -> Tensor:
    """Fixed positions of a (d, h, w) grid, (N, dim) float32; computed in float64.

    Each axis, in the order d, h, w, owns 2n channels with n = dim // 6: the sines, then the cosines, of
    position * 10000^(-k/n) for k = 0..n-1. Channels that 6 does not divide stay zero at the end.
    """
    d, h, w = triple(grid, "grid")
    n = dim // 6
    frequency = 10000.0 ** (-torch.arange(n, dtype=torch.float64) / max(n, 1))
    axes = torch.meshgrid(*(torch.arange(size, dtype=torch.float64) for size in (d, h, w)), indexing="ij")
    table = torch.zeros(d * h * w, dim, dtype=torch.float64)
    for axis, position in enumerate(axes):
        angle = position.reshape(-1, 1) * frequency
        table[:, 2 * n * axis : 2 * n * (axis + 1)] = torch.cat((angle.sin(), angle.cos()), dim=1)
    return table.float()
