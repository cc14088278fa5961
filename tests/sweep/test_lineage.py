"""What makes a sweep another sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rnfm.core.artifact import publish
from rnfm.sweep import SweepConfig
from rnfm.sweep.lineage import config_hash, inputs_of
from rnfm.sweep.space import resolve


def made(path: Path, content: str) -> Path:
    with publish(path, "volumes", 1) as draft:
        (draft.path / "x").write_text(content)
    return path


def hash_and_inputs(toy: Any, journal: Path, space: dict[str, Any] | None = None, **changes: Any) -> tuple[str, Any]:
    config = SweepConfig(target="finetune", space=space or {"head.depth": [1, 2]}, **changes)
    base = toy.config_class()(journal=journal)
    axes = resolve(base, config.space)
    inputs = inputs_of(base, axes)
    return config_hash(config, base, axes, inputs), inputs


def test_an_input_counts_by_its_content_not_by_its_path(toy: Any, tmp_path: Path) -> None:
    a, same, other = made(tmp_path / "a", "1"), made(tmp_path / "same", "1"), made(tmp_path / "other", "2")
    assert hash_and_inputs(toy, a) == hash_and_inputs(toy, same)
    assert hash_and_inputs(toy, a) != hash_and_inputs(toy, other)
    assert list(hash_and_inputs(toy, a)[1]) == ["journal"]


def test_inputs_among_the_choices_count_too(toy: Any, tmp_path: Path) -> None:
    a, b, table = made(tmp_path / "a", "1"), made(tmp_path / "b", "2"), tmp_path / "t.csv"
    table.write_text("x")
    _, inputs = hash_and_inputs(toy, tmp_path, {"journal": [str(a), str(b), str(table), str(tmp_path / "missing")]})
    assert list(inputs) == ["space.journal.0", "space.journal.1", "space.journal.2"]


@pytest.mark.parametrize("changes", [{"parallel": 4}, {"out": "x"}, {"overwrite": True}, {"address": "auto"}, {"tracking": {"enabled": False}}])  # fmt: skip
def test_what_does_not_change_the_trials(toy: Any, tmp_path: Path, changes: dict[str, Any]) -> None:
    assert hash_and_inputs(toy, tmp_path, **changes) == hash_and_inputs(toy, tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"trials": 4},
        {"seed": 1},
        {"search": "grid"},
        {"target": "fuse"},
        {"space": {"head.depth": [1, 3]}},
        {"space": {"head.depth": {"low": 1, "high": 2}}},
        {"space": {"head.lr": [0.1, 0.2]}},
    ],
)
def test_what_does(toy: Any, tmp_path: Path, changes: dict[str, Any]) -> None:
    config = SweepConfig(**{"target": "finetune", "space": {"head.depth": [1, 2]}, **changes})
    base = toy.config_class()(journal=tmp_path)
    axes = resolve(base, config.space)
    assert config_hash(config, base, axes, {}) != hash_and_inputs(toy, tmp_path)[0]
