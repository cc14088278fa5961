"""Real processes that die, hang and fail: each costs the job that it held, and leaves nothing running."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from rnfm.core.artifact import Artifact
from rnfm.core.contract import InputContract
from rnfm.volume.production import Job
from rnfm.volume.sources import Scan
from rnfm.volume.workers import Lost, Worker, run_here


@pytest.fixture
def job_of(make_cohort: Callable, tmp_path: Path) -> Callable[..., Job]:
    cohort = make_cohort(1)

    def make(recipe: object, name: str = "S-00000000") -> Job:
        scan = Scan(name, "P-00000000", "A", cohort.images[0], None, False, ())
        return Job(scan, recipe, InputContract(spacing_mm=(3, 3, 3)), 4.0, tmp_path / "scans" / name, {})  # type: ignore[arg-type]

    return make


def test_one_process_does_job_after_job(job_of, recipes, tmp_path: Path) -> None:
    diary, image = tmp_path / "diary", job_of(None).scan.image
    jobs = [job_of(recipes.Copy(image, diary=diary), f"S-0000000{i}") for i in range(3)]
    assert [lost for _, lost in run_here(jobs, 1, 60)] == [None] * 3
    assert [Artifact.open(job.folder).kind for job in jobs] == ["prepared scan"] * 3
    processes = {int(line.split()[1]) for line in diary.read_text().splitlines()}
    assert len(processes) == 1
    assert os.getpid() not in processes
    assert not psutil.pid_exists(processes.pop())


@pytest.mark.parametrize(
    ("how", "cause"),
    [
        ("SIGKILL", "its process died by SIGKILL, as when memory runs out"),
        ("segfault", "its process died by SIGSEGV"),
        ("exit", "its process ended with status 7"),
    ],
)
def test_a_process_that_dies_is_replaced(job_of, recipes, tmp_path: Path, how: str, cause: str) -> None:
    diary, image = tmp_path / "diary", job_of(None).scan.image
    worker = Worker(60, sys.path)
    try:
        assert worker.run(pickle.dumps(job_of(recipes.Dies(image, diary=diary, how=how)))) == Lost(False, cause)
        assert worker.run(pickle.dumps(job_of(recipes.Copy(image, diary=diary)))) is None
    finally:
        worker.close()
    first, second = (line.split()[1] for line in diary.read_text().splitlines())
    assert first != second


def test_a_process_that_hangs_is_ended_with_all_that_it_started(job_of, recipes, tmp_path: Path) -> None:
    diary = tmp_path / "pid"
    hung = job_of(recipes.Hangs(job_of(None).scan.image, diary=diary))
    began = time.monotonic()
    assert [lost for _, lost in run_here([hung], 1, 3.5)] == [Lost(True, "it was not done after 3.5 s")]
    assert time.monotonic() - began < 30
    assert not alive(int(diary.read_text()))
    assert not hung.folder.exists()


def test_an_error_of_ours_comes_back_and_ends_the_others(job_of, recipes) -> None:
    image = job_of(None).scan.image
    jobs = [job_of(recipes.Raises(image), "S-00000001"), job_of(recipes.Copy(image, pause_s=60), "S-00000002")]
    before = set(psutil.Process().children())  # of other tests, such as the resource tracker
    began = time.monotonic()
    with pytest.raises(ZeroDivisionError) as caught:
        list(run_here(jobs, 2, 60))
    assert time.monotonic() - began < 30
    assert "dangerous_recipes.py" in caught.value.__notes__[0]
    assert set(psutil.Process().children()) <= before


def test_an_error_that_cannot_travel_is_named_without_its_words(job_of, recipes) -> None:
    with pytest.raises(RuntimeError) as caught:
        list(run_here([job_of(recipes.Raises(job_of(None).scan.image, error="local"))], 1, 60))
    assert str(caught.value) == "Local in a worker"


@pytest.mark.slow
def test_no_process_outlives_a_parent_that_is_killed(job_of, recipes, tmp_path: Path) -> None:
    hung = job_of(recipes.Hangs(job_of(None).scan.image, diary=tmp_path / "pid"))
    (tmp_path / "job").write_bytes(pickle.dumps(hung))
    code = (
        f"import sys, pickle; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from rnfm.volume.workers import Worker\n"
        f"Worker(600, sys.path).run(open({str(tmp_path / 'job')!r}, 'rb').read())"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 60
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    family = [child.pid for child in psutil.Process(parent.pid).children(recursive=True)]
    assert len(family) == 2  # the worker and the program that the scan started
    parent.kill()
    parent.wait()
    while any(alive(pid) for pid in family):
        assert time.monotonic() < deadline, "a process outlived its parent"
        time.sleep(0.02)


def alive(process: int) -> bool:
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
