"""Apply the drawn changes to a whole batch at once, on its device.

Order: mirror and move (one gather), gamma, scale and shift, noise. Shapes: B samples, C channels, D, H, W = right,
anterior, superior. The same (seed, epoch, global index) gives the same sample in any batch and on any rank, but for the
last bit of powers and logarithms, which differs between devices.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rnfm.augment.config import AugmentConfig
from rnfm.augment.draw import Draws, draw
from rnfm.augment.noise import keyed_normal


def augment(
    x_BCDHW: Tensor, index_B: Iterable[int] | Tensor, *, seed: int, epoch: int, config: AugmentConfig
) -> Tensor:
    """The changed batch, of the same shape, dtype and device; the input is left as it was.

    `index_B` holds the samples' global indices. Raises ValueError if their number is not B.
    """
    indices = index_B.tolist() if isinstance(index_B, Tensor) else [int(index) for index in index_B]
    if len(indices) != len(x_BCDHW):
        raise ValueError(f"{len(indices)} indices for a batch of {len(x_BCDHW)}")
    draws = draw(indices, seed=seed, epoch=epoch, config=config)
    if config.flip or config.move_vox:
        x_BCDHW = _mirror_and_move(x_BCDHW, draws)
    if config.gamma:
        x_BCDHW = _gamma(x_BCDHW, _column(draws.gamma_B, x_BCDHW))
    if config.scale or config.shift:
        x_BCDHW = x_BCDHW * _column(draws.scale_B, x_BCDHW) + _column(draws.shift_B, x_BCDHW)
    if config.noise:
        x_BCDHW = x_BCDHW + _column(draws.noise_sd_B, x_BCDHW) * _noise_like(x_BCDHW, draws)
    return x_BCDHW


def _column(values_B: NDArray[np.float32], like: Tensor) -> Tensor:
    return torch.from_numpy(values_B).to(like)[:, None, None, None, None]


def _mirror_and_move(x_BCDHW: Tensor, draws: Draws) -> Tensor:
    """Voxel i comes from i - move, mirrored where drawn; beyond the edge, the edge is repeated."""
    device = x_BCDHW.device
    batch, channels = x_BCDHW.shape[:2]
    index = [
        torch.arange(batch, device=device).view(-1, 1, 1, 1, 1),
        torch.arange(channels, device=device).view(1, -1, 1, 1, 1),
    ]
    for axis, size in enumerate(x_BCDHW.shape[2:]):
        source = np.clip(np.arange(size) - draws.move_vox_B3[:, axis, None], 0, size - 1)
        source = np.where(draws.flip_B3[:, axis, None], size - 1 - source, source)
        shape = [batch, 1, 1, 1, 1]
        shape[2 + axis] = size
        index.append(torch.from_numpy(source).to(device).view(shape))
    return x_BCDHW[tuple(index)]


def _gamma(x_BCDHW: Tensor, gamma_B1111: Tensor) -> Tensor:
    """Bend the values of each sample and channel between their own minimum and maximum, which stay."""
    low = x_BCDHW.amin(dim=(2, 3, 4), keepdim=True)
    span = (x_BCDHW.amax(dim=(2, 3, 4), keepdim=True) - low).clamp_min(1e-6)
    return ((x_BCDHW - low) / span) ** gamma_B1111 * span + low


def _noise_like(x_BCDHW: Tensor, draws: Draws) -> Tensor:
    keys = torch.from_numpy(draws.noise_key_B4).to(x_BCDHW.device)
    return keyed_normal(keys, x_BCDHW[0].numel()).view(x_BCDHW.shape).to(x_BCDHW.dtype)
