"""What a reader must know before believing a number: sentences, each of one fact found in the tables."""

from __future__ import annotations

import math

import pandas as pd

from rnfm import stats
from rnfm.core.errors import nearest
from rnfm.report import judge, words

FEW, FEW_OF_A_CLASS = 30, 10
WANTED_AUC, WANTED_POWER = 0.75, 0.8
BASELINES = ("volume_only", "clinical_only", "radiomics")  # prefixes of method names


def cautions(pooled: pd.DataFrame, metrics: pd.DataFrame, compared: pd.DataFrame, reference: str) -> list[str]:
    """Sentences in the order: what cannot be said, how small it is, what looks off, what was not tried."""
    whole = metrics[metrics["site"] == judge.ALL]
    return [
        *_one_class(metrics),
        *_small(whole),
        *_edges(whole, compared),
        *_reference(whole, compared, reference),
        *_calibration(pooled, reference),
        *_baselines(whole),
    ]


def _one_class(metrics: pd.DataFrame) -> list[str]:
    places = judge.rows(metrics.drop_duplicates(["split", "site"]))
    whole = {row.split for row in places if row.site == judge.ALL and row.n_pos in (0, row.n)}
    found = []
    for row in places:
        if row.n_pos not in (0, row.n) or (row.site != judge.ALL and row.split in whole):
            continue
        where = words.SPLITS[row.split] + ("" if row.site == judge.ALL else f", site {row.site}")
        found.append(
            f"{where}: all {row.n} lesions have label {int(row.n_pos > 0)}, so no AUC, interval or test can be given; "
            f"Brier score and {'sensitivity' if row.n_pos else 'specificity'} are."
        )
    return found


def _small(whole: pd.DataFrame) -> list[str]:
    found = []
    for split in dict.fromkeys(whole["split"]):
        row = min(judge.rows(whole[whole["split"] == split]), key=lambda row: row.n)
        n_pos, n_neg = int(row.n_pos), int(row.n - row.n_pos)
        if min(n_pos, n_neg) == 0 or (row.n >= FEW and min(n_pos, n_neg) >= FEW_OF_A_CLASS):
            continue
        power = stats.power_auc(n_pos, n_neg, WANTED_AUC)
        weak = f"; a true AUC of {WANTED_AUC} would be told from 0.5 in {100 * power:.0f} % of samples of this size"
        found.append(
            f"{words.SPLITS[split]}: {row.n} lesions, {n_pos} of label 1. Intervals are wide{weak if power < WANTED_POWER else ''}."
        )
    return found


def _edges(whole: pd.DataFrame, compared: pd.DataFrame) -> list[str]:
    found = []
    for row in judge.rows(whole[whole["auc"].isin([0.0, 1.0])]):
        found.append(
            f"{words.SPLITS[row.split]}: {words.method(row.method)} ranks every lesion {'right' if row.auc else 'wrong'} (AUC {row.auc:.0f}). "
            "DeLong's variance is zero there; the logit interval puts a score interval in its place."
        )
    for row in (row for row in judge.rows(compared) if math.isinf(row.z)):
        found.append(
            f"{words.SPLITS[row.split]}: the variance of the difference of {words.method(row.method_a)} and {words.method(row.method_b)} is estimated as zero; "
            "their p value is an artefact of the small sample."
        )
    return found


def _reference(whole: pd.DataFrame, compared: pd.DataFrame, reference: str) -> list[str]:
    methods = list(dict.fromkeys(whole["method"]))
    if len(methods) == 1:
        return [f"Only {words.method(methods[0])} was judged, so there is nothing to compare it with."]
    if reference not in methods:
        hint = nearest(reference, methods)
        return [
            f"The reference {reference!r} has no predictions{hint}, so no comparison was made; there are {', '.join(methods)}."
        ]
    found = []
    for row in judge.rows(compared):
        sizes = whole[(whole["split"] == row.split) & whole["method"].isin([row.method_a, row.method_b])]["n"]
        if (sizes != row.n).any():
            found.append(
                f"{words.SPLITS[row.split]}: {words.method(row.method_a)} and {words.method(row.method_b)} are compared on the {row.n} lesions both judged."
            )
    return found


def _calibration(pooled: pd.DataFrame, reference: str) -> list[str]:
    found = []
    for split in judge.splits_of(pooled):
        cell = pooled[(pooled["split"] == split) & (pooled["method"] == reference)]
        if cell["label"].nunique() < 2 or len(cell) < FEW:
            continue
        fit = stats.calibration(cell["label"].to_numpy(), cell["probability"].to_numpy())
        if not 0.5 <= fit.slope <= 2 or abs(fit.intercept) > 1:
            found.append(
                f"{words.SPLITS[split]}: probabilities of {words.method(reference)} are off (calibration slope {fit.slope:.2f}, intercept "
                f"{fit.intercept:+.2f}; 1 and 0 are right). Read them as a ranking."
            )
    return found


def _baselines(whole: pd.DataFrame) -> list[str]:
    methods = set(whole["method"])
    absent = [name for name in BASELINES if not any(method.startswith(name) for method in methods)]
    if not absent or len(methods) == 1:
        return []
    return [f"Not judged beside it: {', '.join(map(words.method, absent))}. A simpler method might do as well."]
