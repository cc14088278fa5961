"""Estimators of `rnfm fuse` on one table: columns `e0` ... of the embedding, then `clinical_*`.

A fit gets training rows only, and every step (scaling, PCA, imputation, one-hot, penalty) is inside the estimator.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from rnfm.core import keyed
from rnfm.core.artifact import Artifact
from rnfm.core.errors import DataError
from rnfm.downstream import predictions, protocol
from rnfm.downstream.calibrate import sigmoid
from rnfm.downstream.clinical import PREFIX, clinical_features, encoder
from rnfm.downstream.embed import FILE, KIND, VERSION
from rnfm.downstream.protocol import Fit, Guarded
from rnfm.downstream.splits import read_split
from rnfm.downstream.tabular import Learn, Rows, Scorer, fit_best, guarded, logistic

if TYPE_CHECKING:
    from rnfm.downstream.fuse import FuseConfig

EMBEDDING = "e"


def read_embeddings(path: Path) -> tuple[Artifact, pd.DataFrame]:
    """The artefact and its labelled rows, `embedding` as arrays. Raises DataError if a class is missing."""
    artifact = Artifact.open(path, KIND, VERSION)
    table = pd.read_parquet(artifact.file(FILE))
    table = table[table["label"].notna()].sort_values("lesion", kind="stable").reset_index(drop=True)
    if table["label"].nunique() < 2:
        only = "no labelled lesion" if table.empty else f"only label {int(table['label'].iloc[0])}"
        raise DataError(path, f"holds {only}", "Embed a cohort with both outcomes")
    return artifact, table


def guarded_rows(table: pd.DataFrame, *, clinical: bool, thing: object) -> Guarded[Rows]:
    """Embedding columns, and with `clinical` the clinical ones, behind the protocol's guard."""
    vectors_NE = np.stack([np.asarray(vector, dtype=np.float64) for vector in table["embedding"]])
    if not np.isfinite(vectors_NE).all():
        raise DataError(thing, "an embedding holds values that are no numbers", "Embed again with a sound foundation")
    features = pd.DataFrame(vectors_NE, columns=[f"{EMBEDDING}{i}" for i in range(vectors_NE.shape[1])])
    if clinical:
        features = pd.concat([features, clinical_features(table, thing)], axis=1)
    return guarded(table, features)


def predicted(config: FuseConfig, table: pd.DataFrame, fits: Sequence[Fit], methods: Sequence[str]) -> pd.DataFrame:
    """Prediction rows of `methods` for `fits` over `table`."""
    data = guarded_rows(table, clinical="multimodal" in methods, thing=config.embeddings)
    parts = [
        protocol.rows_of(table, fit, probability, method=method, seed=config.seed)
        for method in methods
        for fit, probability in protocol.run(fits, data, learner(config, method))
    ]
    return pd.concat(parts, ignore_index=True)


def out_of_fold_auc(config: FuseConfig, name: str) -> float:
    """AUC of the out-of-fold predictions of protocol `name` by the last of the methods."""
    _, table = read_embeddings(config.embeddings)
    fits = protocol.plan(table, read_split(config.split), [name])
    method = config.methods[-1]
    return predictions.aucs(predicted(config, table, fits, [method]))[method][name]


def learner(config: FuseConfig, method: str) -> Learn:
    """What `rnfm.downstream.protocol.run` calls for `method`."""

    def learn(rows: Rows, fit: Fit) -> Scorer:
        seed = keyed.seed64(config.seed, fit.protocol, fit.fold)
        image = [name for name in rows.features.columns if not name.startswith(PREFIX)]
        clinical = rows.features.drop(columns=image)
        # The least inner fold that learns has half of the rows, and PCA needs one more row than components.
        count = max(1, min(config.components, len(image), len(rows.label) // 2 - 1))

        def fitted(image: list[str], clinical: pd.DataFrame | None) -> Scorer:
            best = fit_best(lambda: transformer(image, clinical, count), logistic(config.strengths), rows, seed)
            return lambda test: cast(np.ndarray, best.predict_proba(test.features)[:, 1])

        if method == "ssl_probe":
            return fitted(image, None)
        if config.fusion == "joint":
            return fitted(image, clinical)
        of_image, of_clinical = fitted(image, None), fitted([], clinical)
        return lambda test: sigmoid((_logit(of_image(test)) + _logit(of_clinical(test))) / 2)

    return learn


def transformer(image: list[str], clinical: pd.DataFrame | None, components: int) -> Any:
    """Principal components of the `image` columns and the encoded clinical columns, side by side; unfitted.

    Components are whitened, so that they and the clinical columns in -1..1 weigh alike under one penalty.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    parts: list[tuple[str, Any, list[str]]] = []
    if image:
        pca = PCA(components, whiten=True, svd_solver="full")
        parts.append(("image", make_pipeline(StandardScaler(), pca), image))
    if clinical is not None:
        parts.append(("clinical", encoder(clinical), list(clinical.columns)))
    return ColumnTransformer(parts)


def _logit(p: np.ndarray) -> np.ndarray:
    p = np.clip(p, 1e-9, 1 - 1e-9)
    return np.log(p) - np.log1p(-p)
