"""The small twin of tests/proofs/test_prepare_kills.py."""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path

import pytest

PROOF = Path(__file__).parents[1] / "proofs/test_prepare_kills.py"


@pytest.mark.slow
def test_two_kills_of_one_prepare(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("prepare_kills", PROOF)
    assert spec is not None
    assert spec.loader is not None
    proof = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(proof)
    cohort = proof.make_cohort(tmp_path / "cohort")
    reference, seconds = proof.undisturbed(cohort)
    done = proof.add(proof.FRESH, proof.trial(cohort, reference, seconds, random.Random(0), kills=2))
    assert (done["trials"], done["kills"]) == (1, 2)
    bad = ("not_identical", "scans_lost", "scans_doubled", "finished_scans_done_again", "left_behind")
    assert {name: done[name] for name in bad} == dict.fromkeys(bad, 0)
