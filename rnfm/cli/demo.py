"""`rnfm demo`: the whole road, small, on two cores. With `--scans` it pre-trains on the user's own T1CE scans instead.

Each step is an ordinary stage with an ordinary configuration: what runs here is what runs on a cluster. A step whose result
stands is passed over, so a second run takes seconds and a killed one goes on.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnfm.cli import walk as walks
from rnfm.cli.walk import CROP_VOX, FULL, MODEL, PATCH_VOX, QUICK, SPACING_MM, Size, Walk
from rnfm.core.config import Config, Field
from rnfm.core.errors import ConfigError, DataError

NOTE = (
    "In-silico: simulated lesions in real anatomy. These figures say that the software works, nothing about patients."
)
BASELINES = ("volume_only", "mean_intensity", "clinical_only", "radiomics")


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
class DemoResult:
    path: Path
    text: str

    def summary(self) -> str:
        return self.text


def demo(config: DemoConfig) -> DemoResult:
    """Raises whatever a stage raises; what was done before stands."""
    _require_usable(config)
    size = QUICK if config.quick else FULL
    return _in_silico(config, size) if config.scans is None else _own_scans(config, size)


def _in_silico(config: DemoConfig, size: Size) -> DemoResult:
    from rnfm import report

    out, walk = config.out.absolute(), Walk(25)
    _cohorts(walk, out, config, size)
    trained = walks.foundation(
        walk,
        out,
        per_scan=size.crops_per_scan,
        steps=config.steps or size.steps,
        seed=config.seed,
        ranks=config.ranks,
    )
    predictions = _classifiers(walk, out, trained.foundation, config, size)
    uri = walks.tracking_uri(out)
    evaluation = report.EvaluateConfig(predictions=predictions, out=out / "evaluation", tracking=uri)
    judged = walk.step("evaluate", report.evaluate, evaluation)
    page = report.ReportConfig(
        evaluation=evaluation.out, predictions=predictions, foundation=trained.foundation, attention=[out / "ssl_vit/attention"],
        run=out / "run", note=NOTE, title="In-silico demo", out=out / "report",
    )  # fmt: skip
    written = walk.step("report", report.write_report, page)
    champion = report.PromoteConfig(model=_digest(out / "ssl_vit/classifier"), tracking=uri)
    walk.step("models promote", report.promote, champion)
    predicted = _predict_new_scan(walk, out)
    lines = ["", judged.summary(), "", predicted.summary(), "", NOTE, f"walked the road in {walk.minutes():.1f} min"]
    return DemoResult(out, "\n".join([*lines, f"report:    {written.page}", _ui(uri)]))


def _cohorts(walk: Walk, out: Path, config: DemoConfig, size: Size) -> None:
    """Simulate, index, split and prepare: from here on nothing knows that the scans are simulated."""
    from rnfm import cohort, insilico

    simulated = insilico.InsilicoConfig(
        out=out / "scans", pool_subvolumes=size.pool_scans * size.crops_per_scan, subvolumes_per_scan=size.crops_per_scan,
        site_a=size.site_a_lesions, site_b=size.site_b_lesions, voxel_mm=SPACING_MM, seed=config.seed, workers=2,
        visits=2,  # of a patient: enough to show time points, and minutes of preparing less
    )  # fmt: skip
    walk.step("insilico make", insilico.make, simulated)
    for name, folder, masks in (
        ("pool", "pool/images", "pool/masks"),
        ("site_a", "site_a", None),
        ("site_b", "site_b", None),
    ):
        index = cohort.IndexConfig(
            source=out / "scans" / folder, masks=out / "scans" / masks if masks else None, out=out / "cohorts" / name,
            keys=out / "keys.csv", namespace=name, site=name,
        )  # fmt: skip
        walk.step(f"data index {name}", cohort.index, index)
    split = cohort.SplitConfig(
        cohorts=[out / "cohorts/site_a"],
        external=[out / "cohorts/site_b"],
        out=out / "split",
        folds=size.folds,
        seed=config.seed,
    )
    walk.step("data split", cohort.split, split)
    for name in ("pool", "site_a", "site_b"):
        walks.prepare(walk, out, name)


def _classifiers(walk: Walk, out: Path, foundation: Path, config: DemoConfig, size: Size) -> list[Path]:
    """Every method of the paper's table and the baselines that could shame it; returns their predictions."""
    from rnfm import downstream, sweep

    volumes, split = [out / "volumes/site_a", out / "volumes/site_b"], out / "split"
    embed = downstream.EmbedConfig(foundation=foundation, volumes=volumes, out=out / "embeddings")
    walk.step("embed", downstream.embed, embed)
    shared: dict[str, Any] = {
        "volumes": volumes, "split": split, "epochs": size.epochs, "seeds": [config.seed], "tracking": {"uri": walks.tracking_uri(out)},
    }  # fmt: skip
    from_foundation = downstream.FinetuneConfig(**shared, foundation=foundation, out=out / "ssl_vit")
    walk.step("finetune from the foundation", downstream.finetune, from_foundation)
    scratch = downstream.FinetuneConfig(
        **shared, model=MODEL, patch=PATCH_VOX, crop=CROP_VOX, out=out / "supervised_vit"
    )
    walk.step("finetune from scratch", downstream.finetune, scratch)
    for name in BASELINES:
        baseline = downstream.BaselineConfig(name=name, volumes=volumes, split=split, out=out / name, seed=config.seed)
        walk.step(f"baseline {name}", downstream.baseline, baseline)
    walk.step(
        "fuse",
        downstream.fuse,
        downstream.FuseConfig(embeddings=embed.out, split=split, out=out / "fused", seed=config.seed),
    )
    space: dict[str, Any] = {"lr": {"low": 1e-4, "high": 3e-3, "log": True}, "weight_decay": [0.01, 0.1]}
    fixed = {key: value for key, value in from_foundation.as_dict().items() if key not in space}
    swept = sweep.SweepConfig(
        target="finetune", fixed={**fixed, "out": str(out / "sweep_trials"), "epochs": max(2, size.epochs // 4)}, space=space,
        trials=size.trials, parallel=2, out=out / "sweep", seed=config.seed, tracking=from_foundation.tracking,
    )  # fmt: skip
    walk.step("sweep (Ray Tune)", sweep.sweep, swept)
    return [out / name for name in ("ssl_vit", "supervised_vit", *BASELINES, "fused")]


def _predict_new_scan(walk: Walk, out: Path) -> Any:
    """A scan of the second centre, which no part of the classifier has seen."""
    from rnfm import downstream

    scan = sorted((out / "scans/site_b").glob("sub-*/ses-*/anat/*_T1w.nii.gz"))[0]
    subject, session = scan.parts[-4:-2]
    mask = next((out / "scans/site_b/derivatives").glob(f"*/{subject}/{session}/anat/*_mask.nii.gz"))
    config = downstream.PredictConfig(
        scan=scan, mask=mask, classifier=out / "ssl_vit/classifier", out=out / "prediction", overwrite=True
    )
    return walk.step("predict a scan of the second centre", downstream.predict, config)


def _own_scans(config: DemoConfig, size: Size) -> DemoResult:
    """Index, prepare, shard and pre-train on a folder of the user's scans; nothing of it leaves the machine."""
    from rnfm import cohort

    assert config.scans is not None
    out, walk = config.out.absolute(), Walk(6)
    index = cohort.IndexConfig(
        source=config.scans,
        masks=config.masks,
        layout="folder",
        out=out / "cohorts/pool",
        keys=out / "keys.csv",
        namespace="own",
        site="own",
    )
    indexed = walk.step("data index", cohort.index, index)
    prepared = walks.prepare(walk, out, "pool")
    # As many crops as the embedded pool has, however few the scans are.
    per_scan = max(size.crops_per_scan, round(size.crops_per_scan * size.pool_scans / max(1, _scans(out))))
    trained = walks.foundation(
        walk,
        out,
        per_scan=per_scan,
        steps=config.steps or size.steps,
        seed=config.seed,
        ranks=config.ranks,
    )
    loading = f"load it:   model, report = rnfm.foundation.load({str(trained.foundation)!r})"
    parts = ["", indexed.summary(), "", prepared.summary(), "", trained.summary(), _curve(trained.metrics), "", loading]
    return DemoResult(out, "\n".join([*parts, _ui(walks.tracking_uri(out))]))


def _curve(metrics: dict[str, float]) -> str:
    if "first_val/loss" not in metrics:
        return "no subjects were held out"
    return f"held-out loss fell from {metrics['first_val/loss']:.4f} before training to {metrics['val/loss']:.4f}"


def _scans(out: Path) -> int:
    import pandas as pd

    return len(pd.read_parquet(out / "volumes/pool/scans.parquet", columns=["scan"]))


def _digest(path: Path) -> str:
    from rnfm.core.artifact import Artifact

    return Artifact.open(path).digest[:12]


def _ui(uri: str) -> str:
    return f"compare:   {Path(sys.executable).parent / 'mlflow'} ui --backend-store-uri {uri}"


def _require_usable(config: DemoConfig) -> None:
    if config.masks is not None and config.scans is None:
        raise ConfigError("masks", "are given without scans", "Give --scans too")
    for folder in (config.scans, config.masks):
        if folder is not None and not folder.is_dir():
            raise ConfigError(folder, "no such folder", "Give a folder of NIfTI files")
    config.out.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(config.out).free < 3 * 2**30:
        raise DataError(config.out, "less than 3 GiB of disk are free", "Choose another --out")
