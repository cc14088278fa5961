"""Self-supervised objectives: one module or folder each, one line in `OBJECTIVES`, one small contract (`contract.py`).

An objective's module offers `OBJECTIVE_CONFIG` (its settings, importable without torch) and `build(config, backbone)`.

    >>> from rnfm import objective
    >>> objective.get("mae").OBJECTIVE_CONFIG().mask_ratio
    0.75
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Protocol, cast

from rnfm.core.errors import ConfigError, nearest
from rnfm.objective.config import ObjectiveConfig

if TYPE_CHECKING:
    from rnfm.model.backbone import Backbone
    from rnfm.objective.contract import Losses, Needs, Objective

OBJECTIVES: dict[str, str] = {
    "mae": "rnfm.objective.mae",
}

__all__ = ["OBJECTIVES", "Losses", "Needs", "Objective", "ObjectiveConfig", "ObjectiveModule", "get"]


class ObjectiveModule(Protocol):
    """What the module of one objective offers."""

    OBJECTIVE_CONFIG: type[ObjectiveConfig]

    @staticmethod
    def build(config: Any, backbone: Backbone) -> Objective: ...


def get(name: str) -> ObjectiveModule:
    """The module of one objective. Raises ConfigError for a name that is not registered."""
    if name not in OBJECTIVES:
        known = ", ".join(OBJECTIVES)
        raise ConfigError(
            "objective", f"{name!r} is not an objective{nearest(name, OBJECTIVES)}", f"Use one of: {known}"
        )
    return cast(ObjectiveModule, importlib.import_module(OBJECTIVES[name]))


def __getattr__(name: str) -> Any:
    if name not in ("Losses", "Needs", "Objective"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.contract"), name)
