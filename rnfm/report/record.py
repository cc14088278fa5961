"""What an evaluation leaves in MLflow: a run of `rnfm/evaluate`, and AUC tags on the registered models it judged.

    rnfm-foundation, rnfm-classifier: version tags auc/<split>, auc_low/<split>, auc_high/<split>, method, predictions

A foundation is judged by the method that stands on it: the reference if it is among them, else the first by name. A store
that does not answer costs a warning, never the evaluation.
"""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rnfm.core.artifact import Artifact
from rnfm.report import judge
from rnfm.report.evaluate import read_tables

if TYPE_CHECKING:
    import pandas as pd

    from rnfm.report.gather import Gathered

SPOOL = ".rnfm-spool"


@dataclass(frozen=True)
class Told:
    lines: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def record(uri: str, evaluation: Artifact, gathered: Gathered, reference: str) -> Told:
    """Log the run, then tag the versions whose digest matches."""
    from rnfm import tracking

    metrics, _ = read_tables(evaluation)
    whole = metrics[(metrics["site"] == judge.ALL) & metrics["auc"].notna()]
    # A folder of its own an evaluation: spools that lie together are taken for one run that was started again.
    spool = evaluation.path.parent / f"{SPOOL}-{evaluation.digest[:12]}"
    config = tracking.TrackingConfig(uri=uri)
    params = {key: value for key, value in evaluation.contract.items() if key != "warnings"}
    tags = {"evaluation": evaluation.digest, **evaluation.lineage["inputs"]}
    with tracking.start(
        config, stage="evaluate", name=evaluation.path.name, params=params, tags=tags, folder=spool
    ) as run:
        run.log_metrics({f"auc/{row.method}/{row.split}": row.auc for row in judge.rows(whole)})
    if not any(spool.glob("tracking-*.jsonl")):  # all delivered, so nothing of it is needed here
        shutil.rmtree(spool, ignore_errors=True)
    try:
        return Told(lines=tuple(_tag(uri, evaluation, gathered, whole, reference)))
    except Exception as error:  # whatever a database or a server may raise
        return Told(
            warnings=(f"AUCs were not written to the model registry ({type(error).__name__}); run again later.",)
        )


def _tag(uri: str, evaluation: Artifact, gathered: Gathered, whole: pd.DataFrame, reference: str) -> list[str]:
    from rnfm import tracking

    store = tracking.client(uri)
    lines = []
    for role, name in (("foundation", tracking.FOUNDATION), ("classifier", tracking.CLASSIFIER)):
        by_digest: dict[str, list[str]] = {}
        for method, digest in evaluation.lineage["made_by"][role].items():
            by_digest.setdefault(digest, []).append(method)
        for version in store.search_model_versions(f"name='{name}'"):
            methods = by_digest.get(version.tags.get("digest", ""))
            if not methods:
                continue
            method = reference if reference in methods else sorted(methods)[0]
            for key, value in auc_tags(whole[whole["method"] == method]).items():
                store.set_model_version_tag(name, version.version, key, value)
            store.set_model_version_tag(name, version.version, "method", method)
            store.set_model_version_tag(name, version.version, "predictions", _source(gathered, method))
            lines.append(f"registered: AUCs of {method} on {name} version {version.version}")
    return lines


def auc_tags(rows: pd.DataFrame) -> dict[str, str]:
    """Version tags of one method's rows; what is not defined has no tag."""
    tags = {}
    for row in judge.rows(rows):
        for key in ("auc", "auc_low", "auc_high"):
            value = float(getattr(row, key))
            if math.isfinite(value):
                tags[f"{key}/{row.split}"] = f"{value:.6f}"
    return tags


def _source(gathered: Gathered, method: str) -> str:
    """The artefacts that hold the method's predictions (its seeds may lie in several), one path a line."""
    rows = gathered.rows
    return "\n".join(sorted({str(Path(source).absolute()) for source in rows.loc[rows["method"] == method, "source"]}))
