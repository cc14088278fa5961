"""Numbers that show a collapse of embeddings before the loss does.

Legend: B samples of a batch, E channels.
"""

from __future__ import annotations

import torch
from torch import Tensor


def embedding_std(z_BE: Tensor) -> float:
    """Mean over channels of the standard deviation over samples; 0 if every sample looks the same."""
    return float(z_BE.float().std(dim=0, correction=0).mean())


def effective_rank(z_BE: Tensor) -> float:
    """exp(entropy of the normalised singular values) of the centred embeddings (Roy & Vetterli 2007).

    Between 1 (all on one line) and min(B - 1, E); 0 if they do not vary at all.
    """
    centred_BE = z_BE.double() - z_BE.double().mean(dim=0)
    singular = torch.linalg.svdvals(centred_BE)
    if singular.sum() <= 1e-12 * max(1.0, float(z_BE.abs().max())):
        return 0.0
    share = singular / singular.sum()
    return float(torch.special.entr(share).sum().exp())
