"""The table, the best and the summary."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from rnfm.sweep.result import SweepResult, Trial, best_of, settings, tabulate

TRIALS = [
    Trial(2, {"lr": 0.01, "sizes": [1, 2], "flag": True, "mode": "a"}, 0.8, 1.23456, None),
    Trial(1, {"lr": 0.1, "sizes": [3], "flag": False, "mode": "b"}, 0.7, 2.0, None),
    Trial(4, {"lr": 1, "sizes": [], "flag": True, "mode": "a"}, 0.8, 0.5, None),
    Trial(3, {"lr": 0.2, "sizes": [4], "flag": True, "mode": "a"}, None, None, "ValueError: no"),
]
KEYS = ["lr", "sizes", "flag", "mode"]


def test_best_is_the_highest_and_of_equals_the_earliest() -> None:
    best = best_of(TRIALS)
    assert best is not None
    assert best.number == 2
    assert best_of(TRIALS[3:]) is None


def test_the_table_column_by_column(tmp_path: Path) -> None:
    tabulate(TRIALS, KEYS).to_parquet(tmp_path / "t.parquet", index=False)
    table = pd.read_parquet(tmp_path / "t.parquet")
    assert list(table.columns) == ["trial", *KEYS, "score", "seconds", "status", "error"]
    assert table["trial"].tolist() == [1, 2, 3, 4]
    assert table["lr"].tolist() == [0.1, 0.01, 0.2, 1.0]
    assert table["sizes"].tolist() == ["[3]", "[1, 2]", "[4]", "[]"]
    assert table["flag"].dtype == bool
    assert table["score"].isna().tolist() == [False, False, True, False]
    assert table["seconds"].fillna(-1.0).tolist() == [2.0, 1.235, -1.0, 0.5]
    assert table["status"].tolist() == ["finished", "finished", "failed", "finished"]
    assert table["error"].fillna("").tolist() == ["", "", "ValueError: no", ""]


def test_summary_names_counts_best_failures_and_the_next_command() -> None:
    table = tabulate(TRIALS, KEYS)
    result = SweepResult(Path("s"), "fuse", {"lr": 0.01, "mode": "a"}, 0.8, table, None)
    assert result.summary().splitlines() == [
        "s: 4 trials of fuse, 1 failed",
        "best: trial 2, cross-validated score 0.8000 on training patients (lr=0.01, mode=a)",
        "failed: trial 3: ValueError: no",
        "next: rnfm fuse --config s/best.yaml",
    ]


def test_summary_shows_three_failures_and_counts_the_rest() -> None:
    trials = [Trial(1, {"lr": 0.1}, 0.5, 0.0, None)] + [
        Trial(i, {"lr": 0.1}, None, 0.0, f"no {i}") for i in range(2, 8)
    ]
    lines = SweepResult(Path("s"), "fuse", {"lr": 0.1}, 0.5, tabulate(trials, ["lr"]), None).summary().splitlines()
    assert [line for line in lines if line.startswith("failed")] == [
        "failed: trial 2: no 2", "failed: trial 3: no 3", "failed: trial 4: no 4", "failed: 3 more in trials.csv",
    ]  # fmt: skip


def test_settings_in_one_line() -> None:
    assert settings({"a.b": 0.000123456, "c": 3, "d": "mean"}) == "a.b=0.0001235, c=3, d=mean"
