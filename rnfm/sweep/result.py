"""What a sweep found: one row a trial, the best of them, and the few lines that a person reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

SHOWN_FAILURES = 3


@dataclass(frozen=True)
class Trial:
    """One ended trial; `error` is None exactly if there is a score, `seconds` is None if its process was lost."""

    number: int
    values: Mapping[str, Any]
    score: float | None
    seconds: float | None
    error: str | None


@dataclass(frozen=True)
class SweepResult:
    """`best` holds the swept keys' values of the best trial; `table` is trials.parquet."""

    path: Path
    target: str
    best: dict[str, Any]
    best_score: float
    table: pd.DataFrame
    run_id: str | None
    fresh: bool = True

    def summary(self) -> str:
        failed = self.table[self.table["status"] == "failed"]
        best = self.table["trial"].iloc[int(self.table["score"].argmax())]
        lines = [
            f"{self.path}: {len(self.table)} trials of {self.target}, {len(failed)} failed" if self.fresh
            else f"{self.path}: up to date, {len(self.table)} trials of {self.target}",
            f"best: trial {best}, cross-validated score {self.best_score:.4f} on training patients "
            f"({settings(self.best)})",
        ]  # fmt: skip
        for row in failed.head(SHOWN_FAILURES).itertuples():
            lines.append(f"failed: trial {row.trial}: {row.error}")
        if len(failed) > SHOWN_FAILURES:
            lines.append(f"failed: {len(failed) - SHOWN_FAILURES} more in trials.csv")
        return "\n".join([*lines, f"next: rnfm {self.target} --config {self.path / 'best.yaml'}"])


def settings(values: Mapping[str, Any]) -> str:
    """`head.lr=0.0003, epochs=20`"""
    return ", ".join(
        f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in values.items()
    )


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """The highest score; of equals the earliest. None if every trial failed."""
    scored = [trial for trial in trials if trial.score is not None]
    return max(scored, key=lambda trial: (trial.score, -trial.number), default=None)


def tabulate(trials: Sequence[Trial], keys: Sequence[str]) -> pd.DataFrame:
    """Columns `trial`, every swept key, `score`, `seconds`, `status` (finished | failed), `error`, in the order of trials."""
    import pandas as pd

    rows = sorted(trials, key=lambda trial: trial.number)
    columns: dict[str, Any] = {"trial": pd.array([row.number for row in rows], dtype="Int64")}
    columns |= {key: _column([row.values[key] for row in rows]) for key in keys}
    columns["score"] = pd.array([row.score for row in rows], dtype="Float64")
    columns["seconds"] = pd.array([row.seconds and round(row.seconds, 3) for row in rows], dtype="Float64")
    columns["status"] = ["finished" if row.error is None else "failed" for row in rows]
    columns["error"] = pd.array([row.error for row in rows], dtype="string")
    return pd.DataFrame(columns)


def _column(values: list[Any]) -> list[Any]:
    """Plain values of one type as they are; lists, mappings and mixtures as JSON text."""
    kinds = {type(value) for value in values}
    if kinds <= {int, float} or (len(kinds) == 1 and kinds <= {bool, str}):
        return values
    return [json.dumps(value, sort_keys=True) for value in values]
