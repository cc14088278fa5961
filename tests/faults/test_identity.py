"""The small twin of tests/proofs/test_identity.py: index and prepare, and the ways they fail, let no planted identity out."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

_SPEC = importlib.util.spec_from_file_location("identity_road", Path(__file__).with_name("identity_road.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
road: Any = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = road
_SPEC.loader.exec_module(road)


def test_the_search_finds_a_token_in_every_kind_of_output(tmp_path: Path) -> None:
    assert road.control(tmp_path / "control", "ZqxAaControl") == {*road.KINDS, "ZqxAaControl.txt"}


@pytest.mark.slow
def test_index_and_prepare_let_no_identity_out(tmp_path: Path) -> None:
    plants = road.Plants()
    sources = road.plant(tmp_path, plants, patients=3)
    work, custodian = tmp_path / "work", tmp_path / "custodian"
    work.mkdir()
    custodian.mkdir()
    walked = road.Road(work, sources, custodian / "keys.csv")
    walked.short()
    assert len(plants.tokens) > 100
    found = road.leaks(work, list(plants.tokens))
    assert {plants.tokens[token]: files for token, files in found.items()} == {}
    # The custodian's table does hold them: the plants were read.
    assert len(road.leaks(custodian, list(plants.tokens))) >= 10
