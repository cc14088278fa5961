"""`rnfm evaluate`: predictions of any number of methods -> metrics with intervals, paired tests, curves.

    evaluation/  metrics.csv      one row a (method, split, site)
                 comparisons.csv  the reference against every other method, paired, Holm within a split
                 curves.json      ROC points and calibration bins

Seeds and repeats of one method are averaged a lesion before any metric.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rnfm.core import artifact as artifacts
from rnfm.core import files
from rnfm.core.artifact import Artifact
from rnfm.core.config import Config, Field, positional
from rnfm.core.errors import DataError

if TYPE_CHECKING:
    from rnfm.report.gather import Gathered

KIND, VERSION = "evaluation", 1


class EvaluateConfig(Config):
    """Judge predictions: AUC with intervals, Brier score, paired tests against a reference."""

    predictions: list[Path] = positional("predictions artefacts, or folders that hold one as predictions/")
    out: Path = Field(description="folder of the evaluation to write")
    overwrite: bool = Field(False, description="replace an evaluation made with other settings or inputs")
    reference: str = Field("ssl_vit", description="method that all others are compared with")
    threshold: float = Field(0.5, ge=0, le=1, description="probability from which a lesion is called label 1")
    level: float = Field(0.95, gt=0, lt=1, description="confidence level of every interval")
    interval: Literal["logit", "delong"] = Field(
        "logit",
        description="DeLong's error on the logit scale (covers at small n), or symmetric and clipped (as pROC prints)",
    )
    bootstrap: int = Field(2000, ge=100, description="replicates of the patient-cluster bootstrap")
    seed: int = Field(0, description="seed of the bootstrap")
    tracking: str | None = Field(
        None, description="MLflow tracking URI: log a run and write the AUCs to the registered models; none: do not"
    )


@dataclass(frozen=True)
class EvaluateResult:
    """Where the evaluation stands, and what it says."""

    path: Path
    lines: tuple[str, ...]
    warnings: tuple[str, ...]
    fresh: bool = True

    def summary(self) -> str:
        head = f"evaluation {'written to' if self.fresh else 'up to date at'} {self.path}"
        cautions = [f"warning: {sentence}" for sentence in self.warnings]
        return "\n".join([head, "", *self.lines, "", *cautions, f"next: rnfm report {self.path} --out report"])


def evaluate(config: EvaluateConfig) -> EvaluateResult:
    """Write the evaluation artefact. Raises ConfigError, IntegrityError, or DataError (one class everywhere; contradictions)."""
    from rnfm.report.gather import gather

    gathered = gather(config.predictions)
    settings = _hash(config)
    standing = artifacts.current(config.out, KIND, settings, gathered.inputs())
    if standing is None:
        artifacts.require_free(config.out, config.overwrite)
        _write(config, gathered, settings)
    result = describe(Artifact.open(config.out, KIND, VERSION), fresh=standing is None)
    if config.tracking is None:
        return result
    from rnfm.report.record import record

    told = record(config.tracking, Artifact.open(config.out, KIND, VERSION), gathered, config.reference)
    return EvaluateResult(
        result.path, (*result.lines, "", *told.lines), (*result.warnings, *told.warnings), result.fresh
    )


def describe(artifact: Artifact, *, fresh: bool) -> EvaluateResult:
    """The result as read from a standing evaluation."""
    from rnfm.report import table

    metrics, compared = read_tables(artifact)
    lines = table.metrics_lines(metrics)
    tests = table.comparison_lines(compared)
    return EvaluateResult(
        artifact.path, (*lines, *([""] if tests else []), *tests), tuple(artifact.contract["warnings"]), fresh
    )


def read_tables(artifact: Artifact) -> tuple[Any, Any]:
    """(metrics, comparisons) as data frames; names stay text even if a site is called 1 or NA."""
    import pandas as pd

    names = {"method": str, "split": str, "site": str, "method_a": str, "method_b": str}
    return tuple(  # type: ignore[return-value]
        pd.read_csv(artifact.file(file), dtype=names, keep_default_na=False, na_values=[""])
        for file in ("metrics.csv", "comparisons.csv")
    )


def _write(config: EvaluateConfig, gathered: Gathered, settings: str) -> None:
    from rnfm.report import judge
    from rnfm.report.caution import cautions

    pooled = gathered.pooled
    if all(part["label"].nunique() < 2 for _, part in pooled.groupby(["method", "split"])):
        only = int(pooled["label"].iloc[0])
        same = f"every split of every method holds lesions of one class only (label {only} among them)"
        raise DataError("predictions", same, "Judge a cohort that holds both classes")
    metrics = judge.metrics(
        pooled,
        reference=config.reference,
        threshold=config.threshold,
        level=config.level,
        interval=config.interval,
        bootstrap=config.bootstrap,
        seed=config.seed,
    )
    compared = judge.comparisons(pooled, config.reference)
    curves = judge.curves(pooled, reference=config.reference, threshold=config.threshold)
    contract = {
        **{
            name: getattr(config, name) for name in ("reference", "threshold", "level", "interval", "bootstrap", "seed")
        },
        "methods": judge.methods_of(pooled, config.reference),
        "splits": judge.splits_of(pooled),
        "cohort": judge.cohort(pooled),
        "warnings": cautions(pooled, metrics, compared, config.reference),
    }
    lineage = {
        "config_hash": settings,
        "inputs": gathered.inputs(),
        "test_patients": gathered.test_patients(),
        "made_by": made_by(gathered),
    }
    with artifacts.publish(
        config.out, KIND, VERSION, contract=contract, lineage=lineage, overwrite=config.overwrite
    ) as draft:
        files.write_text(draft.path / "metrics.csv", metrics.to_csv(index=False))
        files.write_text(draft.path / "comparisons.csv", compared.to_csv(index=False))
        files.write_json(draft.path / "curves.json", curves)


def made_by(gathered: Gathered) -> dict[str, dict[str, str]]:
    """{role: {method: digest}} of the foundations and classifiers behind the predictions, as their lineage names them."""
    found: dict[str, dict[str, str]] = {"foundation": {}, "classifier": {}}
    for artifact in gathered.artifacts:
        methods = set(gathered.rows.loc[gathered.rows["source"] == str(artifact.path), "method"])
        for role, by_method in found.items():
            digest = artifact.lineage.get("inputs", {}).get(role)
            if digest:
                by_method.update(dict.fromkeys(sorted(methods), digest))
    return found


def _hash(config: EvaluateConfig) -> str:
    tree = config.as_dict()
    for key in ("out", "overwrite", "predictions", "tracking"):
        del tree[key]
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()
