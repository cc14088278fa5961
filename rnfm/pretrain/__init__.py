"""Pre-training on DeepSpeed: the loop, its schedules, checkpoints and the run."""

from rnfm.pretrain.config import PretrainConfig

__all__ = ["PretrainConfig", "PretrainResult", "run"]


def __getattr__(name: str) -> object:
    if name in ("run", "PretrainResult"):
        from rnfm.pretrain import stage

        return getattr(stage, name)
    raise AttributeError(name)
