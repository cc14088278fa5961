"""`rnfm demo`: the whole road, small, on two cores. With `--scans` it pre-trains on the user's own T1CE scans instead.

Each step is an ordinary stage with an ordinary configuration: what runs here is what runs on a cluster. A step whose result
stands is passed over, so a second run takes seconds and a killed one goes on.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnfm.core.config import Config, Field
from rnfm.core.errors import ConfigError, DataError, RnfmError

NOTE = (
    "In-silico: simulated lesions in real anatomy. These figures say that the software works, nothing about patients."
)


class DemoConfig(Config):
    """Walk the whole road on the embedded in-silico cohort, or pre-train on your own T1CE scans (`--scans`)."""

    out: Path = Field(Path("demo"), description="folder for everything the demo makes")
    scans: Path | None = Field(None, description="your own T1CE scans: any folder of NIfTI files")
    masks: Path | None = Field(None, description="lesion masks of the same file names; crops are then lesion-centred")
    quick: bool = Field(False, description="the smallest cohort that still runs every stage (for tests)")
    ranks: int = Field(2, ge=1, description="processes of pre-training")
    steps: int | None = Field(
        None, ge=1, description="optimiser steps of pre-training; default: what fits the demo's minutes"
    )
    seed: int = Field(0, ge=0, description="seed of everything")


@dataclass(frozen=True)
class Size:
    """What the demo's minutes allow."""

    pool_scans: int
    site_a_lesions: int
    site_b_lesions: int
    crops_per_scan: int
    steps: int
    epochs: int
    folds: int
    trials: int


FULL = Size(
    pool_scans=48, site_a_lesions=60, site_b_lesions=28, crops_per_scan=16, steps=240, epochs=12, folds=5, trials=4
)
QUICK = Size(
    pool_scans=8, site_a_lesions=20, site_b_lesions=10, crops_per_scan=8, steps=12, epochs=2, folds=2, trials=4
)
SPACING_MM = 2.0
CROP_VOX = 24
PATCH_VOX = 6
MODEL = "vit_micro"


@dataclass(frozen=True)
class DemoResult:
    text: str

    def summary(self) -> str:
        return self.text


class Walk:
    """Runs steps one after another, and says how long each took."""

    def __init__(self, total: int) -> None:
        self.total, self.done = total, 0
        self.results: dict[str, Any] = {}
        self.begin = time.monotonic()

    def step(self, label: str, work: Callable[[], Any]) -> Any:
        """Run one step; the first line of its summary tells what came of it."""
        self.done += 1
        print(f"[{self.done:2}/{self.total}] {label}", flush=True)
        start = time.monotonic()
        result = self.results[label] = work()
        first = result.summary().strip().split("\n")[0]
        print(f"        {time.monotonic() - start:6.1f} s  {first[:110]}", flush=True)
        return result


def demo(config: DemoConfig) -> DemoResult:
    """Raises whatever a stage raises; what was done before stands."""
    _require_free(config)
    if config.scans is not None:
        return _own_scans(config)
    return _in_silico(config, QUICK if config.quick else FULL)


def _in_silico(config: DemoConfig, size: Size) -> DemoResult:
    from rnfm import cohort, downstream, insilico, report, sweep

    out, walk = config.out.absolute(), Walk(23)
    tracking = {"uri": f"sqlite:///{out / 'mlflow.db'}"}
    keys = out / "keys.csv"
    walk.step("insilico make", lambda: insilico.make(insilico.InsilicoConfig(
        out=out / "scans", pool_scans=size.pool_scans, site_a_lesions=size.site_a_lesions, site_b_lesions=size.site_b_lesions,
        voxel_mm=SPACING_MM, seed=config.seed, workers=2)))  # fmt: skip

    places = {
        "pool": ("pool/images", {"masks": out / "scans/pool/masks"}),
        "site_a": ("site_a", {}),
        "site_b": ("site_b", {}),
    }
    for name, (folder, more) in places.items():
        walk.step(f"data index {name}", lambda name=name, folder=folder, more=more: cohort.index(cohort.IndexConfig(
            source=out / "scans" / folder, out=out / "cohorts" / name, keys=keys, site=name, namespace=name, **more)))  # fmt: skip
    walk.step("data split", lambda: cohort.split(cohort.SplitConfig(
        cohorts=[out / "cohorts/site_a"], external=[out / "cohorts/site_b"], out=out / "split", folds=size.folds, seed=config.seed)))  # fmt: skip
    for name in places:
        walk.step(f"data prepare {name}", lambda name=name: _prepare(out, name, keys))
    foundation = _pool_to_foundation(walk, config, size, out, tracking)

    sites = {"volumes": [out / "volumes/site_a", out / "volumes/site_b"], "split": out / "split"}
    tune = {**sites, "epochs": size.epochs, "seeds": [config.seed], "tracking": tracking}
    scratch = {"model": MODEL, "patch": PATCH_VOX, "crop": CROP_VOX}
    embedded = walk.step(
        "embed",
        lambda: downstream.embed(
            downstream.EmbedConfig(foundation=foundation, volumes=sites["volumes"], out=out / "embeddings")
        ),
    )
    walk.step(
        "finetune from the foundation",
        lambda: downstream.finetune(downstream.FinetuneConfig(**tune, foundation=foundation, out=out / "ssl_vit")),
    )
    walk.step(
        "finetune from scratch",
        lambda: downstream.finetune(downstream.FinetuneConfig(**tune, **scratch, out=out / "supervised_vit")),
    )
    baselines = ("volume_only", "clinical_only", "radiomics")
    for name in baselines:
        walk.step(
            f"baseline {name}",
            lambda name=name: downstream.baseline(downstream.BaselineConfig(name=name, **sites, out=out / name)),
        )
    walk.step(
        "fuse",
        lambda: downstream.fuse(
            downstream.FuseConfig(embeddings=embedded.path, split=out / "split", out=out / "fused")
        ),
    )
    walk.step("sweep", lambda: sweep.sweep(sweep.SweepConfig(
        target="finetune", fixed={**_plain(tune), "foundation": str(foundation), "out": str(out / "sweep_trials"), "epochs": max(2, size.epochs // 3)},
        space={"lr": {"low": 1e-4, "high": 3e-3, "log": True}, "weight_decay": [0.01, 0.1]},
        trials=size.trials, parallel=2, out=out / "sweep", seed=config.seed, tracking=tracking)))  # fmt: skip

    predictions = [out / name for name in ("ssl_vit", "supervised_vit", *baselines, "fused")]
    judged = walk.step(
        "evaluate",
        lambda: report.evaluate(
            report.EvaluateConfig(predictions=predictions, out=out / "evaluation", tracking=tracking["uri"])
        ),
    )
    page = walk.step("report", lambda: report.write_report(report.ReportConfig(
        evaluation=out / "evaluation", predictions=predictions, foundation=foundation, attention=[out / "ssl_vit/attention"], run=out / "run",
        note=NOTE, title="In-silico demo", out=out / "report")))  # fmt: skip
    walk.step(
        "models promote",
        lambda: report.promote(
            report.PromoteConfig(model=_digest(out / "ssl_vit/classifier"), tracking=tracking["uri"])
        ),
    )
    predicted = walk.step("predict a new scan", lambda: _predict(out))
    minutes = (time.monotonic() - walk.begin) / 60
    return DemoResult("\n".join([
        "", judged.summary(), "", predicted.summary(), "", NOTE, f"walked the road in {minutes:.1f} min",
        f"report:    {page.path / 'report.html'}",
        f"compare:   {Path(sys.executable).parent / 'mlflow'} ui --backend-store-uri {tracking['uri']}",
    ]))  # fmt: skip


def _own_scans(config: DemoConfig) -> DemoResult:
    """Index, prepare, shard and pre-train on a folder of the user's scans; nothing of it leaves the machine."""
    from rnfm import cohort

    out, walk = config.out.absolute(), Walk(6)
    keys, size = out / "keys.csv", QUICK if config.quick else FULL
    indexed = walk.step("data index", lambda: cohort.index(cohort.IndexConfig(
        source=config.scans, masks=config.masks, layout="folder", out=out / "cohorts/pool", keys=keys, namespace="own", site="own")))  # fmt: skip
    prepared = walk.step("data prepare", lambda: _prepare(out, "pool", keys))
    foundation = _pool_to_foundation(walk, config, size, out, {"uri": f"sqlite:///{out / 'mlflow.db'}"})
    trained = walk.results["pretrain"]
    return DemoResult("\n".join([
        "", "What was read:", indexed.summary(), prepared.summary(), "", "What was learned:", trained.summary(), "",
        f"load it:   model, report = rnfm.foundation.load({str(foundation)!r})",
        f"compare:   {Path(sys.executable).parent / 'mlflow'} ui --backend-store-uri sqlite:///{out / 'mlflow.db'}",
    ]))  # fmt: skip


def _pool_to_foundation(walk: Walk, config: DemoConfig, size: Size, out: Path, tracking: dict[str, str]) -> Path:
    from rnfm import archive, cohort, pretrain

    walk.step("data split (held-out subjects)", lambda: cohort.split(cohort.SplitConfig(
        cohorts=[out / "cohorts/pool"], out=out / "pool_split", holdout=0.2, folds=2, seed=config.seed)))  # fmt: skip
    volumes = out / "volumes/pool"
    scans = max(1, _count(volumes))
    per_scan = (
        max(size.crops_per_scan, -(-size.crops_per_scan * size.pool_scans // scans))
        if config.scans
        else size.crops_per_scan
    )
    walk.step("data shard", lambda: archive.shard(archive.ShardConfig(
        volumes=volumes, split=out / "pool_split", out=out / "shards", crop=(CROP_VOX,) * 3, per_scan=per_scan, seed=config.seed)))  # fmt: skip
    run = pretrain.PretrainConfig.model_validate({
        "shards": out / "shards", "out": out / "run", "global_batch": 32, "steps": config.steps or size.steps, "seed": config.seed,
        "model": {"name": MODEL, "patch": PATCH_VOX}, "optim": {"lr": 2e-3}, "objective_options": {"normalise": True}, "tracking": tracking,
        "validate_every": 60, "checkpoint_every": 60, "log_every": 10,
    })  # fmt: skip
    walk.step("pretrain", lambda: _pretrain(run, config.ranks))
    walk.step("data verify", lambda: archive.verify(archive.VerifyConfig(path=out / "shards", deep=True)))
    return out / "run/foundation"


def _prepare(out: Path, name: str, keys: Path) -> Any:
    from rnfm import volume

    return volume.prepare(volume.PrepareConfig(
        cohort=out / "cohorts" / name, keys=keys, out=out / "volumes" / name, spacing_mm=(SPACING_MM,) * 3, workers=2))  # fmt: skip


def _pretrain(run: Any, ranks: int) -> Any:
    """The real launch: torchrun and one process a rank, as on a node of a cluster."""
    from rnfm import pretrain
    from rnfm.core import files
    from rnfm.core.artifact import Artifact

    file = run.out.parent / "pretrain.yaml"
    files.write_text(file, run.as_yaml())
    command = [
        str(Path(sys.executable).parent / "torchrun"),
        "--standalone",
        f"--nproc-per-node={ranks}",
        "-m",
        "rnfm",
        "pretrain",
        "--config",
        str(file),
    ]
    log = run.out.parent / "pretrain.log"
    environment = {**os.environ, "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // ranks))}
    with open(log, "a") as sink:
        code = subprocess.run(command, stdout=sink, stderr=subprocess.STDOUT, env=environment).returncode
    if code != 0:
        said = [line for line in log.read_text().splitlines() if line.startswith("rnfm: ")]
        raise RnfmError("pretrain", f"ended with code {code}: {said[-1] if said else 'see the log'}", f"Read {log}")
    found = Artifact.open(run.out / "foundation", "foundation").lineage
    return pretrain.PretrainResult(run.out, run.out / "foundation", found["steps"], found["metrics"], found["run_id"])


def _predict(out: Path) -> Any:
    from rnfm import downstream

    anatomy = sorted((out / "scans/site_b").glob("sub-*/ses-*/anat/*_T1w.nii.gz"))[0]
    subject, session = anatomy.parts[-4:-2]
    mask = next((out / "scans/site_b/derivatives").glob(f"*/{subject}/{session}/anat/*_mask.nii.gz"))
    return downstream.predict(
        downstream.PredictConfig(
            scan=anatomy, mask=mask, classifier=out / "ssl_vit/classifier", out=out / "prediction", overwrite=True
        )
    )


def _digest(path: Path) -> str:
    from rnfm.core.artifact import Artifact

    return Artifact.open(path).digest[:12]


def _plain(tree: dict[str, Any]) -> dict[str, Any]:
    return {
        key: [str(item) for item in value]
        if isinstance(value, list)
        else str(value)
        if isinstance(value, Path)
        else value
        for key, value in tree.items()
    }


def _count(volumes: Path) -> int:
    import pandas as pd

    return len(pd.read_parquet(volumes / "scans.parquet"))


def _require_free(config: DemoConfig) -> None:
    if config.masks is not None and config.scans is None:
        raise ConfigError("masks", "are given without scans", "Give --scans too")
    for folder in (config.scans, config.masks):
        if folder is not None and not folder.is_dir():
            raise ConfigError(folder, "no such folder", "Give a folder of NIfTI files")
    config.out.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(config.out).free < 3 * 2**30:
        raise DataError(config.out, "less than 3 GiB of disk are free", "Choose another --out")
