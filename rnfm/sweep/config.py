"""The configuration of `rnfm sweep`. The space is written as the configuration's own dotted keys:

space:
  head.lr: {low: 1.0e-5, high: 1.0e-2, log: true}    any number in between, evenly on a log scale
  epochs:  {low: 10, high: 50, step: 10}             10, 20, 30, 40, 50
  pooling: [mean, token]                             one of these
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from rnfm.core.config import Config, Field, positional
from rnfm.tracking.config import TrackingConfig


class SweepConfig(Config):
    """Search a stage's settings with Ray Tune; the score is cross-validation inside the training patients."""

    target: Literal["finetune", "fuse"] = positional("stage whose settings are searched: finetune or fuse")
    base: Path | None = Field(None, description="YAML file with that stage's configuration, from which trials depart")
    fixed: dict[str, Any] = Field({}, description="values by dotted key that hold in every trial, over those of `base`")
    space: dict[str, Any] = Field(
        {},
        description="what is searched: dotted key -> list of choices, {low, high, log: true} or {low, high, step: N}",
    )
    trials: int = Field(8, ge=1, description="number of trials; a grid may not have more points")
    parallel: int = Field(2, ge=1, description="trials at once, one core each")
    search: Literal["random", "grid"] = Field(
        "random", description="random draws (a space with no more points than `trials` is tried whole), or every point"
    )
    seed: int = Field(0, ge=0, description="seed of the random draws")
    out: Path = Field(Path("sweep"), description="folder of the result")
    address: str | None = Field(
        None, description="address of a running Ray cluster; none: one is started on this machine's loopback"
    )
    overwrite: bool = Field(False, description="replace an earlier sweep in `out`")
    tracking: TrackingConfig = Field(TrackingConfig(), description="MLflow")
