"""`whois`: the way back from a code, on a terminal only."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from rnfm.cohort import WhoisConfig, whois
from rnfm.cohort.keys import KeyTable
from rnfm.core.errors import ConfigError


@pytest.fixture
def keys(tmp_path: Path) -> KeyTable:
    with KeyTable.edit(tmp_path / "keys.csv") as table:
        table.code("openbtai", "patient", "010005")
        table.set_files("openbtai", "010005_19000101_x", image=tmp_path / "i.nii", mask=tmp_path / "m.nii")
    return table


def test_patient_scan_and_lesion(keys: KeyTable) -> None:
    patient, scan = keys.code("openbtai", "patient", "010005"), keys.code("openbtai", "scan", "010005_19000101_x")

    def answer(code: str) -> str:
        return whois(WhoisConfig(code=code, keys=keys.path), on_terminal=True).summary()

    assert answer(patient) == f"{patient}: patient 010005 of openbtai"
    assert answer(f"{patient.lower()}-L2") == f"{patient}: patient 010005 of openbtai, lesion 2"
    assert answer(scan).splitlines() == [
        f"{scan}: scan 010005_19000101_x of openbtai",
        f"image: {keys.path.parent / 'i.nii'}",
        f"mask: {keys.path.parent / 'm.nii'}",
    ]


def test_without_a_terminal_it_refuses_before_reading(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # pytest captures standard output, so it is no terminal; the table does not even exist.
    with pytest.raises(ConfigError, match="shows an identity, and the output is not a terminal"):
        whois(WhoisConfig(code="P-00000000", keys=tmp_path / "nothing.csv"))


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("010005", "^010005: is not a code"),
        ("K-00000000", "is not a code"),
        ("P-00000000", "is not in key table K-"),
    ],
)
def test_unknown_codes(keys: KeyTable, code: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        whois(WhoisConfig(code=code, keys=keys.path), on_terminal=True)


def test_the_command_on_a_real_terminal_and_in_a_pipe(keys: KeyTable) -> None:
    code = keys.code("openbtai", "patient", "010005")
    command = [sys.executable, "-m", "rnfm", "data", "whois", code, "--keys", str(keys.path)]
    ours, theirs = pty.openpty()
    done = subprocess.run(command, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, timeout=120)
    os.close(theirs)
    assert (done.returncode, done.stderr) == (0, b"")
    assert os.read(ours, 4096).decode().strip() == f"{code}: patient 010005 of openbtai"
    os.close(ours)
    piped = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (piped.returncode, piped.stdout) == (2, "")
    assert "shows an identity, and the output is not a terminal" in piped.stderr
    assert "010005" not in piped.stderr
