"""Fusion of image embeddings with the clinical table, and the image-only probe beside it.

    ssl_probe              embedding -> standardise -> PCA -> L2 logistic
    multimodal (joint)     [ that PCA | encoded clinical columns ] -> L2 logistic
    multimodal (late)      mean of the logits of ssl_probe and of clinical L2 logistic

The penalty is chosen by inner patient-grouped folds of each fit's training patients.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rnfm.core.config import Config, Field, positional
from rnfm.downstream.summary import auc_lines

Method = Literal["ssl_probe", "multimodal"]


class FuseConfig(Config):
    """Learn on embeddings and clinical columns, and predict by the protocol of the split."""

    embeddings: Path = positional("embeddings artefact (`rnfm embed`)")
    split: Path = Field(description="split artefact over the same cohorts (`rnfm data split`)")
    out: Path = Field(description="folder for the predictions")
    methods: list[Method] = Field(
        ["ssl_probe", "multimodal"], description="image-only probe; image and clinical columns together", min_length=1
    )
    fusion: Literal["joint", "late"] = Field(
        "joint", description="how multimodal joins: one model of both, or mean of two"
    )
    components: int = Field(
        8, ge=1, description="principal components of the embedding (fewer if a fit has few lesions)"
    )
    strengths: list[float] = Field(
        [0.003, 0.01, 0.03, 0.1, 0.3, 1.0],
        description="inverse strengths C of the L2 penalty to choose from",
        min_length=1,
    )
    protocols: list[Literal["holdout", "cv"]] = Field(
        ["holdout", "cv"], description="how to learn and judge", min_length=1
    )
    seed: int = Field(0, ge=0, description="seed of the inner folds")
    overwrite: bool = Field(False, description="replace predictions made with other settings or inputs")


@dataclass(frozen=True)
class FuseResult:
    """`auc` is {method: {split: AUC}}."""

    path: Path
    fresh: bool
    lesions: int
    auc: dict[str, dict[str, float]]

    def summary(self) -> str:
        """Counts, the AUC of each method and split."""
        head = f"{self.lesions} lesions predicted" if self.fresh else "up to date: nothing to do"
        return "\n".join([head, *auc_lines(self.auc), f"next: rnfm evaluate {self.path}"])


def fuse(config: FuseConfig) -> FuseResult:
    """Learn, judge and publish. Raises DataError for embeddings of another split, one class only, or no clinical value."""
    from rnfm.core import artifact as artifacts
    from rnfm.downstream import fusion, predictions, protocol
    from rnfm.downstream.lineage import result_hash
    from rnfm.downstream.splits import read_split

    embeddings, table = fusion.read_embeddings(config.embeddings)
    split = read_split(config.split)
    settings = result_hash(config, "embeddings", "split")
    inputs = {"embeddings": embeddings.digest, "split": split.digest, "foundation": embeddings.contract["foundation"]}
    if artifacts.current(config.out, predictions.KIND, settings, inputs):
        return FuseResult(config.out, False, len(table), predictions.aucs(predictions.read(config.out)))
    artifacts.require_free(config.out, config.overwrite)
    fits = protocol.plan(table, split, config.protocols)
    frame = fusion.predicted(config, table, fits, config.methods)
    lineage = {"config_hash": settings, "inputs": inputs, "patients": sorted(set(table["patient"]))}
    contract = {"methods": list(config.methods), "fusion": config.fusion}
    predictions.write(config.out, frame, contract=contract, lineage=lineage, overwrite=config.overwrite)
    return FuseResult(config.out, True, len(table), predictions.aucs(frame))
