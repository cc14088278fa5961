"""Launch files: no drift, valid shell, and each does what it says with stand-ins for what a cluster has."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from rnfm.cli.launch import HOSTFILE, SCRIPTS, LaunchConfig, launch, render
from rnfm.core.errors import ConfigError

ROOT = Path(__file__).parents[2]
COMMITTED = {
    "torchrun/pretrain.sh": (SCRIPTS["torchrun"], "torchrun"),
    "deepspeed/pretrain.sh": (SCRIPTS["deepspeed"], "deepspeed"),
    "deepspeed/hostfile.example": (HOSTFILE, "deepspeed"),
    "slurm/pretrain.sbatch": (SCRIPTS["slurm"], "slurm"),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, with this interpreter's programs first in PATH."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


@pytest.mark.parametrize("name", COMMITTED)
def test_the_committed_files_are_what_the_defaults_give(name: str) -> None:
    template, kind = COMMITTED[name]
    assert (ROOT / "launch" / name).read_text() == render(template, LaunchConfig(kind=kind))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", SCRIPTS)
@pytest.mark.parametrize("changes", [{}, {"nodes": 1, "gpus": 1}, {"gpus": 0, "partition": "a,b-2", "pretrain_config": "it's here.yaml"}])  # fmt: skip
def test_every_script_is_valid_shell(kind: Any, changes: dict[str, Any], folder: Path) -> None:
    text = launch(LaunchConfig(kind=kind, **changes)).text
    checked = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "{" + "{" not in text


def test_slurm_directives() -> None:
    def directives(**changes: Any) -> list[str]:
        text = launch(LaunchConfig(kind="slurm", pretrain_config="none.yaml", **changes)).text
        return [line.removeprefix("#SBATCH ") for line in text.splitlines() if line.startswith("#SBATCH")]

    given = directives(nodes=4, gpus=2, time="1-12", partition="gpu")
    assert {"--nodes=4", "--ntasks-per-node=1", "--gpus-per-node=2", "--time=1-12", "--partition=gpu"} <= set(given)
    assert {"--requeue", "--open-mode=append", "--signal=USR1@300"} <= set(given)
    assert not any("gpus" in line or "partition" in line for line in directives(gpus=0))


@pytest.mark.parametrize("time_limit", ["0:30:00", "12:00:00", "2-0", "2-12", "2-12:30", "2-12:30:00"])
def test_times_that_slurm_reads(time_limit: str) -> None:
    assert LaunchConfig(kind="slurm", time=time_limit).time == time_limit


@pytest.mark.parametrize("changes", [{"time": "2 days"}, {"time": "90"}, {"time": 86400}, {"time": "1:2:3:4"}, {"time": "1\n#SBATCH --uid=0"}, {"partition": "a b"}, {"partition": "a\nrm"}])  # fmt: skip
def test_what_could_break_a_directive_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="write (hours|names of letters)"):
        LaunchConfig(kind="slurm", **changes)


def test_written_once_then_up_to_date_then_refused(folder: Path) -> None:
    config = LaunchConfig(kind="deepspeed", nodes=3, gpus=2, out=Path("new/pretrain.sh"))
    assert launch(config).summary() == "wrote new/pretrain.sh\nwrote new/hostfile.example"
    assert os.access("new/pretrain.sh", os.X_OK)
    assert launch(config).summary() == "new/pretrain.sh: up to date"
    other = config.model_copy(update={"nodes": 4})
    with pytest.raises(ConfigError, match=r"new/hostfile\.example: exists already with other content"):
        launch(other)
    assert launch(other.model_copy(update={"overwrite": True})).written == (Path("new/hostfile.example"),)


def test_the_example_hostfile_is_one_that_deepspeed_reads(folder: Path) -> None:
    runner = pytest.importorskip("deepspeed.launcher.runner")
    launch(LaunchConfig(kind="deepspeed", nodes=3, gpus=2, out=Path("pretrain.sh")))
    assert dict(runner.fetch_hostfile("hostfile.example")) == {"node-1": 2, "node-2": 2, "node-3": 2}


class TestPretrainingIsCheckedFirst:
    def test_a_wrong_key(self, folder: Path) -> None:
        (folder / "pretrain.yaml").write_text("shards: s\noptim: {lrr: 1}\n")
        with pytest.raises(ConfigError, match=r"'optim\.lrr' is not a key \(did you mean 'optim\.lr'\?\)"):
            launch(LaunchConfig(kind="slurm"))

    def test_a_world_that_does_not_divide(self, folder: Path) -> None:
        (folder / "pretrain.yaml").write_text("shards: s\nglobal_batch: 32\n")
        with pytest.raises(ConfigError, match="world size 24: does not divide .* Start with 16 or 32 processes"):
            launch(LaunchConfig(kind="slurm", nodes=3))
        assert launch(LaunchConfig(kind="slurm", nodes=4)).text

    def test_a_file_that_is_elsewhere_is_not(self, folder: Path) -> None:
        assert "--config /cluster/run.yaml" in launch(
            LaunchConfig(kind="torchrun", pretrain_config=Path("/cluster/run.yaml"))
        ).text.replace("\\\n", "")


def program(folder: Path, name: str, text: str) -> None:
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin" / name).write_text("#!/usr/bin/env bash\n" + text)
    (folder / "bin" / name).chmod(0o755)


# Stand-ins for a cluster of one node. Of torchrun it has what matters here: ranks in a session of their own, 1 for any failure.
RANK = """
import signal, sys, time
def save(*_):
    time.sleep(0.5)
    open('saved', 'w')
    sys.exit(75)
signal.signal(signal.SIGUSR1, save)
open('rank', 'w')
time.sleep({seconds})
sys.exit({code})
"""
TORCHRUN = 'echo "$@" > arguments\nsetsid -w {python} -c "{rank}" || exit 1\n'
SRUN = 'export SLURM_NODEID=0; echo $$ > task; exec "${@: -3}"\n'
SCONTROL = 'if [ "$1" = show ]; then echo n1; echo n2; else echo "$@" >> requeued; fi\n'


def slurm_job(folder: Path, *, seconds: float, code: int) -> subprocess.Popen[str]:
    rank = RANK.format(seconds=seconds, code=code)
    program(folder, "torchrun", TORCHRUN.format(python=sys.executable, rank=rank))
    program(folder, "srun", SRUN)
    program(folder, "scontrol", SCONTROL)
    launch(LaunchConfig(kind="slurm", out=Path("job.sbatch")))
    environment = {"SLURM_JOB_ID": "12345", "SLURM_JOB_NODELIST": "n[1-2]", "SLURM_NNODES": "2"}
    environment |= {**os.environ, "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.Popen(["bash", "job.sbatch"], env=environment, stderr=subprocess.PIPE, text=True)


def wait_for(path: Path) -> None:
    end = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not come"
        time.sleep(0.02)


class TestSlurmScript:
    @pytest.mark.parametrize(("code", "expected"), [(0, 0), (4, 1)])
    def test_an_end_by_itself_is_handed_on_and_not_requeued(self, folder: Path, code: int, expected: int) -> None:
        assert slurm_job(folder, seconds=0, code=code).wait(20) == expected
        assert not (folder / "requeued").exists()

    def test_torchrun_gets_node_and_rendezvous(self, folder: Path) -> None:
        assert slurm_job(folder, seconds=0, code=0).wait(20) == 0
        assert (folder / "arguments").read_text().split() == [
            "--nnodes=2", "--node-rank=0", "--nproc-per-node=8", "--max-restarts=0", "--master-addr=n1", "--master-port=22345",
            "--module", "--", "rnfm", "pretrain", "--config", "pretrain.yaml",
        ]  # fmt: skip

    def test_the_warning_reaches_the_ranks_and_the_job_is_queued_again(self, folder: Path) -> None:
        job = slurm_job(folder, seconds=30, code=0)
        wait_for(folder / "rank")
        os.kill(int((folder / "task").read_text()), signal.SIGUSR1)
        assert job.wait(20) == 75
        assert (folder / "saved").exists()
        assert (folder / "requeued").read_text() == "requeue 12345\n"

    def test_the_warning_to_every_process_of_the_step_does_no_harm(self, folder: Path) -> None:
        job = slurm_job(folder, seconds=30, code=0)
        wait_for(folder / "rank")
        task = psutil.Process(int((folder / "task").read_text()))
        for process in (task, *task.children(recursive=True)):  # as SLURM does with process tracking by control groups
            process.send_signal(signal.SIGUSR1)
        assert job.wait(20) == 75
        assert (folder / "saved").exists()  # torchrun outlived the signal, and so its ranks


def test_deepspeed_without_a_hostfile_is_refused(folder: Path) -> None:
    launch(LaunchConfig(kind="deepspeed", out=Path("pretrain.sh")))
    ended = subprocess.run(["./pretrain.sh"], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (2, "no hostfile at hostfile: write one, or set HOSTFILE\n")


def test_many_nodes_need_their_number(folder: Path) -> None:
    launch(LaunchConfig(kind="torchrun", out=Path("pretrain.sh")))
    ended = subprocess.run(["./pretrain.sh"], capture_output=True, text=True)
    assert ended.returncode != 0
    assert "NODE_RANK: give this node a number from 0 to 1" in ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["torchrun", "deepspeed"])
def test_two_processes_start_pretraining_and_say_one_sentence(folder: Path, kind: Any) -> None:
    """The real launchers start the real command; its fault (no such shards) comes back as a code and one sentence."""
    (folder / "pretrain.yaml").write_text("shards: nowhere\n")
    launch(LaunchConfig(kind=kind, nodes=1, gpus=2, out=Path("pretrain.sh")))
    ended = subprocess.run(["./pretrain.sh"], capture_output=True, text=True, timeout=120, env={**os.environ, "MASTER_PORT": "29617", "CUDA_VISIBLE_DEVICES": ""})  # fmt: skip
    said = [line for line in (ended.stderr + ended.stdout).splitlines() if "rnfm: " in line]
    assert len(said) == 1, ended.stderr
    assert "nowhere" in said[0]
    assert ended.returncode == (1 if kind == "torchrun" else 2)
