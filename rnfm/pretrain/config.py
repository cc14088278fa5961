"""The configuration of `rnfm pretrain`: one YAML from which the DeepSpeed JSON is generated."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import model_validator

from rnfm.augment.config import AugmentConfig
from rnfm.core.config import Config, Field, positional
from rnfm.tracking.config import TrackingConfig


class ModelConfig(Config):
    """The backbone; the crop comes from the shards."""

    name: str = Field("vit_mini", description="backbone by name (rnfm.model.create_model)")
    patch: int = Field(8, ge=2, description="edge of a cubic patch [voxel]; must divide the crop")
    options: dict[str, Any] = Field({}, description="further arguments of create_model")


class OptimConfig(Config):
    """AdamW with warm-up and cosine; no decay on norms, biases, positions and tokens."""

    lr: float = Field(1e-3, gt=0, description="peak learning rate, for the global batch as given")
    min_lr: float = Field(1e-6, ge=0, description="learning rate at the last step")
    warmup: float = Field(0.1, ge=0, lt=1, description="share of all steps with a linearly rising learning rate")
    weight_decay: float = Field(0.05, ge=0, description="decoupled weight decay")
    betas: tuple[float, float] = Field((0.9, 0.95), description="AdamW's two decay rates")
    clip: float = Field(1.0, ge=0, description="largest norm of the global gradient; 0 switches clipping off")


class EngineConfig(Config):
    """How the same mathematics is spread over processes."""

    zero: Literal[0, 1, 2, 3] = Field(0, description="DeepSpeed ZeRO stage")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="arithmetic of forward and backward")
    threads: int = Field(
        0, ge=0, description="CPU threads of one process; 0: all cores divided by the ranks of the node"
    )
    timeout_s: float = Field(600, gt=0, description="a collective that waits longer ends the run [s]")

    @model_validator(mode="after")
    def _supported(self) -> EngineConfig:
        if self.precision == "bf16" and self.zero == 0:
            # DeepSpeed's bf16 stage 0 counts Adam's steps wrongly: losses differ from stages 1-3.
            raise ValueError("bf16 with zero 0 trains wrongly in DeepSpeed; use zero 1, which is the same mathematics")
        return self


class PretrainConfig(Config):
    """Pre-train a 3D ViT without labels on a shard archive, with DeepSpeed."""

    shards: Path = positional("shard archive that `rnfm data shard` wrote")
    out: Path = Field(Path("run"), description="run folder")
    objective: str = Field("mae", description="self-supervised objective by name")
    objective_options: dict[str, Any] = Field({}, description="settings of the objective")
    model: ModelConfig = Field(ModelConfig(), description="backbone")
    optim: OptimConfig = Field(OptimConfig(), description="optimiser")
    engine: EngineConfig = Field(EngineConfig(), description="processes, precision, ZeRO")
    augment: AugmentConfig = Field(AugmentConfig(), description="augmentation on the device")
    global_batch: int = Field(32, ge=1, description="samples an optimiser step over all ranks; belongs to the result")
    accumulation: int = Field(1, ge=1, description="micro-steps an optimiser step; belongs to the result")
    epochs: int = Field(20, ge=1, description="epochs, if `steps` is not given")
    steps: int | None = Field(None, ge=1, description="optimiser steps in all")
    seed: int = Field(0, ge=0, description="seed of order, masks, augmentation and initial weights")
    validate_every: int = Field(50, ge=1, description="steps between validations on held-out subjects")
    validation_samples: int = Field(64, ge=1, description="held-out samples a validation, at most")
    log_every: int = Field(10, ge=1, description="steps between lines of metrics")
    checkpoint_every: int = Field(50, ge=1, description="steps between checkpoints")
    keep: int = Field(2, ge=1, description="newest checkpoints kept")
    resume: str = Field(
        "auto",
        description="auto: newest verified checkpoint, else start; never: refuse to find one; or a checkpoint folder",
    )
    max_steps: int | None = Field(None, ge=1, description="stop after this many steps of this start, save, exit 75")
    overwrite: bool = Field(False, description="delete an earlier run in the run folder first")
    tracking: TrackingConfig = Field(TrackingConfig(), description="MLflow")

    # What may differ between two starts of one run: it changes where and how fast, never what.
    def result_hash(self) -> str:
        """Hash of the settings that determine the result."""
        return PretrainConfig.model_validate({**self.as_dict(), **_NEUTRAL}).hash()

    def changed_results(self, earlier: dict[str, Any]) -> list[str]:
        """Dotted keys that differ from an earlier start's configuration and change the result."""
        now, then = (
            {**tree, **_NEUTRAL, "engine": {**tree["engine"], **_NEUTRAL_ENGINE}} for tree in (self.as_dict(), earlier)
        )
        return [key for key in _leaves(now) if _leaf(now, key) != _leaf(then, key)]


_NEUTRAL: dict[str, Any] = {
    "shards": ".", "out": ".", "log_every": 1, "checkpoint_every": 1, "keep": 1, "resume": "auto", "max_steps": None, "overwrite": False,
    "validate_every": 1, "validation_samples": 1, "tracking": {"enabled": True, "uri": None, "parent_run_id": None},
}  # fmt: skip
_NEUTRAL_ENGINE: dict[str, Any] = {"zero": 0, "threads": 0, "timeout_s": 600.0}


def _leaves(tree: dict[str, Any], prefix: str = "") -> list[str]:
    keys: list[str] = []
    for key, value in tree.items():
        keys += _leaves(value, f"{prefix}{key}.") if isinstance(value, dict) and value else [prefix + key]
    return keys


def _leaf(tree: Any, key: str) -> Any:
    for part in key.split("."):
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree
