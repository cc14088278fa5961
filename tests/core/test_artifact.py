"""The one artefact: published whole or not at all, and every kind of damage found."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rnfm.core import artifact
from rnfm.core.artifact import Artifact, publish
from rnfm.core.errors import ConfigError, IntegrityError


def make(path: Path, text: str = "hello", **kwargs: object) -> Artifact:
    with publish(
        path, "toy", 1, contract={"a": 1}, lineage={"config_hash": "c", "inputs": {"x": "d"}}, **kwargs
    ) as draft:  # type: ignore[arg-type]
        (draft.path / "data").mkdir()
        (draft.path / "data" / "x.txt").write_text(text)
    return Artifact.open(path)


def test_publish_and_open(tmp_path: Path) -> None:
    toy = make(tmp_path / "toy")
    assert (toy.kind, toy.version, toy.contract, toy.lineage["config_hash"]) == ("toy", 1, {"a": 1}, "c")
    assert set(toy.files) == {"config.json", "lineage.json", "data/x.txt"}
    assert toy.verify(deep=True) == []
    assert toy.file("data/x.txt").read_text() == "hello"
    assert os.listdir(tmp_path) == ["toy"]


def test_equal_content_gives_an_equal_digest(tmp_path: Path) -> None:
    assert make(tmp_path / "a").digest == make(tmp_path / "b").digest != make(tmp_path / "c", "hellO").digest


def test_an_exception_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), publish(tmp_path / "toy", "toy", 1) as draft:
        (draft.path / "x").write_text("half")
        raise RuntimeError
    assert os.listdir(tmp_path) == []


FAULTS = {
    "missing": (lambda folder: (folder / "data/x.txt").unlink(), "data/x.txt is missing"),
    "truncated": (lambda folder: (folder / "data/x.txt").write_text("hell"), "has 4 bytes instead of 5"),
    "flipped": (lambda folder: (folder / "data/x.txt").write_text("hellO"), "other content than was published"),
    "added": (lambda folder: (folder / "data/y.txt").write_text("?"), "data/y.txt is not listed"),
    "contract": (lambda folder: _edit(folder / "config.json"), "config.json has other content"),
    "digests": (lambda folder: _edit_digests(folder), "does not match its own digest"),
}


def _edit(path: Path) -> None:
    path.write_text(path.read_text().replace('"a": 1', '"a": 2'))


def _edit_digests(folder: Path) -> None:
    digests = json.loads((folder / "digests.json").read_text())
    digests["files"]["data/x.txt"]["sha256"] = "0" * 64
    (folder / "digests.json").write_text(json.dumps(digests))


@pytest.mark.parametrize("fault", FAULTS)
def test_each_damage_is_found(tmp_path: Path, fault: str) -> None:
    toy = make(tmp_path / "toy")
    damage, phrase = FAULTS[fault]
    damage(toy.path)
    try:
        found = Artifact.open(toy.path).verify(deep=True)
    except IntegrityError as error:
        assert error.exit_code == 4
        found = [str(error)]
    assert any(phrase in text for text in found)


def test_every_flipped_byte_is_found(tmp_path: Path) -> None:
    toy = make(tmp_path / "toy")
    silent = []
    for name in [*toy.files, "digests.json"]:
        path = toy.path / name
        whole = path.read_bytes()
        for i in range(len(whole)):
            path.write_bytes(whole[:i] + bytes([whole[i] ^ 0x10]) + whole[i + 1 :])
            try:
                if not Artifact.open(toy.path, "toy", 1).verify(deep=True):
                    silent.append((name, i))
            except (IntegrityError, ConfigError):
                pass
        path.write_bytes(whole)
    assert silent == []


def test_a_moved_folder_still_verifies(tmp_path: Path) -> None:
    toy = make(tmp_path / "toy")
    toy.path.rename(tmp_path / "elsewhere")
    assert Artifact.open(tmp_path / "elsewhere").verify(deep=True) == []


def test_wrong_kind_version_or_place_is_one_sentence(tmp_path: Path) -> None:
    make(tmp_path / "toy")
    with pytest.raises(ConfigError, match="is of kind toy, not cohort"):
        Artifact.open(tmp_path / "toy", kind="cohort")
    with pytest.raises(ConfigError, match="toy format 1, this release reads 2"):
        Artifact.open(tmp_path / "toy", version=2)
    with pytest.raises(ConfigError, match="no cohort folder here"):
        Artifact.open(tmp_path / "none", kind="cohort")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="is not a published artefact"):
        Artifact.open(tmp_path / "empty")


def test_replacing_needs_overwrite_and_touches_only_artefacts(tmp_path: Path) -> None:
    make(tmp_path / "toy")
    with pytest.raises(ConfigError, match="pass --overwrite"):
        make(tmp_path / "toy", "new")
    assert make(tmp_path / "toy", "new", overwrite=True).file("data/x.txt").read_text() == "new"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.doc").write_text("years of work")
    with pytest.raises(ConfigError, match="not one of our artefacts"):
        make(tmp_path / "mine", overwrite=True)
    assert (tmp_path / "mine" / "thesis.doc").exists()


def test_current_knows_configuration_and_inputs(tmp_path: Path) -> None:
    toy = make(tmp_path / "toy")
    assert artifact.current(toy.path, "toy", "c", {"x": "d"}) == toy
    assert artifact.current(toy.path, "toy", "other", {"x": "d"}) is None
    assert artifact.current(toy.path, "toy", "c", {"x": "other"}) is None
    assert artifact.current(tmp_path / "none", "toy", "c", {"x": "d"}) is None


WRITER = """
import sys
from pathlib import Path
from rnfm.core.artifact import publish
for i in range(10**6):
    with publish(Path(sys.argv[1]), "toy", 1, overwrite=True) as draft:
        for j in range(5):
            (draft.path / f"{j}.bin").write_bytes(str(i).encode() * 2000)
    print(i, flush=True)
"""


def test_kill_at_any_moment_leaves_a_whole_artefact_or_none(tmp_path: Path) -> None:
    """SIGKILL a process that replaces one artefact again and again: one always stands, and it always verifies."""
    for trial in range(8):
        target = tmp_path / str(trial) / "toy"
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(target)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.003 * trial)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert Artifact.open(target).verify(deep=True) == []


def test_what_a_killed_writer_left_is_swept_and_a_living_one_is_let_be(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from rnfm.core import artifact;"
        "print(artifact.begin(Path(sys.argv[1])), flush=True); time.sleep(60)"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "toy")], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    folders = [Path(writer.stdout.readline().strip()) for writer in writers if writer.stdout]
    assert all(folder.is_dir() for folder in folders)
    writers[0].kill()
    writers[0].wait()
    make(tmp_path / "toy")
    assert (folders[0].exists(), folders[1].exists()) == (False, True)
    writers[1].kill()
    writers[1].wait()


def test_without_an_exchange_of_names_replacing_still_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "toy")
    monkeypatch.setattr("rnfm.core.files.exchange", lambda a, b: False)
    assert make(tmp_path / "toy", "new", overwrite=True).file("data/x.txt").read_text() == "new"
    assert os.listdir(tmp_path) == ["toy"]
