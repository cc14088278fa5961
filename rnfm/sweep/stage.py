"""`rnfm sweep`: check, look whether it is done, run the trials, publish.

    sweep/  trials.parquet  trials.csv  best.yaml      (kind "sweep")

The parent run in MLflow has the space and what came out best; each trial is a child run of its own.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnfm.core import artifact as artifacts
from rnfm.core import files
from rnfm.core.artifact import Artifact
from rnfm.core.config import Config, load, with_overrides
from rnfm.core.errors import ConfigError, RnfmError
from rnfm.sweep.cluster import connected, require_answer
from rnfm.sweep.config import SweepConfig
from rnfm.sweep.lineage import config_hash, inputs_of
from rnfm.sweep.result import SweepResult, Trial, best_of, settings, tabulate
from rnfm.sweep.space import Interval, Space, flat, points, resolve
from rnfm.sweep.targets import TARGETS

if TYPE_CHECKING:
    from rnfm.sweep.trial import Task
    from rnfm.tracking import Run, TrackingConfig

KIND, VERSION = "sweep", 1


def sweep(config: SweepConfig) -> SweepResult:
    """Search `config.space`. Raises ConfigError before anything starts, RnfmError if no trial came to a score."""
    base = base_configuration(config)
    space = resolve(base, config.space, fixed=dict(flat(config.fixed)))
    whole = tried_whole(config, space)
    inputs = inputs_of(base, space)
    made_by = config_hash(config, base, space, inputs)
    done = artifacts.current(config.out, KIND, made_by, inputs)
    if done is not None and not config.overwrite:
        return _read(config, done)
    artifacts.require_free(config.out, config.overwrite)
    require_answer(config.address)
    return _sweep(config, base, space, whole, {"config_hash": made_by, "inputs": inputs})


def _sweep(config: SweepConfig, base: Config, space: Space, whole: bool, lineage: dict[str, Any]) -> SweepResult:
    from rnfm import tracking
    from rnfm.sweep.trial import Task

    here = Path.cwd()
    recorded = config.tracking.model_copy(update={"uri": tracking.resolve(config.tracking.uri)})
    with _spools(here, config.out.name) as spools, tracking.start(
        recorded, stage="sweep", name=f"{config.target}-{config.out.name}", params=config.as_dict(),
        tags={"config_hash": lineage["config_hash"]}, folder=spools / "parent",
    ) as parent:  # fmt: skip
        task = Task(TARGETS[config.target], base.as_dict(), recorded, parent.id, spools, here)
        try:
            trials = _run_trials(config, task, space, whole)
        finally:
            _close_lost(recorded, parent.id)
        best = best_of(trials)
        if best is None:
            raise RnfmError(
                f"sweep of {config.target}",
                f"all {len(trials)} trials failed, the first with: {trials[0].error}",
                "Run the stage alone with these settings to see why",
            )
        _publish(config, with_overrides(base, dict(best.values)), trials, best, {**lineage, "run_id": parent.id})
        _record(parent, config.out, trials, best)
    return _read(config, Artifact.open(config.out, KIND, VERSION), fresh=True)


@contextlib.contextmanager
def _spools(folder: Path, name: str) -> Iterator[Path]:
    """A folder with one spool folder a run; it stays only if something in it waits for `rnfm track sync`."""
    spools = folder / ".rnfm-spool" / f"sweep-{name}-{secrets.token_hex(4)}"
    try:
        yield spools
    finally:
        if not any(spools.rglob("tracking-*.jsonl")):
            shutil.rmtree(spools, ignore_errors=True)
            with contextlib.suppress(OSError):
                spools.parent.rmdir()  # if nobody else's lies there


def _run_trials(config: SweepConfig, task: Task, space: Space, whole: bool) -> list[Trial]:
    # Tune's files lie beside the result: on a cluster that is the file system which all of its machines share.
    storage = artifacts.begin(config.out.absolute())
    try:
        with connected(address=config.address, parallel=config.parallel):
            from rnfm.sweep import tune  # Ray reads some of its settings at its import

            return tune.fit(config, task, space, whole=whole, storage=storage)
    finally:
        shutil.rmtree(storage, ignore_errors=True)


def base_configuration(config: SweepConfig) -> Config:
    """The target's configuration from which trials depart. Raises ConfigError with every fault of `base` and `fixed`."""
    words = [f"--{key}={json.dumps(value)}" for key, value in flat(config.fixed)]
    return load(TARGETS[config.target].config_class(), config.base, words)


def tried_whole(config: SweepConfig, space: Space) -> bool:
    """Is every point tried, rather than random ones? Raises ConfigError for a grid that cannot be, or is too large."""
    count = points(space)
    if config.search == "grid" and count is None:
        endless = ", ".join(sorted(key for key, axis in space.items() if isinstance(axis, Interval)))
        raise ConfigError(
            "sweep space", f"a grid cannot hold the range of {endless}", "Give it a step or a list of choices"
        )
    if config.search == "grid" and count is not None and count > config.trials:
        raise ConfigError(
            "sweep space",
            f"the grid has {count} points, more than {config.trials} trials",
            "Raise --trials, or shorten a list",
        )
    return count is not None and count <= config.trials


def _publish(
    config: SweepConfig, best_config: Config, trials: list[Trial], best: Trial, lineage: dict[str, Any]
) -> None:
    table = tabulate(trials, list(best.values))
    contract = {"target": config.target, "best": dict(best.values), "best_score": best.score}
    with artifacts.publish(
        config.out, KIND, VERSION, contract=contract, lineage=lineage, overwrite=config.overwrite
    ) as draft:
        table.to_parquet(draft.path / "trials.parquet", index=False)
        table.to_csv(draft.path / "trials.csv", index=False)
        files.write_text(draft.path / "best.yaml", best_config.as_yaml())


def _record(parent: Run, out: Path, trials: list[Trial], best: Trial) -> None:
    failed = sum(trial.error is not None for trial in trials)
    assert best.score is not None
    parent.log_metrics({"best_score": best.score, "trials": len(trials), "failed": failed})
    parent.log_params({f"best.{key}": value for key, value in best.values.items()})
    parent.set_tags({"best": f"trial-{best.number:03d}: {settings(best.values)}"})
    for name in ("trials.csv", "best.yaml"):
        parent.log_files(out / name)


def _close_lost(tracking_config: TrackingConfig, parent: str | None) -> None:
    """End the children whose process died without a word; a store that is away costs this, never the sweep."""
    if parent is None:
        return
    from rnfm import tracking

    with contextlib.suppress(Exception):
        client = tracking.client(tracking_config.uri)
        siblings = [client.get_run(parent).info.experiment_id]
        query = f"tags.mlflow.parentRunId = '{parent}' and attributes.status = 'RUNNING'"
        for run in client.search_runs(siblings, query):
            client.set_terminated(run.info.run_id, status="FAILED")


def _read(config: SweepConfig, artifact: Artifact, fresh: bool = False) -> SweepResult:
    import pandas as pd

    contract = artifact.contract
    table = pd.read_parquet(artifact.file("trials.parquet"))
    return SweepResult(
        path=config.out,
        target=config.target,
        best=contract["best"],
        best_score=contract["best_score"],
        table=table,
        run_id=artifact.lineage["run_id"],
        fresh=fresh,
    )
