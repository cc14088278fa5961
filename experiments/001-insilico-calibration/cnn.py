"""A small supervised 3D CNN on image + outline: can the classes be told from the picture, and from how many labels?

    2 x 24^3 -> conv 16 -> pool -> conv 32, conv 32 -> pool -> conv 64, conv 64 -> mean -> logit      (0.2 M parameters)

One recipe for every number of labels, fixed before any figure was looked at on the lesions that are tested: AdamW, one
cycle, flips and axis swaps. Only the number of epochs differs, so that few labels get no fewer steps than MIN_STEPS.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from rnfm.core import keyed, progress

BATCH, RATE, DECAY, WARM_UP, SMOOTHING = 32, 3e-3, 0.05, 0.15, 0.02
WIDTH, DROPOUT = 16, 0.2
EPOCHS, MIN_STEPS = 24, 150
FLIPS: tuple[tuple[int, ...], ...] = ((), (2,), (3,), (4,))  # averaged over when predicting
LAYOUT = torch.channels_last_3d


def network() -> nn.Module:
    """(B, 2, D, H, W) -> (B, 1) logits."""

    def block(inputs: int, outputs: int) -> list[nn.Module]:
        convolution = nn.Conv3d(inputs, outputs, 3, padding=1, bias=False)
        return [convolution, nn.BatchNorm3d(outputs), nn.ReLU()]

    width = WIDTH
    layers = [
        *block(2, width),
        nn.MaxPool3d(2),
        *block(width, 2 * width),
        *block(2 * width, 2 * width),
        nn.MaxPool3d(2),
    ]
    layers += [*block(2 * width, 4 * width), *block(4 * width, 4 * width), nn.AdaptiveAvgPool3d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Dropout(DROPOUT), nn.Linear(4 * width, 1)).to(memory_format=LAYOUT)


def train(crops: NDArray[np.float16], label: NDArray[Any], *, seed: int, state: Path | None = None) -> nn.Module:
    """A network trained on `crops` (N, 2, D, H, W). With `state` it is saved there every epoch, and goes on from there."""
    torch.manual_seed(keyed.seed64(seed, "weights"))
    net, batches = network(), max(1, len(label) // BATCH)
    epochs = max(EPOCHS, -(-MIN_STEPS // batches))
    optimiser = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=epochs * batches, pct_start=WARM_UP)
    parts: dict[str, Any] = {"net": net, "optimiser": optimiser, "schedule": schedule}
    begin = _restore(state, parts)
    for epoch in progress.track(range(begin, epochs), epochs - begin, f"CNN on {len(label)} labels, epochs"):
        rng = keyed.rng(seed, "epoch", epoch)
        order = rng.permutation(len(label))
        for batch in range(batches):
            chosen = order[batch * BATCH : (batch + 1) * BATCH]
            _step(parts, torch.from_numpy(crops[chosen].astype(np.float32)), torch.from_numpy(label[chosen]), rng)
        if state is not None:
            torch.save({"epoch": epoch + 1} | {name: part.state_dict() for name, part in parts.items()}, state)
    return net


def _restore(state: Path | None, parts: dict[str, Any]) -> int:
    """The epoch to go on with."""
    if state is None or not state.exists():
        return 0
    saved = torch.load(state, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(saved[name])
    return int(saved["epoch"])


def _step(parts: dict[str, Any], x_BCDHW: Tensor, label_B: Tensor, rng: np.random.Generator) -> None:
    net, optimiser = parts["net"], parts["optimiser"]
    target_B = label_B.float() * (1 - 2 * SMOOTHING) + SMOOTHING
    with torch.autocast("cpu", torch.bfloat16):
        logit_B = net(augmented(x_BCDHW, rng).contiguous(memory_format=LAYOUT))[:, 0]
    loss = F.binary_cross_entropy_with_logits(logit_B.float(), target_B)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    parts["schedule"].step()


def augmented(x_BCDHW: Tensor, rng: np.random.Generator) -> Tensor:
    """One of the cube's 48 symmetries, and a little contrast and brightness, for the whole batch."""
    axes = (2 + rng.permutation(3)).tolist()
    x_BCDHW = x_BCDHW.permute(0, 1, *axes).flip([axis for axis in (2, 3, 4) if rng.random() < 0.5])
    x_BCDHW[:, 0] = x_BCDHW[:, 0] * float(rng.uniform(0.8, 1.2)) + float(rng.normal(0, 0.1))
    return x_BCDHW


@torch.no_grad()
def predict(net: nn.Module, crops: NDArray[np.float16]) -> NDArray[np.float64]:
    """Mean logit over four flips, (N,)."""
    net.eval()
    out = []
    for start in range(0, len(crops), 64):
        x_BCDHW = torch.from_numpy(crops[start : start + 64].astype(np.float32))
        logits = [net(x_BCDHW.flip(flip).contiguous(memory_format=LAYOUT))[:, 0] for flip in FLIPS]
        out.append(torch.stack(logits).mean(dim=0).double().numpy())
    net.train()
    return np.concatenate(out)
