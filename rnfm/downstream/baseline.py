"""Baselines: hand-made features of the same lesions, learned and judged by the same protocol, in the same format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rnfm.core import artifact as artifacts
from rnfm.core.config import Config, Field, positional
from rnfm.downstream.baselines import NAMES, canonical_name, load
from rnfm.downstream.lineage import result_hash
from rnfm.downstream.summary import auc_lines


class BaselineConfig(Config):
    """Learn a baseline on labelled lesions and predict by the protocol of the split."""

    name: str = positional(f"the baseline: {', '.join(NAMES)}")
    volumes: list[Path] = Field(
        description="volume archives of the labelled cohorts (`rnfm data prepare`)", min_length=1
    )
    split: Path = Field(description="split artefact over these cohorts (`rnfm data split`)")
    out: Path = Field(description="folder for the predictions")
    protocols: list[Literal["holdout", "cv"]] = Field(
        ["holdout", "cv"], description="how to learn and judge", min_length=1
    )
    seed: int = Field(0, ge=0, description="seed of the inner folds that choose penalties")
    max_bad: float = Field(
        0.05, ge=0, le=1, description="part of the lesions that may lack a mask and are then left out"
    )
    cache: Path | None = Field(
        None, description="folder of features cached by content; default: .feature-cache beside `out`"
    )
    overwrite: bool = Field(False, description="replace predictions made with other settings or inputs")


@dataclass(frozen=True)
class BaselineResult:
    """`auc` is {method: {split: AUC}}."""

    path: Path
    fresh: bool
    lesions: int
    auc: dict[str, dict[str, float]]
    warnings: tuple[str, ...] = ()

    def summary(self) -> str:
        """Counts, the AUC of each method and split, what was left out."""
        head = f"{self.lesions} lesions predicted" if self.fresh else "up to date: nothing to do"
        return "\n".join([head, *auc_lines(self.auc), *self.warnings, f"next: rnfm evaluate {self.path}"])


def baseline(config: BaselineConfig) -> BaselineResult:
    """Run one baseline. Raises ConfigError (unknown name, other contract) or DataError (see `load_lesions`, `plan`)."""
    name = canonical_name(config.name)
    import pandas as pd

    from rnfm.downstream import predictions, protocol, tabular
    from rnfm.downstream.lesions import load_lesions
    from rnfm.downstream.splits import read_split

    split = read_split(config.split)
    lesions = load_lesions(config.volumes, max_bad=config.max_bad)
    settings = result_hash(config, "volumes", "split", "cache")
    inputs = {**lesions.inputs, "split": split.digest}
    warnings = tuple(f"left out: {reason}" for reason in lesions.left_out)
    if artifacts.current(config.out, predictions.KIND, settings, inputs):
        return BaselineResult(config.out, False, len(lesions), predictions.aucs(predictions.read(config.out)), warnings)
    artifacts.require_free(config.out, config.overwrite)
    fits = protocol.plan(lesions.table, split, config.protocols)
    chosen = load(name)
    features = chosen.features(lesions, config.cache or config.out.parent / ".feature-cache")
    data = tabular.guarded(lesions.table, features)
    parts = [
        protocol.rows_of(lesions.table, fit, probability, method=method, seed=config.seed)
        for method, make in chosen.methods.items()
        for fit, probability in protocol.run(fits, data, make(config.seed))
    ]
    frame = pd.concat(parts, ignore_index=True)
    lineage = {"config_hash": settings, "inputs": inputs, "patients": sorted(set(lesions.table["patient"]))}
    contract = {"methods": list(chosen.methods), "features": list(features.columns)}
    predictions.write(config.out, frame, contract=contract, lineage=lineage, overwrite=config.overwrite)
    return BaselineResult(config.out, True, len(lesions), predictions.aucs(frame), warnings)
