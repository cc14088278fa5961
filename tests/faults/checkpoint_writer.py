"""Writes checkpoints one after another, as rank 0 of one would, until it is killed. Prints each published step."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import torch

from rnfm.pretrain import checkpoint
from rnfm.pretrain.cluster import Cluster, quiet_deepspeed


def main(folder: Path) -> None:
    os.environ["DS_ACCELERATOR"] = "cpu"
    quiet_deepspeed()  # standard output is for steps alone
    torch.set_num_threads(1)
    module = torch.nn.Linear(256, 512)  # half a megabyte of weights, a megabyte of moments
    optimizer = torch.optim.AdamW(module.parameters())
    module(torch.ones(1, 256)).sum().backward()
    optimizer.step()
    engine = SimpleNamespace(module=module, optimizer=optimizer, zero_optimization_stage=lambda: 0)
    cluster = Cluster(0, 1, torch.device("cpu"))
    for step in range(1, 10**6):
        checkpoint.save(engine, cluster, folder, {"step": step}, keep=2)
        print(step, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
