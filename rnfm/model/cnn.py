"""MONAI's 3D ResNet behind the same interface: the comparison that a transformer has to win.

It has no tokens to hide and no attention to show; its last feature map, 1/16 of the crop along each axis, stands for the
patch tokens, and its mean for the class token.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from rnfm.core.errors import ConfigError
from rnfm.model.backbone import Backbone, Features
from rnfm.model.patches import Triple

HALVINGS = 4  # max-pool and three strided stages (MONAI's stem keeps the resolution)
WIDTH = 512


class ResNet(Backbone):
    """`resnet10` or `resnet18`. Needs MONAI, which is imported here and nowhere else in this room."""

    def __init__(self, architecture: dict[str, Any], *, crop: Triple) -> None:
        grid = tuple(crop)
        for _ in range(HALVINGS):
            grid = tuple(-(-size // 2) for size in grid)
        super().__init__(architecture, embed_dim=WIDTH, crop=crop, grid=(grid[0], grid[1], grid[2]))
        from monai.networks import nets

        make = getattr(nets, architecture["name"])
        self.net = make(spatial_dims=3, n_input_channels=self.in_channels, feed_forward=False)
        self.head = self.make_head()

    def forward_features(self, x_BCDHW: Tensor, attention: bool = False) -> Features:
        if attention:
            name = self.architecture["name"]
            raise ConfigError(name, "a CNN has no attention weights", "Use a ViT, or another explanation")
        self.check_input(x_BCDHW)
        x = x_BCDHW.to(self.net.conv1.weight.dtype)
        for layer in ("conv1", "bn1", "act", "maxpool", "layer1", "layer2", "layer3", "layer4"):
            x = getattr(self.net, layer)(x)
        patch_BNE = x.flatten(2).transpose(1, 2)
        return Features(patch_BNE.mean(dim=1), patch_BNE, [])

    @property
    def input_weight(self) -> str:
        return "net.conv1.weight"

    def widen(self, weight: Tensor, channels: int) -> Tensor:
        return F.pad(weight, (0, 0, 0, 0, 0, 0, 0, self.in_channels - channels))
