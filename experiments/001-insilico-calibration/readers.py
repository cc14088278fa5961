"""What each reader makes of a table of lesions: an AUC with its interval, out of fold where anything is fitted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from rnfm import stats
from rnfm.core import keyed
from rnfm.downstream.tabular import STRENGTHS, Rows, fit_best, logistic, standardised

FOLDS = 5
Columns = dict[str, NDArray[Any]]
FITTED = ("clinical", "radiomics")
PLAIN = ("volume", "mean", "oracle")


def area(label: NDArray[Any], score: NDArray[Any]) -> dict[str, Any]:
    """AUC with DeLong's 95% interval."""
    value, low, high = stats.auc_ci(label, score)
    return {"auc": round(value, 4), "low": round(low, 4), "high": round(high, 4)}


def plain(columns: Columns) -> dict[str, dict[str, Any]]:
    """Readers that fit nothing: the number itself is the score."""
    return {name: area(columns["label"], columns[name]) for name in PLAIN}


def cross_validated(columns: Columns, seed: int) -> dict[str, dict[str, Any]]:
    """L2 logistic regression, its strength chosen inside, out of fold; every lesion is a patient of its own."""
    out = {}
    for name in FITTED:
        score = np.empty(len(columns["label"]))
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(columns["label"], columns["label"])
        for fold, (learn, judge) in enumerate(folds):
            score[judge] = _fitted(columns, columns, name, learn=learn, judge=judge, key=(seed, fold))
        out[name] = area(columns["label"], score)
    return out


def external(home: Columns, away: Columns, seed: int) -> dict[str, dict[str, Any]]:
    """Fitted on all of one site, judged on all of the other."""
    both = (np.arange(len(home["label"])), np.arange(len(away["label"])))
    return {
        name: area(away["label"], _fitted(home, away, name, learn=both[0], judge=both[1], key=(seed, -1)))
        for name in FITTED
    }


def _fitted(
    home: Columns, away: Columns, name: str, *, learn: NDArray[Any], judge: NDArray[Any], key: tuple[int, int]
) -> NDArray[np.float64]:
    """Scores of `away`'s rows `judge` by the product's own L2 baseline, fitted on `home`'s rows `learn`."""
    trained = _rows(home, name, learn)
    model = fit_best(lambda: standardised(trained.features), logistic(STRENGTHS), trained, keyed.seed64(*key))
    return model.predict_proba(_rows(away, name, judge).features)[:, 1]


def _rows(columns: Columns, name: str, rows: NDArray[Any]) -> Rows:
    patient = np.array([f"P{row}" for row in rows])
    return Rows(pd.DataFrame(columns[name][rows]), columns["label"][rows].astype(np.int64), patient)
