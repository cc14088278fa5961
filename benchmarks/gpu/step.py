"""How much of the device's matrix throughput does one pre-training step reach, against MONAI's masked autoencoder?

Both train on the same crops with the same width, depth, heads, masking, precision and optimiser settings, in interleaved
rounds of one process. The peak is that of a large matrix product measured in the same run, so MFU needs no data sheet.

    python benchmarks/gpu/step.py [--quick]          on a CUDA device (bf16)
    python benchmarks/gpu/step.py --quick --cpu      the same code, small and in fp32, where there is none
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from _common import RESULTS, machine

from rnfm.model import create_model
from rnfm.objective import get

MASKED = 0.75


def ours(size: dict[str, Any], device: torch.device) -> tuple[torch.nn.Module, Callable[[torch.Tensor], torch.Tensor]]:
    mae = get("mae")
    backbone = create_model(size["name"], crop=size["crop"], patch=size["patch"])
    options = {
        "mask_ratio": MASKED,
        "decoder_dim": size["decoder"],
        "decoder_depth": size["decoder_depth"],
        "decoder_heads": 16 if size["decoder"] >= 512 else 4,
    }
    module = mae.build(mae.OBJECTIVE_CONFIG(**options), backbone).to(device)

    def loss(x_BCDHW: torch.Tensor) -> torch.Tensor:
        views = module.views({"x_BCDHW": x_BCDHW, "index_B": torch.arange(len(x_BCDHW))}, seed=0, epoch=0)
        return module(views).total

    return module, loss


def monai(size: dict[str, Any], device: torch.device) -> tuple[torch.nn.Module, Callable[[torch.Tensor], torch.Tensor]]:
    from monai.networks.nets import MaskedAutoEncoderViT

    architecture = create_model(size["name"], crop=size["crop"], patch=size["patch"]).architecture
    module = MaskedAutoEncoderViT(
        in_channels=1, img_size=size["crop"], patch_size=size["patch"], hidden_size=architecture["dim"], mlp_dim=4 * architecture["dim"],
        num_layers=architecture["depth"], num_heads=architecture["heads"], masking_ratio=MASKED, decoder_hidden_size=size["decoder"],
        decoder_mlp_dim=4 * size["decoder"], decoder_num_layers=size["decoder_depth"], decoder_num_heads=16 if size["decoder"] >= 512 else 4,
    ).to(device)  # fmt: skip

    def loss(x_BCDHW: torch.Tensor) -> torch.Tensor:
        from rnfm.model import patchify

        predicted, mask_BN = module(x_BCDHW)
        error = ((predicted - patchify(x_BCDHW, size["patch"])) ** 2).mean(-1)
        return (error * mask_BN).sum() / mask_BN.sum()

    return module, loss


def peak_flops(device: torch.device, dtype: torch.dtype, edge: int) -> float:
    """FLOP/s of one large matrix product, the best of five."""
    a, b = (torch.randn(edge, edge, device=device, dtype=dtype) for _ in range(2))
    times = [clocked(device, lambda: a @ b) for _ in range(8)][3:]
    return 2 * edge**3 / min(times)


def clocked(device: torch.device, work: Callable[[], Any]) -> float:
    settle(device)
    start = time.perf_counter()
    work()
    settle(device)
    return time.perf_counter() - start


def settle(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def flops_of(step: Callable[[], Any]) -> float:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        step()
    return float(counter.get_total_flops())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds, done within 50 seconds")
    parser.add_argument("--cpu", action="store_true", help="run small and in fp32 on the CPU")
    words = parser.parse_args()
    if not (torch.cuda.is_available() or words.cpu):
        print("no CUDA device here: nothing measured. Pass --cpu to run the same code small.", file=sys.stderr)
        return 0
    cuda = torch.cuda.is_available() and not words.cpu
    device = torch.device("cuda" if cuda else "cpu")
    dtype = torch.bfloat16 if cuda else torch.float32
    size = (
        {
            "name": "vit_base",
            "crop": (96, 96, 96),
            "patch": (16, 16, 16),
            "decoder": 512,
            "decoder_depth": 8,
            "batch": 64,
        }
        if cuda
        else {
            "name": "vit_micro",
            "crop": (24, 24, 24),
            "patch": (6, 6, 6),
            "decoder": 48,
            "decoder_depth": 2,
            "batch": 32,
        }
    )
    x_BCDHW = torch.randn(size["batch"], 1, *size["crop"], device=device)
    steps: dict[str, Callable[[], Any]] = {}
    for name, make in (("rnfm", ours), ("monai", monai)):
        module, loss = make(size, device)
        optimizer = torch.optim.AdamW(module.parameters(), lr=1e-4, fused=cuda)

        def step(loss=loss, optimizer=optimizer) -> None:
            with torch.autocast(device.type, dtype, enabled=cuda):
                total = loss(x_BCDHW)
            total.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        steps[name] = step
    flops = {name: flops_of(step) for name, step in steps.items()}
    rounds = 8 if words.quick else 40
    for step in steps.values():
        step()
    seconds = {name: [] for name in steps}
    for i in range(rounds):
        for name in list(steps)[:: 1 if i % 2 else -1]:
            seconds[name].append(clocked(device, steps[name]))
    peak = peak_flops(device, dtype, 8192 if cuda else 1024)
    ratios = np.array(seconds["monai"]) / np.array(seconds["rnfm"])
    tokens = np.prod([c // p for c, p in zip(size["crop"], size["patch"], strict=True)])
    result = {
        "step_speed_over_monai": float(np.median(ratios)),
        "interval_95": [float(value) for value in np.percentile(ratios, [2.5, 97.5])],
        "samples_per_s": size["batch"] / float(np.median(seconds["rnfm"])),
        "tokens_per_s": size["batch"] * float(tokens) / float(np.median(seconds["rnfm"])),
        "mfu_of_measured_peak": flops["rnfm"] / float(np.median(seconds["rnfm"])) / peak,
        "peak_tflops": peak / 1e12, "flops_a_step": flops, "size": size, "dtype": str(dtype), "rounds": rounds,
        "device": torch.cuda.get_device_name() if cuda else "cpu", "machine": machine("torch", "monai"),
    }  # fmt: skip
    if cuda:
        (RESULTS / "gpu-step.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
