"""Fine-tuning: a two-channel network learned and judged by the protocol of the split, from a foundation or from scratch.

    out/  config.resolved.yaml  env.json  metrics.jsonl  logs/
          predictions/   every fit's test predictions (the common format)
          classifier/    the hold-out model, with threshold and calibration from training patients
          attention/     rollout maps of a few test lesions

The predictions are published last: a run folder without them is unfinished and is run again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import field_validator, model_validator

from rnfm.core.config import Config, Field, positional
from rnfm.downstream.summary import auc_lines
from rnfm.tracking.config import TrackingConfig

if TYPE_CHECKING:
    import torch


class FinetuneConfig(Config):
    """Fine-tune a classifier of radiation necrosis on labelled lesions."""

    volumes: list[Path] = positional("volume archives of the labelled cohorts (`rnfm data prepare`)")
    split: Path = Field(description="split artefact over these cohorts (`rnfm data split`)")
    out: Path = Field(description="run folder to write")
    foundation: Path | None = Field(
        None, description="foundation to start from; none: the same kind of network from scratch (supervised)"
    )
    method: str | None = Field(
        None, description="name in the predictions; default: ssl_vit from a foundation, else supervised_vit"
    )
    model: str = Field(
        "vit_micro", description="network when from scratch (see rnfm.model.names); a foundation brings its own"
    )
    crop: int = Field(
        32, ge=8, description="edge of the lesion crop when from scratch [voxel]; a foundation brings its own"
    )
    patch: int = Field(8, ge=2, description="edge of a patch when from scratch [voxel]; a foundation brings its own")
    pooling: Literal["cls", "mean", "mask"] = Field(
        "mask", description="token that speaks for the crop: class, mean, in lesion"
    )
    freeze: Literal["none", "backbone"] = Field("none", description="backbone: only the new head learns")
    epochs: int = Field(15, ge=1, description="passes over the training lesions of each fit")
    batch: int = Field(8, ge=1, description="lesions a step")
    lr: float = Field(1e-3, gt=0, description="peak learning rate of the head, and of all when from scratch")
    backbone_lr_scale: float = Field(
        0.3, gt=0, description="learning rate of a foundation's weights relative to the head's"
    )
    weight_decay: float = Field(0.05, ge=0, description="AdamW weight decay of matrices")
    balance: bool = Field(
        True, description="weigh the rarer class up in the loss; its effect is taken out of probabilities"
    )
    augment: bool = Field(True, description="shift, mirror, quarter turns and intensity jitter of training crops")
    shift_vox: int = Field(2, ge=0, description="largest shift of a training crop along each axis [voxel]")
    protocols: list[Literal["holdout", "cv"]] = Field(
        ["holdout", "cv"], description="how to learn and judge", min_length=1
    )
    seeds: list[int] = Field([0], description="seeds; the predictions hold all, metrics average them", min_length=1)
    attention_maps: int = Field(4, ge=0, description="test lesions whose attention map is written")
    max_bad: float = Field(
        0.05, ge=0, le=1, description="part of the lesions that may lack a mask and are then left out"
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: cuda where there is one")
    threads: int | None = Field(None, ge=1, description="CPU threads; default: torch's own choice")
    tracking: TrackingConfig = Field(TrackingConfig(), description="MLflow")
    overwrite: bool = Field(False, description="replace a run made with other settings or inputs")

    @field_validator("seeds", mode="before")
    @classmethod
    def _one_seed(cls, value: Any) -> Any:
        return [value] if isinstance(value, int) else value

    @model_validator(mode="after")
    def _sizes_fit(self) -> FinetuneConfig:
        if self.foundation is None and self.crop % self.patch:
            raise ValueError(f"crop {self.crop} is no multiple of patch {self.patch}")
        if self.foundation is None and self.freeze != "none":
            raise ValueError("freeze=backbone needs a foundation: random features would never learn")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds {self.seeds} are not all different")
        return self

    def method_name(self) -> str:
        if self.method is not None:
            return self.method
        if self.foundation is not None:
            return "ssl_vit"
        return "supervised_vit" if self.model.startswith("vit") else "supervised_cnn"

    def torch_device(self) -> torch.device:
        import torch

        cuda = self.device == "cuda" or (self.device == "auto" and torch.cuda.is_available())
        return torch.device("cuda" if cuda else "cpu")


@dataclass(frozen=True)
class FinetuneResult:
    """Paths are None where the hold-out protocol was left out. `auc` is {split: AUC}, a split of one class is missing."""

    path: Path
    fresh: bool
    method: str
    lesions: int
    predictions: Path
    classifier: Path | None
    attention: Path | None
    auc: dict[str, float]
    run_id: str | None = None
    warnings: tuple[str, ...] = ()

    def summary(self) -> str:
        """Counts, AUCs, warnings and what to do next."""
        head = f"{self.lesions} lesions, method {self.method}" if self.fresh else "up to date: nothing to do"
        next_line = f"next: rnfm evaluate {self.predictions}"
        return "\n".join([head, *auc_lines({self.method: self.auc}), *self.warnings, next_line])


def finetune(config: FinetuneConfig) -> FinetuneResult:
    """Learn, judge and publish. Raises ConfigError or DataError before any training for what cannot work.

    Equal settings, inputs, machine and thread count give equal predictions, bit for bit.
    """
    from rnfm.downstream.finetuning import run

    return run(config)
