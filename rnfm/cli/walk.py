"""What the two demos share: running stages one after another, and the part from prepared scans to a foundation."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rnfm.core import files
from rnfm.core.artifact import Artifact
from rnfm.core.config import Config
from rnfm.core.errors import RnfmError

if TYPE_CHECKING:
    from rnfm.pretrain import PretrainConfig, PretrainResult
    from rnfm.volume import PrepareResult

ConfigT = TypeVar("ConfigT", bound=Config)
ResultT = TypeVar("ResultT")

SPACING_MM = 2.0
CROP_VOX = 24
PATCH_VOX = 6
MODEL = "vit_micro"


@dataclass(frozen=True)
class Size:
    """What the minutes of a demo allow."""

    pool_scans: int
    site_a_lesions: int
    site_b_lesions: int
    crops_per_scan: int
    steps: int
    epochs: int
    folds: int
    trials: int


# The paper's two centres (109 and 28 lesions); a pool and a training that two cores carry in a minute.
FULL = Size(
    pool_scans=64, site_a_lesions=109, site_b_lesions=28, crops_per_scan=16, steps=600, epochs=10, folds=5, trials=4
)
QUICK = Size(
    pool_scans=8, site_a_lesions=20, site_b_lesions=10, crops_per_scan=8, steps=12, epochs=2, folds=2, trials=4
)


class Walk:
    """Runs stages one after another, and says how long each took and what came of it."""

    def __init__(self, total: int) -> None:
        self.total, self.done = total, 0
        self._begin = time.monotonic()

    def step(self, label: str, stage: Callable[[ConfigT], ResultT], config: ConfigT) -> ResultT:
        """Call the stage; the first line of its summary is shown."""
        self.done += 1
        print(f"[{self.done:2}/{self.total}] {label}", flush=True)
        start = time.monotonic()
        result = stage(config)
        first = str(getattr(result, "summary")()).strip().split("\n")[0]  # noqa: B009 - a result is any class with summary()
        print(f"        {time.monotonic() - start:6.1f} s  {first[:110]}", flush=True)
        return result

    def minutes(self) -> float:
        return (time.monotonic() - self._begin) / 60


def prepare(walk: Walk, out: Path, name: str) -> PrepareResult:
    """Canonical volumes of one cohort of the demo."""
    from rnfm import volume

    config = volume.PrepareConfig(
        cohort=out / "cohorts" / name,
        keys=out / "keys.csv",
        out=out / "volumes" / name,
        spacing_mm=(SPACING_MM,) * 3,
        workers=2,
    )
    return walk.step(f"data prepare {name}", volume.prepare, config)


def foundation(walk: Walk, out: Path, *, per_scan: int, steps: int, seed: int, ranks: int) -> PretrainResult:
    """Split the pool, cut it, verify the shards, pre-train under torchrun."""
    from rnfm import archive, cohort, pretrain

    split = cohort.SplitConfig(cohorts=[out / "cohorts/pool"], out=out / "pool_split", holdout=0.2, folds=2, seed=seed)
    walk.step("data split (subjects held out of pre-training)", cohort.split, split)
    shard = archive.ShardConfig(
        volumes=out / "volumes/pool",
        split=split.out,
        out=out / "shards",
        crop=(CROP_VOX,) * 3,
        per_scan=per_scan,
        seed=seed,
    )
    walk.step("data shard", archive.shard, shard)
    walk.step("data verify", archive.verify, archive.VerifyConfig(path=shard.out, deep=True))
    run = pretrain.PretrainConfig.model_validate({
        "shards": shard.out, "out": out / "run", "global_batch": 32, "steps": steps, "seed": seed,
        "model": {"name": MODEL, "patch": PATCH_VOX}, "optim": {"lr": 2e-3}, "objective_options": {"normalise": True},
        "validate_every": 60, "checkpoint_every": 60, "tracking": {"uri": tracking_uri(out)},
    })  # fmt: skip
    return walk.step(f"pretrain (torchrun, {ranks} ranks)", lambda config: launched(config, ranks), run)


def launched(config: PretrainConfig, ranks: int) -> PretrainResult:
    """The real launch: torchrun and one process a rank, as on a node of a cluster."""
    from rnfm import pretrain

    file, log = config.out.with_suffix(".yaml"), config.out.with_suffix(".log")
    files.write_text(file, config.as_yaml())
    torchrun = str(Path(sys.executable).parent / "torchrun")
    command = [torchrun, "--standalone", f"--nproc-per-node={ranks}", "-m", "rnfm", "pretrain", "--config", str(file)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // ranks))}
    with open(log, "a") as sink:
        code = subprocess.run(command, stdout=sink, stderr=subprocess.STDOUT, env=environment).returncode
    if code != 0:
        said = [line for line in log.read_text().splitlines() if line.startswith("rnfm: ")]
        raise RnfmError("pretrain", f"ended with code {code}: {said[-1] if said else 'see its log'}", f"Read {log}")
    made = Artifact.open(config.out / "foundation", "foundation")
    lineage: dict[str, Any] = made.lineage
    return pretrain.PretrainResult(config.out, made.path, lineage["steps"], lineage["metrics"], lineage["run_id"])


def tracking_uri(out: Path) -> str:
    return f"sqlite:///{out / 'mlflow.db'}"
