"""What can be swept: one line a stage. Names, not objects, so that a trial's process imports them by itself."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rnfm.core.config import Config


@dataclass(frozen=True)
class Target:
    """`config` and `score` are `module:name`. The score of a configuration is one number, larger is better, and is taken
    from training patients alone: hold-out and external patients must not reach it."""

    config: str
    score: str

    def config_class(self) -> type[Config]:
        return _imported(self.config)

    def score_function(self) -> Callable[[Any], float]:
        return _imported(self.score)


TARGETS = {
    "finetune": Target("rnfm.downstream:FinetuneConfig", "rnfm.downstream:cross_validate"),
    "fuse": Target("rnfm.downstream:FuseConfig", "rnfm.downstream:cross_validate"),
}


def _imported(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)
