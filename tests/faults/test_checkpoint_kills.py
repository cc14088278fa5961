"""The small twin of tests/proofs/test_checkpoint_kills.py."""

from __future__ import annotations

import importlib.util
from pathlib import Path

PROOF = Path(__file__).parents[1] / "proofs/test_checkpoint_kills.py"


def test_six_kills_of_the_checkpoint_writer(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("proof", PROOF)
    assert spec is not None
    assert spec.loader is not None
    proof = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(proof)
    outcomes = [proof.kill_once(tmp_path / str(i), 0.03 * i) for i in range(6)]
    assert outcomes == ["stood"] * 6
