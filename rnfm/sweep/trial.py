"""One trial, in a process of Ray's: build the configuration, score it, say what happened to MLflow and to the sweep.

A trial that raises is an outcome ("failed", with its cause), not an accident: it is reported like a score. Only a process
that dies without a word is an accident, and Ray tells of it.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnfm.core.config import Config, from_dict, with_overrides
from rnfm.core.errors import RnfmError
from rnfm.sweep.targets import Target
from rnfm.tracking import TrackingConfig

METRIC = "score"


@dataclass(frozen=True)
class Task:
    """All that a trial's process needs; plain values and names, so that it can be sent anywhere."""

    target: Target
    base: dict[str, Any]
    tracking: TrackingConfig
    parent_run_id: str | None
    spools: Path
    """Folder in which each trial spools under its own name (a spool folder belongs to one run)."""
    folder: Path
    """Where the sweep was started; relative paths mean the same in a trial, which Ray starts elsewhere."""

    def config(self, values: Mapping[str, Any]) -> Config:
        """The trial's configuration. Raises ConfigError if the values do not go together."""
        return with_overrides(from_dict(self.target.config_class(), self.base), dict(values))


def run(task: Task, number: int, values: Mapping[str, Any]) -> dict[str, Any]:
    """Score `values` under an MLflow child run; returns {"score", "seconds", "error"}, of which `error` is None if all went well."""
    from rnfm import tracking

    name = f"trial-{number:03d}"
    score, seconds, error = math.nan, 0.0, None
    try:
        with tracking.start(
            task.tracking, stage="sweep", name=name, params=values, folder=task.spools / name,
            parent_run_id=task.parent_run_id,
        ) as tracked:  # fmt: skip
            began = time.perf_counter()
            try:
                score = _finite(task.target.score_function()(task.config(values)))
            except Exception as fault:
                tracked.set_tags({"error": one_line(fault)})
                raise
            finally:
                seconds = time.perf_counter() - began
                tracked.log_metrics({METRIC: score, "seconds": seconds})
    except Exception as fault:
        error = one_line(fault)
    return {METRIC: score, "seconds": seconds, "error": error}


def trainable(task: Task) -> Callable[[dict[str, Any]], None]:
    """`run` as the function that Ray Tune calls with one point of the space."""

    def one_trial(point: dict[str, Any]) -> None:
        from ray import tune

        os.chdir(task.folder)
        tune.report(run(task, number_of(tune.get_context().get_trial_id()), plain(point)))

    return one_trial


def plain(point: Mapping[str, Any]) -> dict[str, Any]:
    """Tune draws NumPy scalars; configurations, YAML and MLflow want Python's own."""
    return {key: value.item() if hasattr(value, "item") else value for key, value in point.items()}


def number_of(trial_id: str) -> int:
    """Trials are counted from 1; Ray's ids end in a count from 0.

    >>> number_of("7623a_00002")
    3
    """
    return int(trial_id.rpartition("_")[2]) + 1


def one_line(fault: BaseException) -> str:
    """A cause in one line: our own errors speak for themselves, others are named."""
    text = " ".join(str(fault).split())[:500]
    return text if isinstance(fault, RnfmError) else f"{type(fault).__name__}: {text}"


def _finite(score: float) -> float:
    if not math.isfinite(score):
        raise ValueError(f"the score is {score}, not a number that can be compared")
    return float(score)
