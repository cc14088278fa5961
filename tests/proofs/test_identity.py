"""Proof: names, dates and record numbers planted in file and folder names, headers, extensions, tables and sheets come out nowhere.

The whole road (index to report, with MLflow) runs as real processes over three source trees; every byte of every output,
of MLflow's database and of all that was said is searched for every token (tests/faults/identity_road.py, which also proves
that the search finds a token in each kind of output). The figure goes to the JSON beside this file.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rnfm.core.files import write_json

RESULT = Path(__file__).with_suffix(".json")
PATIENTS = 12
_SPEC = importlib.util.spec_from_file_location("identity_road", Path(__file__).parents[1] / "faults/identity_road.py")
assert _SPEC is not None
assert _SPEC.loader is not None
road: Any = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = road
_SPEC.loader.exec_module(road)


@pytest.mark.timeout(3600)
def test_no_planted_identity_comes_out(tmp_path: Path) -> None:
    control = road.control(tmp_path / "control", "ZqxAaControl")
    plants = road.Plants()
    sources = road.plant(tmp_path, plants, PATIENTS)
    work, custodian = tmp_path / "work", tmp_path / "custodian"
    work.mkdir()
    custodian.mkdir()
    walked = road.Road(work, sources, custodian / "keys.csv")
    walked.short()
    walked.long()
    tokens = list(plants.tokens)
    found = road.leaks(work, tokens)
    outputs = [path for path in work.rglob("*") if path.is_file()]
    write_json(RESULT, {
        "planted": len(tokens), "places": dict(sorted(Counter(plants.tokens.values()).items())), "found": len(found),
        "leaks": {plants.tokens[token]: files[:5] for token, files in found.items()}, "commands": walked.codes,
        "files_searched": len(outputs), "bytes_searched": sum(path.stat().st_size for path in outputs),
        "control_found": len(control), "control_planted": len(road.KINDS) + 1,
        "tokens_in_the_custodians_files": len(road.leaks(custodian, tokens)),
    })  # fmt: skip
    print(json.dumps(json.loads(RESULT.read_text()), indent=1))
    assert len(control) == len(road.KINDS) + 1
    assert found == {}
