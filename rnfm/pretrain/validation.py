"""Loss on held-out subjects, beside the loss of predictors that have learned nothing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rnfm.pretrain.cluster import Cluster

VALIDATION_EPOCH = -1  # the key of masks in validation: the same masks each time, never those of a training epoch


def validate(
    engine: Any, objective: Any, archive: Any, cluster: Cluster, *, samples: int, batch: int, seed: int
) -> dict[str, float]:
    """{"val/loss": ..., "val/<trivial predictor>": ...}, averaged over at most `samples` held-out samples. Collective.

    Every rank runs the same number of forward passes (ZeRO 3 gathers in each), padded with its last sample at weight 0.
    """
    import torch

    count = min(samples, len(archive))
    own = list(range(cluster.rank, count, cluster.world_size))
    rounds = math.ceil(math.ceil(count / cluster.world_size) / batch)
    totals: dict[str, float] = {}
    engine.eval()
    with torch.no_grad():
        for i in range(rounds):
            chosen = own[i * batch : (i + 1) * batch]
            weight = float(len(chosen))
            chosen = chosen or [0]
            images = np.stack([archive.image(j) for j in chosen])[:, None]
            inputs = {"x_BCDHW": torch.from_numpy(images).to(cluster.device), "index_B": torch.tensor(chosen)}
            views = objective.views(inputs, seed=seed, epoch=VALIDATION_EPOCH)
            losses = engine(views)
            found = {"val/loss": losses.total, **{f"val/{k}": v for k, v in objective.trivial_losses(views).items()}}
            for key, value in found.items():
                totals[key] = totals.get(key, 0.0) + weight * float(value)
    engine.train()
    *sums, n = cluster.sum([*totals.values(), float(len(own))])
    return {key: value / n for key, value in zip(totals, sums, strict=True)}
