"""One trial: a score, or the cause why there is none; never an exception."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnfm.core.errors import ConfigError, DataError
from rnfm.sweep.targets import Target
from rnfm.sweep.trial import Task, number_of, one_line, plain, run
from rnfm.tracking import TrackingConfig


@pytest.fixture
def task(toy: Target, tmp_path: Path) -> Task:
    return Task(toy, {"journal": str(tmp_path)}, TrackingConfig(enabled=False), None, tmp_path, tmp_path)


def test_a_score(task: Task) -> None:
    report = run(task, 1, {"head.depth": 5})
    assert report["score"] == pytest.approx(0.8)
    assert report["error"] is None
    assert report["seconds"] > 0


@pytest.mark.parametrize(
    ("values", "cause"),
    [
        ({"head.depth": 4}, "ValueError: depth 4 does not fit"),
        ({"head.depth": 99}, "toy configuration: 1 fault in the configuration: head.depth: input should be less than or equal to 8, got 99. Mend the keys named and run again."),
    ],
)  # fmt: skip
def test_a_failure_is_an_outcome_with_its_cause(task: Task, values: dict[str, Any], cause: str) -> None:
    report = run(task, 1, values)
    assert math.isnan(report["score"])
    assert report["error"] == cause


def test_a_score_that_cannot_be_compared_is_a_failure(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    import toy_target

    monkeypatch.setattr(toy_target, "score", lambda config: float("nan"))
    assert run(task, 1, {})["error"] == "ValueError: the score is nan, not a number that can be compared"


def test_causes_are_one_line() -> None:
    assert one_line(DataError("scan", "is empty", "Leave it out")) == "scan: is empty. Leave it out."
    assert one_line(KeyError("a\n  b")) == "KeyError: 'a\\n b'"
    assert len(one_line(ValueError("x" * 5000))) < 600


def test_plain_values_and_numbers() -> None:
    values = plain({"a": np.int64(3), "b": np.float64(0.5), "c": "x", "d": [1]})
    assert values == {"a": 3, "b": 0.5, "c": "x", "d": [1]}
    assert [type(value) for value in values.values()] == [int, float, str, list]
    assert number_of("7623a_00002") == 3


def test_the_configuration_is_the_base_with_the_values(task: Task) -> None:
    assert task.config({"head.lr": 0.5}).as_dict()["head"] == {"lr": 0.5, "depth": 2}
    with pytest.raises(ConfigError, match=r"did you mean 'head\.lr'"):
        task.config({"head.lrr": 0.5})
