"""Pre-training on DeepSpeed: the loop, its schedules, checkpoints and the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rnfm.pretrain.config import PretrainConfig

if TYPE_CHECKING:
    from rnfm.pretrain.stage import PretrainResult, run

__all__ = ["PretrainConfig", "PretrainResult", "run"]


def __getattr__(name: str) -> Any:
    if name in ("run", "PretrainResult"):
        from rnfm.pretrain import stage

        return getattr(stage, name)
    raise AttributeError(name)
