"""Predictors that learned nothing. A model that does not beat them has not learned anatomy, however its curve falls.

Both see the visible voxels only, and paint the hidden ones:

    mean_intensity   with the mean of the visible voxels of the same sample and channel
    blurred_input    with the Gaussian-weighted mean of the visible voxels around (normalised convolution): inpainting by
                     smoothness alone

Legend: B batch, C channels, D H W voxels. `hidden_B1DHW` is True where a voxel was hidden.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rnfm.model.patches import Triple

# Width of the Gaussian in patches: of the widths 0.1 to 2.5, the one that is hardest to beat on real T1CE scans and on the
# MNI template (patches of 4 and 8 voxels of 1 mm, three quarters hidden).
SIGMA_PATCHES = 0.25
# Below this weight (about 12 sigma away) single precision would divide dust by dust.
NEAR = 1e-30


def mean_intensity(x_BCDHW: Tensor, hidden_B1DHW: Tensor, patch: Triple) -> Tensor:
    """`x` with its hidden voxels painted by the mean of the visible ones."""
    seen_B1DHW = (~hidden_B1DHW).to(x_BCDHW.dtype)
    total, count = (x_BCDHW * seen_B1DHW).sum(dim=(2, 3, 4)), seen_B1DHW.sum(dim=(2, 3, 4))
    return torch.where(hidden_B1DHW, (total / count)[:, :, None, None, None], x_BCDHW)


def blurred_input(x_BCDHW: Tensor, hidden_B1DHW: Tensor, patch: Triple) -> Tensor:
    """`x` with its hidden voxels painted by the blurred visible ones; the mean where none is near enough to weigh."""
    seen_B1DHW = (~hidden_B1DHW).to(x_BCDHW.dtype)
    total, weight = _blur(x_BCDHW * seen_B1DHW, patch), _blur(seen_B1DHW, patch)
    near = weight > NEAR
    far = mean_intensity(x_BCDHW, hidden_B1DHW, patch)
    painted = torch.where(near, total / weight.clamp(min=NEAR), far)
    return torch.where(hidden_B1DHW, painted, x_BCDHW)


def _blur(x_BCDHW: Tensor, patch: Triple) -> Tensor:
    """Gaussian weighted sums along each axis, by one matrix an axis: no truncation, nothing beyond the border."""
    for axis, width in enumerate(patch, start=2):
        place = torch.arange(x_BCDHW.shape[axis], dtype=x_BCDHW.dtype, device=x_BCDHW.device)
        kernel = torch.exp(-0.5 * ((place[:, None] - place[None, :]) / (SIGMA_PATCHES * width)) ** 2)
        x_BCDHW = torch.movedim(torch.movedim(x_BCDHW, axis, -1) @ kernel, -1, axis)
    return x_BCDHW
