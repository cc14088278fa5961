"""A small archive that can be learned: smooth bright blobs on a dark ground, so that hidden voxels follow from seen ones."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rnfm.archive.shard import KIND, VERSION, ShardConfig
from rnfm.archive.write import write_shards
from rnfm.core import artifact, files
from rnfm.core.contract import InputContract
from rnfm.pretrain import PretrainConfig

CROP = (16, 16, 16)


class Blobs:
    """Stand-in for a volume archive: `count` scans of 24^3, two a patient."""

    contract = InputContract(spacing_mm=(2.0, 2.0, 2.0))

    def __init__(self, count: int = 20) -> None:
        names = [f"S-{i:08X}" for i in range(count)]
        self.scans = pd.DataFrame({
            "scan": names, "patient": [f"P-{i // 2:08X}" for i in range(count)], "site": "north", "has_mask": False,
            "intensity_low": 0.0, "intensity_high": 400.0, "intensity_mean": 100.0, "intensity_sd": 50.0,
        })  # fmt: skip
        self.cohort = pd.DataFrame({"scan": names, "lesion": None, "mask_values": None})

    def shape(self, scan: str) -> tuple[int, int, int]:
        return (24, 24, 24)

    def image(self, scan: str) -> np.ndarray:
        rng = np.random.default_rng(int(scan[2:], 16))
        axes = np.stack(np.meshgrid(*[np.arange(24.0)] * 3, indexing="ij"), -1)
        blobs = [np.exp(-((axes - rng.uniform(4, 20, 3)) ** 2).sum(-1) / rng.uniform(30, 90)) for _ in range(4)]
        return (np.sum(blobs, 0) * 2 - 1).astype(np.float32)

    def mask(self, scan: str) -> np.ndarray:
        return np.zeros((24, 24, 24), np.uint16)

    def affine(self, scan: str) -> np.ndarray:
        return np.diag([2.0, 2.0, 2.0, 1.0])


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 training and 16 validation sub-volumes."""
    path = tmp_path_factory.mktemp("pretrain") / "shards"
    split = pd.DataFrame({"patient": [f"P-{i:08X}" for i in range(10)], "role": ["train"] * 8 + ["holdout"] * 2})
    config = ShardConfig(volumes=Path("volumes"), out=path, crop=CROP, per_scan=4)
    with artifact.publish(path, KIND, VERSION, lineage={"config_hash": "x", "inputs": {}}) as draft:
        written = write_shards(Blobs(), split, config, draft.path)
        draft.contract.update(written.contract)
        draft.lineage["patients"] = written.patients
    return path


@pytest.fixture
def settings(shards: Path, tmp_path: Path) -> Callable[..., PretrainConfig]:
    """settings(key=value, ...) -> a configuration whose run folder is `tmp_path/run` unless said otherwise."""

    def make(**changes: Any) -> PretrainConfig:
        base: dict[str, Any] = {
            "shards": str(shards), "out": str(tmp_path / "run"), "global_batch": 8, "steps": 8, "seed": 3, "checkpoint_every": 4,
            "validate_every": 4, "log_every": 1, "model": {"name": "vit_micro", "patch": 8, "options": {"depth": 2}},
            "optim": {"lr": 2e-3}, "engine": {"threads": 1}, "tracking": {"enabled": False},
        }  # fmt: skip
        for key, value in changes.items():
            base[key] = {**base[key], **value} if isinstance(value, dict) and isinstance(base.get(key), dict) else value
        return PretrainConfig.model_validate(base)

    return make


@pytest.fixture
def launch(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """launch(config, ranks=1, launcher="torchrun") -> the finished process of a real start."""

    def start(config: PretrainConfig, ranks: int = 1, launcher: str = "torchrun") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(config, ranks, launcher), capture_output=True, text=True, timeout=240, env=environment()
        )

    return start


@pytest.fixture
def begin() -> Callable[[PretrainConfig], subprocess.Popen[str]]:
    """begin(config) -> a process that has just been started alone, to be killed or told to stop."""
    return lambda config: subprocess.Popen(
        command(config, launcher="alone"),
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def command(config: PretrainConfig, ranks: int = 1, launcher: str = "torchrun") -> list[str]:
    file = config.out.parent / f"{config.out.name}.yaml"
    files.write_text(file, config.as_yaml())
    here = Path(sys.executable).parent
    words = ["rnfm", "pretrain", "--config", str(file)]
    if launcher == "alone":
        return [sys.executable, "-m", *words]
    if launcher == "torchrun":
        return [str(here / "torchrun"), "--standalone", f"--nproc-per-node={ranks}", "-m", *words]
    return [str(here / "deepspeed"), f"--num_accelerators={ranks}", "--no_local_rank", "--module", *words]


def environment() -> dict[str, str]:
    clean = {
        key: value
        for key, value in os.environ.items()
        if key not in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    }
    # The deepspeed launcher calls `python` by name.
    return {
        **clean,
        "OMP_NUM_THREADS": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{clean.get('PATH', '')}",
    }
