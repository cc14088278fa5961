"""MLflow behind the spool: a real SQLite store, a store that is not there, four processes at once, a server that dies."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from rnfm.core.artifact import Artifact, publish
from rnfm.core.errors import ConfigError, RnfmError
from rnfm.tracking import FOUNDATION, TrackingConfig, client, register, start
from rnfm.tracking.redact import flatten, redact
from rnfm.tracking.spool import Spool
from rnfm.tracking.sync import SyncConfig, sync

DEAD = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


def test_a_run_with_everything(uri: str, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<p>")
    with start(
        TrackingConfig(uri=uri),
        stage="toy",
        name="one",
        params={"optim": {"lr": 0.1}, "db_password": "x"},
        folder=tmp_path / "run",
    ) as run:
        for step in range(3):
            run.log_metrics({"train/loss": 1.0 / (step + 1), "bad": float("nan")}, step=step)
        run.set_tags({"digest": "d"})
        run.log_files(tmp_path / "page.html", "report")
    store = client(uri)
    found = store.get_run(run.id)
    assert found.info.status == "FINISHED"
    assert found.data.params == {"optim.lr": "0.1", "db_password": "[redacted]"}
    assert [(m.step, m.value) for m in store.get_metric_history(run.id, "train/loss")] == [
        (0, 1.0),
        (1, 0.5),
        (2, 1 / 3),
    ]
    assert "bad" not in found.data.metrics
    assert (found.data.tags["digest"], found.data.tags["stage"]) == ("d", "toy")
    assert [f.path for f in store.list_artifacts(run.id, "report")] == ["report/page.html"]
    assert [f.name for f in (tmp_path / "run").iterdir()] == ["mlflow.json"]  # the spool is gone once all is delivered


def test_children_and_continued_runs(uri: str, tmp_path: Path) -> None:
    with (
        start(TrackingConfig(uri=uri), stage="toy", name="parent", folder=tmp_path) as parent,
        start(TrackingConfig(uri=uri), stage="toy", name="child", parent_run_id=parent.id, folder=tmp_path) as child,
    ):
        child.log_metrics({"a": 1}, step=1)
    with start(
        TrackingConfig(uri=uri), stage="toy", name="child", run_id=child.id, params={"x": 1}, folder=tmp_path
    ) as again:
        again.log_metrics({"a": 2}, step=2)
    store = client(uri)
    assert again.id == child.id
    assert store.get_run(child.id).data.tags["mlflow.parentRunId"] == parent.id
    assert [m.step for m in store.get_metric_history(child.id, "a")] == [1, 2]


def test_a_dead_store_never_stops_or_delays_a_run_and_sync_loses_nothing(uri: str, tmp_path: Path) -> None:
    slowest = 0.0
    with start(TrackingConfig(uri=DEAD), stage="toy", name="dead", params={"k": 1}, folder=tmp_path) as run:
        for step in range(50):
            before = time.monotonic()
            run.log_metrics({"loss": float(step)}, step=step)
            slowest = max(slowest, time.monotonic() - before)
    assert slowest < 1.0
    assert run.failure is not None
    assert sync(SyncConfig(folder=tmp_path, uri=uri)).events == 53  # start, params, 50 metrics, end
    store = client(uri)
    ids = [
        r.info.run_id
        for e in store.search_experiments()
        for r in store.search_runs([e.experiment_id], "attributes.run_name = 'dead'")
    ]
    assert len(ids) == 1
    assert [m.value for m in store.get_metric_history(ids[0], "loss")] == [float(i) for i in range(50)]
    assert sync(SyncConfig(folder=tmp_path, uri=uri)).events == 0


def test_a_sync_that_is_cut_goes_on_where_it_stopped(uri: str, tmp_path: Path) -> None:
    with start(TrackingConfig(uri=DEAD), stage="toy", name="cut", folder=tmp_path) as run:
        run.log_metrics({"loss": 1.0}, step=1)
    with pytest.raises(RnfmError, match="does not answer"):
        sync(SyncConfig(folder=tmp_path, uri=DEAD))
    spool = Spool.at(next(tmp_path.glob("tracking-*.jsonl")))
    with open(spool.path, "a") as file:
        file.write('{"op": "metr')  # the process died while writing
    assert sync(SyncConfig(folder=tmp_path, uri=uri)).events == 3


def test_only_rank_0_records_and_tracking_can_be_off(tmp_path: Path) -> None:
    for config, rank in [(TrackingConfig(uri=DEAD), 1), (TrackingConfig(enabled=False), 0)]:
        with start(config, stage="toy", name="none", folder=tmp_path, rank=rank) as run:
            run.log_metrics({"a": 1})
        assert run.id is None
    assert list(tmp_path.iterdir()) == []


def test_a_failing_run_is_marked_failed(uri: str, tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="boom"),
        start(TrackingConfig(uri=uri), stage="toy", name="boom", folder=tmp_path) as run,
    ):
        raise ValueError("boom")
    assert client(uri).get_run(run.id).info.status == "FAILED"


FIRST_USE = "import sys; from rnfm.tracking import client; print(len(client(sys.argv[1]).search_experiments()))"


@pytest.mark.slow
def test_four_processes_that_open_a_new_database_at_once(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    processes = [
        subprocess.Popen([sys.executable, "-c", FIRST_USE, uri], stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    assert [process.communicate(timeout=180)[0].strip() for process in processes] == ["1"] * 4


def test_the_same_artefact_keeps_its_version(uri: str, tmp_path: Path) -> None:
    with publish(tmp_path / "f", "foundation", 1) as draft:
        (draft.path / "x").write_text("weights")
    artifact = Artifact.open(tmp_path / "f")
    with start(TrackingConfig(uri=uri), stage="toy", name="reg", folder=tmp_path / "run") as run:
        first = register(uri, FOUNDATION, artifact, run_id=run.id, tags={"val/loss": "0.5"})
        assert register(uri, FOUNDATION, artifact, run_id=run.id, tags={"val/loss": "0.4"}) == first
    version = client(uri).get_model_version(FOUNDATION, first)
    assert (version.tags["digest"], version.tags["val/loss"]) == (artifact.digest, "0.4")


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("optim.lr", 0.1, "0.1"),
        ("api_key", "abc", "[redacted]"),
        ("uri", "http://u:p@h/x", "http://[redacted]@h/x"),
        ("note", "AKIA" + "ABCDEFGHIJKLMNOP", "[redacted]"),
        ("note", "hf_" + "a" * 20, "[redacted]"),
        ("token", None, "None"),
    ],
)
def test_redaction(key: str, value: object, shown: str) -> None:
    assert redact(key, value) == shown
    assert flatten({"a": {key: value}}) == {f"a.{key}": shown}


def test_sync_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        sync(SyncConfig(folder=tmp_path / "none"))
