"""The asymmetric masked autoencoder: the encoder sees the visible tokens only, a light decoder restores the hidden ones.

    x -> tokens -> keep 25% -> encoder -> narrow -> visible and mask tokens, each at its place -> decoder -> voxels

Mask polarity everywhere: 1 (True) = hidden, 0 = visible. The same number of tokens is hidden in every sample.

Legend: B batch, N tokens, V visible tokens, E channels of the encoder, G of the decoder, P voxels of a token.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from rnfm.core import keyed
from rnfm.core.errors import ConfigError
from rnfm.model.backbone import Backbone
from rnfm.model.patches import patchify, sincos3d, unpatchify
from rnfm.model.vit import NORM_EPS, Block, VisionTransformer, init_linear
from rnfm.objective.contract import Losses, Needs, Objective
from rnfm.objective.health import effective_rank, embedding_std
from rnfm.objective.losses import mae_loss, normalise_patches
from rnfm.objective.mae.config import MaeConfig
from rnfm.objective.mae.yardstick import blurred_input, mean_intensity


class Decoder(nn.Module):
    """From the encoder's visible tokens to the voxels of every token."""

    def __init__(self, config: MaeConfig, encoder: VisionTransformer, voxels: int) -> None:
        super().__init__()
        heads = config.decoder_heads
        dim = config.decoder_dim or max(encoder.embed_dim // 2 // heads, 2) * heads
        if dim % heads:
            raise ConfigError("objective mae", f"decoder_heads={heads} do not divide decoder_dim={dim}", "Change one")
        self.embed = nn.Linear(encoder.embed_dim, dim)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.blocks = nn.ModuleList(Block(dim, heads, 4.0) for _ in range(config.decoder_depth))
        self.norm = nn.LayerNorm(dim, eps=NORM_EPS)
        self.to_voxels = nn.Linear(dim, voxels)
        self.position: Tensor
        self.register_buffer("position", sincos3d(encoder.grid, dim), persistent=False)
        init_linear(self)
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(self, cls_BE: Tensor, visible_BVE: Tensor, keep_BV: Tensor) -> Tensor:
        cls_B1G, visible_BVG = self.embed(cls_BE).unsqueeze(1), self.embed(visible_BVE)
        B, _, G = visible_BVG.shape
        hidden_BNG = self.mask_token.to(visible_BVG.dtype).expand(B, self.position.shape[0], G)
        place_BVG = keep_BV.unsqueeze(-1).expand(-1, -1, G)
        tokens_BNG = hidden_BNG.scatter(1, place_BVG, visible_BVG) + self.position.to(visible_BVG.dtype)
        x_BAG = torch.cat((cls_B1G.to(tokens_BNG.dtype), tokens_BNG), dim=1)
        for block in self.blocks:
            x_BAG, _ = block(x_BAG)
        return self.to_voxels(self.norm(x_BAG[:, 1:]))


class MaskedAutoencoder(Objective):
    """See the head of this file. `decoder` may be kept with the foundation; only `backbone` is used downstream."""

    needs = Needs(unit="sample", backbone="tokens")
    backbone: VisionTransformer

    def __init__(self, config: MaeConfig, backbone: Backbone) -> None:
        super().__init__("mae", backbone)
        self.config = config
        grid, patch = self.backbone.grid, self.backbone.patch
        self.tokens = grid[0] * grid[1] * grid[2]
        self.hidden = round(config.mask_ratio * self.tokens)
        if not 0 < self.hidden < self.tokens:
            raise ConfigError(
                "objective mae",
                f"mask_ratio={config.mask_ratio} of {self.tokens} tokens leaves nothing visible or nothing hidden",
                "Use a smaller patch, a larger crop or another ratio",
            )
        self.decoder = Decoder(config, self.backbone, patch[0] * patch[1] * patch[2] * self.backbone.in_channels)

    def views(self, batch: Mapping[str, Tensor], *, seed: int, epoch: int) -> dict[str, Tensor]:
        """`x_BCDHW`, `keep_BV` int64 (visible tokens, ascending) and `mask_BN` bool, one draw a sample and epoch."""
        x_BCDHW = batch["x_BCDHW"]
        mask_BN = np.ones((x_BCDHW.shape[0], self.tokens), dtype=bool)
        keep_BV = np.empty((x_BCDHW.shape[0], self.tokens - self.hidden), dtype=np.int64)
        for row, index in enumerate(batch["index_B"].tolist()):
            order_N = keyed.rng(seed, "mae", epoch, index).permutation(self.tokens)
            keep_BV[row] = np.sort(order_N[self.hidden :])
            mask_BN[row, keep_BV[row]] = False
        drawn = {"keep_BV": torch.from_numpy(keep_BV), "mask_BN": torch.from_numpy(mask_BN)}
        return {"x_BCDHW": x_BCDHW} | {name: value.to(x_BCDHW.device) for name, value in drawn.items()}

    def forward(self, views: dict[str, Tensor]) -> Losses:
        x_BCDHW, keep_BV, mask_BN = views["x_BCDHW"], views["keep_BV"], views["mask_BN"]
        tokens_BNE = self.backbone.tokens_of(x_BCDHW)
        visible_BVE = tokens_BNE.gather(1, keep_BV.unsqueeze(-1).expand(-1, -1, tokens_BNE.shape[-1]))
        features = self.backbone.encode(visible_BVE)
        pred_BNP = self.decoder(features.cls_BE, features.patch_BNE, keep_BV)
        # Half precision is for the network: sums of squares over thousands of voxels need more digits.
        exact = torch.promote_types(x_BCDHW.dtype, torch.float32)
        target_BNP = patchify(x_BCDHW.to(exact), self.backbone.patch)
        if self.config.normalise:
            target_BNP = normalise_patches(target_BNP)
        loss = mae_loss(target_BNP, pred_BNP.to(target_BNP.dtype), mask_BN)
        outputs = {
            "pred_BNP": pred_BNP.detach(),
            "target_BNP": target_BNP.detach(),
            "mask_BN": mask_BN,
            "embedding_BE": features.patch_BNE.mean(dim=1).detach(),
        }
        return Losses(loss, {"mae": loss.detach()}, outputs)

    @torch.no_grad()
    def trivial_losses(self, views: Mapping[str, Tensor]) -> dict[str, float]:
        """The loss of painting the visible mean, and of painting the blurred visible voxels (`yardstick.py`).

        Each is scored as the model is, in the same target space. With `normalise` the painted volume is normalised patch
        by patch with its own mean and variance: a hidden patch's own would give away what a predictor cannot know.
        """
        x_BCDHW, mask_BN = views["x_BCDHW"].float(), views["mask_BN"]
        patch, normalise = self.backbone.patch, self.config.normalise
        target_BNP = patchify(x_BCDHW, patch)
        losses = {}
        for paint in (mean_intensity, blurred_input):
            pred_BNP = patchify(paint(x_BCDHW, self._hidden_voxels(mask_BN), patch), patch)
            pred_BNP = normalise_patches(pred_BNP) if normalise else pred_BNP
            losses[paint.__name__] = float(mae_loss(target_BNP, pred_BNP, mask_BN, normalise))
        return losses

    def health(self, outputs: Mapping[str, Tensor]) -> dict[str, float]:
        """`prediction_spread`: sd of the restored over sd of the true hidden voxels (0 if it paints one value);
        `embedding_std` and `embedding_rank` of the batch's embeddings."""
        mask_BN = outputs["mask_BN"].bool()
        pred, target = outputs["pred_BNP"][mask_BN].float(), outputs["target_BNP"][mask_BN].float()
        return {
            "prediction_spread": float(pred.std() / target.std().clamp(min=1e-12)),
            "embedding_std": embedding_std(outputs["embedding_BE"]),
            "embedding_rank": effective_rank(outputs["embedding_BE"]),
        }

    @torch.no_grad()
    def pictures(self, views: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Volumes (B, C, D, H, W) to look at: `input`, `masked` (hidden voxels 0), `restored` (visible voxels as given).

        With `normalise` a restored patch borrows the true patch's mean and variance, as the paper's figures do.
        """
        x_BCDHW, mask_BN1 = views["x_BCDHW"], views["mask_BN"].unsqueeze(-1)
        size, patch = x_BCDHW.shape[2:], self.backbone.patch
        true_BNP = patchify(x_BCDHW, patch)
        pred_BNP = outputs["pred_BNP"].to(true_BNP.dtype)
        if self.config.normalise:
            spread = (true_BNP.var(dim=-1, keepdim=True) + 1e-6).sqrt()
            pred_BNP = pred_BNP * spread + true_BNP.mean(dim=-1, keepdim=True)
        restored_BNP = torch.where(mask_BN1, pred_BNP, true_BNP)
        return {
            "input": x_BCDHW,
            "masked": unpatchify(true_BNP.masked_fill(mask_BN1, 0.0), patch, size),
            "restored": unpatchify(restored_BNP, patch, size),
        }

    def _hidden_voxels(self, mask_BN: Tensor) -> Tensor:
        """The token mask spread over voxels, (B, 1, D, H, W) bool."""
        pd, ph, pw = self.backbone.patch
        voxels_BNP = mask_BN.unsqueeze(-1).expand(-1, -1, pd * ph * pw)
        return unpatchify(voxels_BNP, self.backbone.patch, self.backbone.crop)
