"""Errors, keyed randomness, files, ledgers, contracts and the run folder."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnfm.core import errors, files
from rnfm.core.contract import InputContract, IntensityRule
from rnfm.core.errors import DataError, nearest
from rnfm.core.keyed import rng, seed64
from rnfm.core.ledger import Ledger, Reason, require_budget
from rnfm.core.run import RunFolder


def test_exit_codes_are_the_documented_ones_and_unique() -> None:
    classes = [
        errors.ConfigError,
        errors.DataError,
        errors.IntegrityError,
        errors.NoCheckpointError,
        errors.StoppedEarly,
    ]
    assert [cls.exit_code for cls in classes] == [2, 3, 4, 5, 75]


def test_an_error_is_thing_cause_mend_and_crosses_processes() -> None:
    error = DataError("scan S-1", "holds no voxel.", "Give another")
    assert str(error) == "scan S-1: holds no voxel. Give another."
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # our own bytes
    with pytest.raises(TypeError):
        DataError("x", "y", "")


def test_nearest() -> None:
    assert nearest("optm", ["optim", "steps"]) == " (did you mean 'optim'?)"
    assert nearest("zzz", ["optim"]) == ""


@given(st.integers(0, 2**40), st.lists(st.one_of(st.integers(), st.text(max_size=5)), max_size=4))
def test_keyed_numbers_depend_on_the_key_alone(seed: int, key: list[int | str]) -> None:
    assert rng(seed, *key).random() == rng(seed, *key).random()
    assert rng(seed, *key).random() != rng(seed, *key, "more").random()
    assert 0 <= seed64(seed, *key) < 2**63


def test_keys_of_other_types_and_cuts_differ() -> None:
    draws = {rng(0, *key).random() for key in [(1,), ("1",), ("ab", "c"), ("a", "bc"), ("abc",), ()]}
    assert len(draws) == 6


def test_keyed_numbers_are_the_same_for_ever() -> None:
    assert seed64(0, "weights") == 5181754244563973649  # recorded at the first release


def test_write_is_whole_or_absent_and_keeps_the_mode(tmp_path: Path) -> None:
    target = tmp_path / "x"
    files.write_text(target, "one", mode=0o600)
    assert (target.read_text(), oct(target.stat().st_mode & 0o777)) == ("one", "0o600")
    with pytest.raises(TypeError):
        files.write_bytes(target, None)  # type: ignore[arg-type]
    assert target.read_text() == "one"
    assert os.listdir(tmp_path) == ["x"]


def test_budget_is_a_share_or_one_scan() -> None:
    require_budget(1, 10, 0.001, "cohort")
    with pytest.raises(DataError, match="2 of 10 scans were refused, the budget is 0.1% or 1 scan"):
        require_budget(2, 10, 0.001, "cohort")
    with pytest.raises(DataError, match="none of 1 scans can be used"):
        require_budget(1, 1, 0.5, "cohort")
    require_budget(9, 10000, 0.001, "cohort")


def test_ledger_round_trip(tmp_path: Path) -> None:
    ledger = Ledger()
    ledger.add("S-1", "prepare", Reason.CORRUPT, "gzip checksum differs")
    ledger.write(tmp_path / "quarantine.jsonl")
    assert Ledger.read(tmp_path / "quarantine.jsonl") == ledger.entries
    assert ledger.counts() == {"corrupt": 1}


def test_contract_differences_are_sentences() -> None:
    ours = InputContract(spacing_mm=(1, 1, 1))
    theirs = InputContract(spacing_mm=(2, 2, 2), intensity=IntensityRule(rule="none"), channels=("flair",))
    found = ours.differences(theirs)
    assert found[0] == "spacing_mm is (2.0, 2.0, 2.0), expected (1.0, 1.0, 1.0)"
    assert found[1].startswith("intensity is {'rule': 'none'")
    assert ours.differences(ours) == []


def test_run_folder_reads_past_a_torn_line(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.log_metrics(1, {"loss": 0.5})
    with open(run.metrics_file, "a") as file:
        file.write('{"step": 2, "lo')
    assert run.read_metrics() == [{"step": 1, "loss": 0.5}]


def test_import_rnfm_is_light() -> None:
    code = "import sys, rnfm, rnfm.core, rnfm.cli.main; print([m for m in ('torch', 'ray', 'mlflow', 'deepspeed', 'numpy', 'pandas') if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
