"""Methods on tables: a view of rows, inner patient-grouped folds, and a choice among candidates that sees training rows only.

Everything that is fitted (imputation, scaling, selection, strength of the penalty, calibration) is inside one scikit-learn
estimator, built anew for each fit, so that nothing outlives a fold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rnfm.core import keyed
from rnfm.core.errors import DataError
from rnfm.downstream.protocol import Fit, Guarded

if TYPE_CHECKING:
    from rnfm.downstream.lesions import Lesions

INNER_FOLDS = 5
STRENGTHS = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""Grid of C, the inverse strength of an L2 penalty on standardised features."""


@dataclass(frozen=True)
class Rows:
    """A method's view of some lesions: features (one row each), label 0/1, patient code."""

    features: pd.DataFrame
    label: np.ndarray
    patient: np.ndarray


Scorer = Callable[[Rows], np.ndarray]
Learn = Callable[[Rows, Fit], Scorer]


@dataclass(frozen=True)
class Baseline:
    """What one file of `baselines/` offers: its features, and the methods that learn from them, made for a seed."""

    features: Callable[[Lesions, Path], pd.DataFrame]
    methods: dict[str, Callable[[int], Learn]]


def guarded(table: pd.DataFrame, features: pd.DataFrame) -> Guarded[Rows]:
    """`features` (row for row with `table`) behind the protocol's guard."""
    label, patient = table["label"].to_numpy(np.int64), table["patient"].to_numpy(str)
    return Guarded(list(patient), lambda rows: Rows(features.iloc[rows], label[rows], patient[rows]))


def grouped_folds(rows: Rows, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(learn, judge) positions of up to INNER_FOLDS inner folds: whole patients, both classes on each side of every fold.

    Raises DataError if a class has fewer than two patients.
    """
    positive = pd.Series(rows.label).groupby(rows.patient).max()
    groups = [np.sort(positive.index[positive == value].to_numpy(str)) for value in (0, 1)]
    folds = min(INNER_FOLDS, *(len(group) for group in groups))
    if folds < 2:
        raise DataError(
            "inner cross-validation", "a class has fewer than two patients to learn from", "Label more patients of it"
        )
    fold_of: dict[str, int] = {}
    for value, group in enumerate(groups):
        order = keyed.rng(seed, "inner", value).permutation(group)
        fold_of |= {patient: i % folds for i, patient in enumerate(order)}
    fold = np.array([fold_of[patient] for patient in rows.patient])
    return [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(folds)]


def log_loss(label: np.ndarray, probability: np.ndarray) -> float:
    """Mean negative log-likelihood, probabilities kept 1e-6 away from 0 and 1."""
    p = np.clip(probability, 1e-6, 1 - 1e-6)
    return float(-np.mean(label * np.log(p) + (1 - label) * np.log(1 - p)))


def fit_best(prepare: Callable[[], Any], heads: Sequence[Any], rows: Rows, seed: int) -> Any:
    """`prepare()` followed by that one of `heads` with the least out-of-fold log loss over inner folds, fitted on all `rows`.

    Log loss and not AUC: it is proper, and its pooled value does not depend on how folds shift the intercept. The
    transformer is fitted once an inner fold for all heads, which are scikit-learn classifiers and stay as they were.
    """
    from sklearn.base import clone
    from sklearn.pipeline import make_pipeline

    best = 0
    if len(heads) > 1:
        out_HN = np.empty((len(heads), len(rows.label)))
        for learn, judge in grouped_folds(rows, seed):
            transformer = prepare()
            learned = transformer.fit_transform(rows.features.iloc[learn], rows.label[learn])
            judged = transformer.transform(rows.features.iloc[judge])
            for i, head in enumerate(heads):
                out_HN[i, judge] = clone(head).fit(learned, rows.label[learn]).predict_proba(judged)[:, 1]
        best = int(np.argmin([log_loss(rows.label, out_N) for out_N in out_HN]))
    return make_pipeline(prepare(), clone(heads[best])).fit(rows.features, rows.label)


def chosen(prepare: Callable[[pd.DataFrame], Any], strengths: Sequence[float] = STRENGTHS) -> Callable[[int], Learn]:
    """A method: L2 logistic regression on `prepare(features)`, its penalty chosen by inner cross-validation.

    `prepare` makes an unfitted transformer; from the table that it gets it may take the types of columns only.
    """

    def make(seed: int) -> Learn:
        def learn(rows: Rows, fit: Fit) -> Scorer:
            key = keyed.seed64(seed, fit.protocol, fit.fold)
            model = fit_best(lambda: prepare(rows.features), logistic(strengths), rows, key)
            return lambda test: model.predict_proba(test.features)[:, 1]

        return learn

    return make


def logistic(strengths: Sequence[float]) -> list[Any]:
    """L2 logistic regressions with these inverse strengths C."""
    from sklearn.linear_model import LogisticRegression

    return [LogisticRegression(C=strength, max_iter=2000) for strength in strengths]


def standardised(features: pd.DataFrame) -> Any:
    """Median imputation, then zero mean and unit variance; unfitted."""
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())
