"""The cohort survives kill -9 at any moment, is the same byte for byte, and is refused before it begins where disk is short."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rnfm.core import artifact, files
from rnfm.core.errors import ConfigError
from rnfm.insilico import InsilicoConfig, bill, make, making, plan, workfolder, write
from rnfm.insilico.workfolder import WorkFolder

SMALL: dict[str, Any] = {"pool_subvolumes": 20, "site_a": 4, "site_b": 3, "seed": 3, "voxel_mm": 3.0, "workers": 1}
WORDS = [f"{key}={value}" for key, value in SMALL.items()]
KILLS = 2


def test_a_cohort_killed_again_and_again_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rnfm", "insilico", "make", str(tmp_path / "killed"), *WORDS]
    chance, finished = random.Random(0), []
    for kill in range(KILLS):
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        before = len(records(tmp_path))
        deadline = time.monotonic() + 300
        while len(records(tmp_path)) < before + 1 and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.15))
        assert child.poll() is None, f"kill {kill} came too late to prove anything"
        child.send_signal(signal.SIGKILL)
        child.wait()
        finished.append(len(records(tmp_path)))
        assert not (tmp_path / "killed").exists()
    assert finished == sorted(finished)
    assert finished[-1] >= KILLS
    resumed = make(InsilicoConfig(out=tmp_path / "killed", **SMALL))
    assert finished[-1] - 1 <= resumed.resumed <= finished[-1]
    assert f"{resumed.resumed} scans had been finished by an earlier run" in resumed.summary()
    whole = make(InsilicoConfig(out=tmp_path / "whole", **SMALL))
    one, two = (artifact.Artifact.open(result.path, "insilico") for result in (resumed, whole))
    assert one.files == two.files
    assert sorted(path.name for path in tmp_path.iterdir()) == ["killed", "whole"]


def records(folder: Path) -> list[Path]:
    return list(folder.glob("killed.work-*/done/*.json"))


def test_a_finished_scan_is_not_made_again_and_a_damaged_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = {"pool": plan.pool(0, 3)}
    jobs = write.jobs(plans, seed=0, voxel_mm=3.0)
    made: list[str] = []
    real = write.work

    def counted(job: write.Job, root: Path) -> write.Written:
        made.append(job.patient.identity)
        return real(job, root)

    monkeypatch.setattr(write, "work", counted)
    with workfolder.opened(tmp_path / "out", "0" * 64) as work:
        arguments: dict[str, Any] = {"out": tmp_path / "out", "workers": 1, "direct_spacing_mm": None}
        assert making.fill(work, jobs, **arguments) == 0
        assert making.fill(work, jobs, **arguments) == 3
        (work.tree / "pool/images/pool-00002.nii.gz").write_bytes(b"torn")
        (work.path / "done/00002.json").write_text('{"files": ')
        assert making.fill(work, jobs, **arguments) == 1
        assert making.fill(work, jobs, **arguments) == 3
    assert made == ["pool-00001", "pool-00002", "pool-00003", "pool-00002", "pool-00003"]


def test_two_runs_do_not_write_one_cohort(tmp_path: Path) -> None:
    sentence = "another `rnfm insilico make` is writing it. Wait until it ends, or stop it"
    with (
        workfolder.opened(tmp_path / "out", "a" * 64),
        pytest.raises(ConfigError, match=sentence),
        workfolder.opened(tmp_path / "out", "a" * 64),
    ):
        pytest.fail("opened twice")


def test_other_settings_have_another_work_folder(tmp_path: Path) -> None:
    with workfolder.opened(tmp_path / "out", "a" * 64) as one, workfolder.opened(tmp_path / "out", "b" * 64) as two:
        assert one.path != two.path


def test_a_record_counts_only_with_its_files(tmp_path: Path) -> None:
    work = WorkFolder(tmp_path)
    (tmp_path / "done").mkdir()
    work.tree.mkdir()
    (work.tree / "a.nii").write_bytes(b"12345")
    work.finish(4, ["a.nii"], {"truth": [{"volume_cc": 0.1 + 0.2}]})
    record = work.finished(4)
    assert record is not None
    assert record["truth"][0]["volume_cc"] == 0.1 + 0.2  # exact through JSON
    assert work.finished(5) is None
    (work.tree / "a.nii").write_bytes(b"1234")
    assert work.finished(4) is None
    files.write_text(tmp_path / "done/00004.json", json.dumps([1]))
    assert work.finished(4) is None


def test_the_bill_is_within_a_third_of_what_is_written(tmp_path: Path) -> None:
    config = InsilicoConfig(out=tmp_path / "cohort", **SMALL)
    plans = {"site_a": plan.site_a(3, 4), "site_b": plan.site_b(3, 3), "pool": plan.pool(3, 4)}
    jobs = write.jobs(plans, seed=3, voxel_mm=3.0)
    billed = bill.bill(config.out, jobs, direct_spacing_mm=None)
    made = make(config)
    taken = sum(path.stat().st_size for path in made.path.rglob("*.nii*"))
    assert billed.scans == len(jobs) == made.scans
    assert taken * 0.9 < billed.bytes < taken * 1.5


def test_where_disk_is_short_nothing_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1_000_000))
    monkeypatch.setattr(write, "work", lambda job, root: pytest.fail("simulated"))
    sentence = (
        r"cohort: \d+ scans need about [\d.]+ MB and 1 MB are free on its disk. Free some space, choose another out"
    )
    with pytest.raises(ConfigError, match=sentence):
        make(InsilicoConfig(out=tmp_path / "cohort", **SMALL))


def test_the_bill_in_words() -> None:
    words = bill.Bill(Path("x"), 2000, 25_300_000_000, 64_000_000_000).line(1.5, 2)
    assert words == "2000 scans to make, about 25.3 GB of 64 GB free, about 25 min (1.50 s a scan and process)"
    assert re.fullmatch(
        "7 scans to make, about 5 MB of 64 GB free", bill.Bill(Path("x"), 7, 5_000_000, 64_000_000_000).line(None, 2)
    )
