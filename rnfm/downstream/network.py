"""One network learned on training crops, and the probabilities it gives.

    backbone (foundation or fresh) -> pooled tokens -> one logit
    loss   binary cross-entropy; with `balance`, positives weigh n_negative / n_positive of the training rows
    score  logit - log(that weight): the class weight is taken out again, so probabilities refer to the training prevalence

Every random number (new head, order, jitter) is keyed by (seed, protocol, fold, epoch), so two runs are equal bit for bit on
the same machine with the same number of threads.

Legend: B batch, K = 1 logit.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from rnfm.core import keyed
from rnfm.core.errors import DataError
from rnfm.downstream.calibrate import sigmoid
from rnfm.downstream.crops import Crops
from rnfm.downstream.protocol import Fit

if TYPE_CHECKING:
    from rnfm.downstream.finetune import FinetuneConfig
    from rnfm.model import Backbone

WARM_UP = 0.1  # part of the steps over which the learning rate rises
GRADIENT_NORM = 1.0
HEAD = "head."


@dataclass(frozen=True)
class Network:
    """A fitted model. `shift` is added to its logit (minus log of the class weight); `losses` is the mean an epoch."""

    model: Backbone
    shift: float
    losses: tuple[float, ...]

    def logits(self, crops: Crops) -> np.ndarray:
        """Logits of label 1, (N,) float64, class weight taken out."""
        return predict_logits(self.model, crops) + self.shift

    def probability(self, crops: Crops) -> np.ndarray:
        return sigmoid(self.logits(crops))


def make_backbone(config: FinetuneConfig) -> tuple[Callable[[int], Backbone], tuple[int, int, int]]:
    """A maker of models with a fresh head for a seed, and the crop they see. A foundation is read once."""
    from rnfm.model import create_model

    if config.foundation is None:
        size = (config.crop, config.crop, config.crop)

        def fresh(seed: int) -> Backbone:
            with seeded(seed):
                return create_model(
                    config.model, in_channels=2, num_classes=1, crop=size, patch=config.patch, pooling=config.pooling
                )

        return fresh, size
    from rnfm import foundation

    source, _ = foundation.load(config.foundation, in_channels=2, num_classes=1, pooling=config.pooling)

    def tuned(seed: int) -> Backbone:
        model = copy.deepcopy(source)
        with seeded(seed):
            model.head = model.make_head()
        return model

    return tuned, source.crop


def learn(config: FinetuneConfig, make: Callable[[int], Backbone], crops: Crops, fit: Fit, seed: int) -> Network:
    """Train one model on `crops` (training rows only). Raises DataError if the loss stops being a number."""
    key = (fit.protocol, fit.fold)
    model = make(keyed.seed64(seed, "model", *key)).to(config.torch_device())
    positive = int(crops.label_N.sum())
    weight = (len(crops) - positive) / positive if config.balance else 1.0
    optimiser, scheduler, steps = _optimiser(config, model, len(crops))
    losses = []
    for epoch in range(config.epochs):
        model.train(config.freeze == "none")
        order = keyed.rng(seed, "order", *key, epoch).permutation(len(crops))
        total = 0.0
        for number, rows in enumerate(_batches(order, steps)):
            x_B2DHW = crops.jittered(rows, seed, *key, epoch, number) if config.augment else crops.batch(rows)
            loss = _step(model, optimiser, x_B2DHW, crops.label_N[rows], weight)
            scheduler.step()
            total += loss * len(rows)
        losses.append(total / len(crops))
        if not math.isfinite(losses[-1]):
            raise DataError("fine-tuning", f"the loss is no number after epoch {epoch + 1}", "Lower lr")
    return Network(model.eval(), -math.log(weight), tuple(losses))


def predict_logits(model: Backbone, crops: Crops, batch: int = 16) -> np.ndarray:
    """Raw logits (N,) float64 of a model in evaluation mode."""
    model.eval()
    device = next(model.parameters()).device
    with torch.inference_mode():
        parts = [
            model(crops.batch(np.arange(i, min(i + batch, len(crops)))).to(device))[:, 0].double().cpu().numpy()
            for i in range(0, len(crops), batch)
        ]
    return np.concatenate(parts)


class seeded:
    """Torch's global generator seeded inside the block, and as it was before after it."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __enter__(self) -> None:
        self.before = torch.get_rng_state()
        torch.manual_seed(self.seed)

    def __exit__(self, *_: object) -> None:
        torch.set_rng_state(self.before)


def _step(
    model: Backbone, optimiser: torch.optim.Optimizer, x_B2DHW: torch.Tensor, label_B: np.ndarray, weight: float
) -> float:
    device = next(model.parameters()).device
    target_B = torch.from_numpy(label_B.astype(np.float32)).to(device)
    logit_B = model(x_B2DHW.to(device))[:, 0]
    loss = F.binary_cross_entropy_with_logits(logit_B, target_B, pos_weight=torch.tensor(weight, device=device))
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), GRADIENT_NORM)
    optimiser.step()
    return float(loss.detach())


def _batches(order: np.ndarray, steps: int) -> Iterator[np.ndarray]:
    """`steps` batches of nearly equal size: a last batch of one lesion would be mostly noise."""
    yield from np.array_split(order, steps)


def _optimiser(
    config: FinetuneConfig, model: Backbone, lesions: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler, int]:
    """AdamW with a slower (or frozen) backbone and no decay of vectors; linear warm-up, then a cosine to zero."""
    scale = config.backbone_lr_scale if config.foundation is not None else 1.0
    groups: dict[tuple[bool, bool], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        is_head = name.startswith(HEAD)
        parameter.requires_grad_(is_head or config.freeze == "none")
        if parameter.requires_grad:
            groups.setdefault((is_head, parameter.ndim > 1), []).append(parameter)
    optimiser = torch.optim.AdamW(
        [
            {
                "params": parameters,
                "lr": config.lr * (1.0 if is_head else scale),
                "weight_decay": config.weight_decay if is_matrix else 0.0,
            }
            for (is_head, is_matrix), parameters in groups.items()
        ],
    )
    steps = math.ceil(lesions / config.batch)
    whole = steps * config.epochs
    warm = max(1, round(WARM_UP * whole))

    def factor(step: int) -> float:
        return (
            (step + 1) / warm if step < warm else 0.5 * (1 + math.cos(math.pi * (step - warm) / max(whole - warm, 1)))
        )

    return optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, factor), steps
