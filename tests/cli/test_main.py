"""The command line over its own list of commands: all have help, none shows a traceback, exit codes are the documented ones."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from rnfm.cli import help as helps
from rnfm.cli.commands import COMMANDS
from rnfm.cli.main import main
from rnfm.core.config import fields


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.words)
def test_each_command_has_a_stage_and_described_keys(command) -> None:
    text = helps.of(command)
    assert text.startswith(f"usage: rnfm {command.words}")
    missing = [name for name, info in fields(command.config_class()) if not info.description]
    assert missing == []
    assert command.config_class().__doc__
    assert callable(command.stage())


def test_a_group_answers_to_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "--help"]) == 0
    said = capsys.readouterr().out
    assert "data index" in said
    assert "data whois" in said
    assert "models" not in said


def test_overview_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(command.words in text and command.summary in text for command in COMMANDS)


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (
            ["pretain"],
            2,
            "rnfm: command 'pretain': is not a command (did you mean 'pretrain'?). `rnfm --help` lists them.\n",
        ),
        (["data", "inex"], 2, "(did you mean 'data index'?)"),
        (["doctor", "--prot", "1"], 2, "'prot' is not a key (did you mean 'port'?)"),
        (["doctor", "--config"], 2, "--config: names no file"),
        (["doctor", "--config", "none.yaml"], 2, "none.yaml: no such configuration file"),
        (["pretrain"], 2, "'shards' is missing"),
        (["pretrain", "nowhere"], 2, "nowhere: no"),
        (["data", "verify", "nowhere"], 2, "nowhere: there is no such folder"),
        (
            ["predict", "scan.nii.gz", "--mask", "m.nii.gz", "--classifier", "nowhere"],
            2,
            "nowhere: no classifier folder here",
        ),
    ],
)
def test_bad_input_is_one_sentence(
    words: list[str], code: int, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == code
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
    assert "Traceback" not in error


def test_debug_shows_the_traceback() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "rnfm", "pretrain", "nowhere", "--debug"], capture_output=True, text=True
    )
    assert result.returncode == 1
    assert "Traceback" in result.stderr


def test_a_launcher_may_not_start_a_command_of_one_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["doctor"]) == 2
    assert "is one process, and a launcher started several" in capsys.readouterr().err


def test_help_is_quick() -> None:
    """Best of three: a busy machine may slow one, a heavy import slows all."""
    times = []
    for _ in range(3):
        start = time.monotonic()
        subprocess.run([sys.executable, "-m", "rnfm", "--help"], capture_output=True, check=True)
        times.append(time.monotonic() - start)
    assert min(times) < 0.8


def test_doctor_reports(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "nothing that rnfm needs is missing" in text
