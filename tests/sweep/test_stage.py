"""`rnfm sweep`: what is refused before anything starts, and one real sweep on Ray, from the command line to MLflow."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
import yaml

from rnfm.core.artifact import Artifact
from rnfm.core.errors import ConfigError, RnfmError
from rnfm.sweep import SweepConfig, stage, sweep
from rnfm.sweep.result import Trial

# The registry is patched inside the process that sweeps; trials get the target by name.
COMMAND = """
import sys
from rnfm.sweep import targets
targets.TARGETS["finetune"] = targets.Target("toy_target:ToyConfig", "toy_target:score")
from rnfm.cli.main import main
sys.exit(main(["sweep", *sys.argv[1:]]))
"""


MARK = "RNFM_TEST_SWEEP"


def rnfm_sweep(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", COMMAND, *words], cwd=folder, capture_output=True, text=True, timeout=240,
        env={**os.environ, MARK: str(folder)},
    )  # fmt: skip


def marked(mark: str) -> list[str]:
    """Names of all processes that have `mark` from `rnfm_sweep`: whatever was started below it, renamed or orphaned."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARK) == mark:
                found.append(process.name())
    return found


def config(tmp_path: Path, **changes: Any) -> SweepConfig:
    given = {"target": "finetune", "fixed": {"journal": str(tmp_path)}, "space": {"head.depth": [1, 2, 3]}}
    return SweepConfig(**{**given, "out": tmp_path / "sweep", "tracking": {"enabled": False}, **changes})


@pytest.fixture
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **more: Any) -> Any:
        raise AssertionError("Ray was started")

    monkeypatch.setattr(stage, "connected", refuse)


@pytest.mark.usefixtures("swept_toy", "no_ray")
class TestRefusedBeforeRayStarts:
    def test_faults_of_the_base(self, tmp_path: Path) -> None:
        with pytest.raises(
            ConfigError, match=r"toy configuration: 2 faults.*'journal' is missing.*did you mean 'pooling'"
        ):
            sweep(config(tmp_path, fixed={"poolin": "mean"}))

    def test_faults_of_the_space(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="sweep space: 1 fault in the space: 'head.dept' is not a key"):
            sweep(config(tmp_path, space={"head.dept": [1]}))

    def test_a_grid_over_a_range(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"a grid cannot hold the range of head\.lr\. Give it a step"):
            sweep(config(tmp_path, search="grid", space={"head.lr": {"low": 0.1, "high": 0.2}}))

    def test_a_grid_of_too_many_points(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="the grid has 3 points, more than 2 trials. Raise --trials"):
            sweep(config(tmp_path, search="grid", trials=2))

    def test_a_folder_that_is_taken(self, tmp_path: Path) -> None:
        (tmp_path / "sweep").mkdir()
        (tmp_path / "sweep" / "thesis.tex").write_text("x")
        with pytest.raises(ConfigError, match="exists already"):
            sweep(config(tmp_path))


@pytest.mark.usefixtures("swept_toy")
class TestBaseConfiguration:
    def test_fixed_values_stand_over_the_file_and_beside_it(self, tmp_path: Path) -> None:
        (tmp_path / "base.yaml").write_text("journal: here\nhead: {lr: 0.5, depth: 1}\n")
        fixed = {"head": {"depth": 7}, "pooling": "token", "options.a": 1e-7}
        base = stage.base_configuration(config(tmp_path, base=tmp_path / "base.yaml", fixed=fixed)).as_dict()
        assert base["head"] == {"lr": 0.5, "depth": 7}
        assert (base["journal"], base["pooling"], base["options"]) == ("here", "token", {"a": 1e-7})

    @pytest.mark.parametrize(
        ("search", "trials", "whole"), [("random", 2, False), ("random", 3, True), ("grid", 3, True)]
    )
    def test_a_small_space_is_tried_whole(self, tmp_path: Path, search: str, trials: int, whole: bool) -> None:
        given = config(tmp_path, search=search, trials=trials)
        base = stage.base_configuration(given)
        assert stage.tried_whole(given, stage.resolve(base, given.space)) is whole


@pytest.mark.usefixtures("swept_toy")
class TestOutcome:
    """With trials handed in by the test: Ray has its own test below."""

    def swept(self, monkeypatch: pytest.MonkeyPatch, given: SweepConfig, trials: list[Trial]) -> Any:
        monkeypatch.setattr(stage, "_run_trials", lambda *arguments: trials)
        return sweep(given)

    def test_nothing_is_published_if_every_trial_failed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        trials = [Trial(1, {"head.depth": 1}, None, 0.0, "ValueError: no"), Trial(2, {"head.depth": 2}, None, 0.0, "x")]
        with pytest.raises(RnfmError, match="all 2 trials failed, the first with: ValueError: no") as caught:
            self.swept(monkeypatch, config(tmp_path), trials)
        assert caught.value.exit_code == 1
        assert not (tmp_path / "sweep").exists()

    def test_other_settings_need_overwrite(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        trials = [Trial(1, {"head.depth": 3}, 1.0, 0.0, None)]
        assert self.swept(monkeypatch, config(tmp_path), trials).fresh
        assert not self.swept(monkeypatch, config(tmp_path, parallel=7), trials).fresh
        with pytest.raises(ConfigError, match="made with other settings"):
            self.swept(monkeypatch, config(tmp_path, seed=1), trials)
        assert self.swept(monkeypatch, config(tmp_path, seed=1, overwrite=True), trials).fresh


def test_spools_go_when_all_is_delivered_and_stay_otherwise(tmp_path: Path) -> None:
    with stage._spools(tmp_path, "s") as spools:
        (spools / "trial-001").mkdir(parents=True)
        (spools / "trial-001" / "mlflow.json").write_text("{}")
    assert not (tmp_path / ".rnfm-spool").exists()
    with stage._spools(tmp_path, "s") as spools:
        (spools / "parent").mkdir(parents=True)
        (spools / "parent" / "tracking-1.jsonl").write_text("{}\n")
    assert (spools / "parent" / "tracking-1.jsonl").exists()


def test_importing_the_configuration_is_light() -> None:
    code = (
        "import sys, rnfm.sweep; print([m for m in ('ray', 'mlflow', 'torch', 'numpy', 'pandas') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


@pytest.mark.slow
def test_a_sweep_on_ray_from_the_command_line_to_mlflow(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    (tmp_path / "sweep.yaml").write_text(
        "target: finetune\nfixed: {journal: journal, seconds: 1.5}\nspace:\n  head.depth: [2, 3, 4, 5, 7]\n  pooling: [mean]\n"
    )
    ended = rnfm_sweep(tmp_path, "--config", "sweep.yaml", "--parallel", "2")
    assert ended.returncode == 0, ended.stderr

    # What a person sees: a line a trial, and the summary; nothing of Ray's own.
    assert len(ended.stderr.splitlines()) == 5, ended.stderr
    assert "trial 2: score 1.0000" in ended.stderr
    lost = "its process died without a word, most often for lack of memory"
    assert ended.stdout.splitlines() == [
        "sweep: 5 trials of finetune, 2 failed",
        "best: trial 2, cross-validated score 1.0000 on training patients (head.depth=3, pooling=mean)",
        "failed: trial 3: ValueError: depth 4 does not fit",
        f"failed: trial 5: {lost}",
        "next: rnfm finetune --config sweep/best.yaml",
    ]

    # The artefact: a table, and a configuration that the stage reads.
    artifact = Artifact.open(tmp_path / "sweep", "sweep")
    artifact.require_intact(deep=True)
    table = pd.read_parquet(artifact.file("trials.parquet"))
    assert table["head.depth"].tolist() == [2, 3, 4, 5, 7]
    assert table["status"].tolist() == ["finished", "finished", "failed", "finished", "failed"]
    assert table["score"].fillna(-1.0).tolist() == pytest.approx([0.9, 1.0, -1.0, 0.8, -1.0])
    assert table["error"].fillna("").tolist() == ["", "", "ValueError: depth 4 does not fit", "", lost]
    assert pd.read_csv(artifact.file("trials.csv"))["trial"].tolist() == [1, 2, 3, 4, 5]
    assert yaml.safe_load(artifact.file("best.yaml").read_text())["head"]["depth"] == 3

    # Two at once, in the folder where the sweep was started; Ray's servers wait on this machine's loopback only.
    notes = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "journal").iterdir()}
    assert set(notes) == {"depth-2", "depth-3", "depth-5"}
    assert max(notes["depth-2"]["began"], notes["depth-3"]["began"]) < min(note["ended"] for note in notes.values())
    addresses = {address for note in notes.values() for address in note["listening"]}
    assert addresses
    assert {address.removeprefix("::ffff:") for address in addresses} == {"127.0.0.1"}

    check_mlflow(tmp_path, artifact.lineage["run_id"])
    assert marked(str(tmp_path)) == []
    assert not list(tmp_path.glob(".tmp-*"))

    again = rnfm_sweep(tmp_path, "--config", "sweep.yaml", "--parallel", "1")
    assert again.returncode == 0, again.stderr
    assert again.stdout.startswith("sweep: up to date, 5 trials of finetune\n")
    assert again.stderr == ""


def check_mlflow(folder: Path, parent_id: str) -> None:
    """A parent with what came out best, and one child a trial, each with its parameters, score and end."""
    from rnfm.tracking import client

    store = client(f"sqlite:///{folder / 'mlflow.db'}")
    parent = store.get_run(parent_id)
    assert parent.data.params["best.head.depth"] == "3"
    assert parent.data.metrics == {"best_score": 1.0, "trials": 5.0, "failed": 2.0}
    runs = store.search_runs([parent.info.experiment_id], f"tags.mlflow.parentRunId = '{parent_id}'")
    children = {run.data.params["head.depth"]: run for run in runs}
    assert {depth: run.info.status for depth, run in children.items()} == {
        "2": "FINISHED", "3": "FINISHED", "4": "FAILED", "5": "FINISHED", "7": "FAILED",
    }  # fmt: skip
    assert {depth: run.data.metrics.get("score") for depth, run in children.items()} == {
        "2": pytest.approx(0.9), "3": pytest.approx(1.0), "4": None, "5": pytest.approx(0.8), "7": None,
    }  # fmt: skip
    assert children["4"].data.tags["error"] == "ValueError: depth 4 does not fit"
    assert children["2"].info.run_name == "trial-001"
