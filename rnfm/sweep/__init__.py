"""Hyper-parameter sweeps on Ray Tune: a space checked before anything starts, real trials, all of them in MLflow.

Ray and pandas are imported only when a sweep runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rnfm.sweep.config import SweepConfig

if TYPE_CHECKING:
    from rnfm.sweep.stage import SweepResult, sweep

__all__ = ["SweepConfig", "SweepResult", "sweep"]


def __getattr__(name: str) -> Any:
    if name in ("sweep", "SweepResult"):
        from rnfm.sweep import stage

        return getattr(stage, name)
    raise AttributeError(name)
