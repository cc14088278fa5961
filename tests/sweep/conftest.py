"""The toy target, importable by name here and in the processes that tests start."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rnfm.sweep import targets

HERE = Path(__file__).parent
TOY = targets.Target("toy_target:ToyConfig", "toy_target:score")


@pytest.fixture(autouse=True)
def _toy_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), str(HERE.parents[1])]))


@pytest.fixture
def toy() -> targets.Target:
    return TOY


@pytest.fixture
def swept_toy(monkeypatch: pytest.MonkeyPatch) -> targets.Target:
    """`rnfm sweep finetune` searches the toy in this process."""
    monkeypatch.setitem(targets.TARGETS, "finetune", TOY)
    return TOY
