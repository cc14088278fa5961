"""From pooled predictions to numbers: metrics a cell, paired comparisons, curves. Pure functions of tables.

A cell is (method, split, site); site `all` is the whole split. Where a cell holds one class only, what needs both is NaN
and everything else is still given. Intervals and tests count a patient once, however many lesions it has.
"""

from __future__ import annotations

import contextlib
import math
from typing import Any, Literal

import numpy as np
import pandas as pd

from rnfm import stats
from rnfm.core.errors import DataError

ALL = "all"
SPLITS = ("holdout", "external", "cv")
METRICS = (
    "method", "split", "site", "n", "n_pos", "auc", "auc_low", "auc_high", "boot_low", "boot_high",
    "brier", "sensitivity", "specificity",
)  # fmt: skip
COMPARISONS = ("split", "method_a", "method_b", "n", "auc_a", "auc_b", "z", "p", "p_holm")


def methods_of(pooled: pd.DataFrame, reference: str) -> list[str]:
    """Method names, the reference first, the others in alphabetical order."""
    return sorted(set(pooled["method"]), key=lambda name: (name != reference, name))


def splits_of(pooled: pd.DataFrame) -> list[str]:
    return [split for split in SPLITS if (pooled["split"] == split).any()]


def rows(frame: pd.DataFrame) -> list[Any]:
    """The rows as named tuples."""
    return list(frame.itertuples(index=False))


def cohort(pooled: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Who was judged, a split: counts of lesions, of label 1 and of patients, and the names of the sites."""
    found = {}
    for split in splits_of(pooled):
        part = pooled[pooled["split"] == split].drop_duplicates("lesion")
        counts = {"lesions": len(part), "positive": int(part["label"].sum()), "patients": part["patient"].nunique()}
        found[split] = {**counts, "sites": sorted(set(part["site"]))}
    return found


def metrics(
    pooled: pd.DataFrame,
    *,
    reference: str,
    threshold: float,
    level: float,
    interval: Literal["delong", "logit"],
    bootstrap: int,
    seed: int,
) -> pd.DataFrame:
    """`metrics.csv`: one row a cell; sites stand apart only where a split has several."""
    cells = []
    for method in methods_of(pooled, reference):
        for split in splits_of(pooled):
            cell = pooled[(pooled["method"] == method) & (pooled["split"] == split)]
            sites = sorted(set(cell["site"]))
            for site in [ALL, *(sites if len(sites) > 1 else [])] if len(cell) else []:
                part = cell if site == ALL else cell[cell["site"] == site]
                areas = _areas(part, level=level, interval=interval, bootstrap=bootstrap, seed=seed)
                cells.append({"method": method, "split": split, "site": site, **areas, **_rates(part, threshold)})
    return pd.DataFrame(cells, columns=list(METRICS))


def comparisons(pooled: pd.DataFrame, reference: str) -> pd.DataFrame:
    """`comparisons.csv`: the reference against each other method on the lesions both judged; Holm within a split."""
    found = []
    for split in splits_of(pooled):
        tests = [
            paired(pooled, split, reference, other)
            for other in methods_of(pooled, reference)
            if other != reference and (pooled["method"] == reference).any()
        ]
        table = pd.DataFrame([test for test in tests if test["n"]], columns=list(COMPARISONS))
        table["p_holm"] = stats.holm(table["p"].to_numpy(dtype=float)) if len(table) else np.nan
        found.append(table)
    filled = [table for table in found if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=list(COMPARISONS))


def paired(pooled: pd.DataFrame, split: str, method_a: str, method_b: str) -> dict[str, Any]:
    """Paired DeLong test of two methods on their common lesions; NaN where a class is missing or stands alone."""
    part = pooled[pooled["split"] == split]
    a, b = (part[part["method"] == name].set_index("lesion") for name in (method_a, method_b))
    common = a.index.intersection(b.index).sort_values()
    return {
        "split": split,
        "method_a": method_a,
        "method_b": method_b,
        **paired_scores(a.loc[common], b.loc[common]["probability"]),
    }


def paired_scores(a: pd.DataFrame, b: pd.Series) -> dict[str, Any]:
    """`a`: rows with label, patient, probability; `b`: the other probabilities of the same lesions, in the same order."""
    y, score_a, score_b = a["label"].to_numpy(), a["probability"].to_numpy(), b.to_numpy()
    found: dict[str, Any] = {"n": len(a), "auc_a": math.nan, "auc_b": math.nan, "z": math.nan, "p": math.nan}
    if len(set(y)) == 2:
        found.update(auc_a=stats.auc(y, score_a), auc_b=stats.auc(y, score_b))
        with contextlib.suppress(DataError):  # one case of a class: the areas stand, the test cannot be made
            found["z"], found["p"] = stats.delong_test(y, score_a, score_b, groups=a["patient"].to_numpy())
    return found


def curves(pooled: pd.DataFrame, *, reference: str, threshold: float) -> dict[str, list[dict[str, Any]]]:
    """`curves.json`: ROC points and calibration a (method, split) that holds both classes."""
    found: dict[str, list[dict[str, Any]]] = {"roc": [], "calibration": []}
    for split in splits_of(pooled):
        for method in methods_of(pooled, reference):
            cell = pooled[(pooled["method"] == method) & (pooled["split"] == split)]
            if cell["label"].nunique() < 2:
                continue
            y, p = cell["label"].to_numpy(), cell["probability"].to_numpy()
            curve, fit, called = stats.roc_curve(y, p), stats.calibration(y, p, bins=5), p >= threshold
            name = {"method": method, "split": split}
            point = [float(called[y == 0].mean()), float(called[y == 1].mean())]
            found["roc"].append({**name, "fpr": curve.fpr.tolist(), "tpr": curve.tpr.tolist(), "point": point})
            bins = [[part.predicted, part.observed, part.low, part.high, part.n] for part in fit.bins]
            fitted = {"slope": _finite(fit.slope), "intercept": _finite(fit.intercept), "bins": bins}
            found["calibration"].append({**name, **fitted})
    return found


def _areas(
    cell: pd.DataFrame, *, level: float, interval: Literal["delong", "logit"], bootstrap: int, seed: int
) -> dict[str, Any]:
    y, p, patient = cell["label"].to_numpy(), cell["probability"].to_numpy(), cell["patient"].to_numpy()
    found: dict[str, Any] = {"n": len(y), "n_pos": int(y.sum()), **dict.fromkeys(METRICS[5:10], math.nan)}
    if len(set(y)) < 2:
        return found
    found["auc"] = stats.auc(y, p)
    with contextlib.suppress(DataError):  # `delong` with one case of a class
        _, found["auc_low"], found["auc_high"] = stats.auc_ci(y, p, level, interval, patient)
    if min(y.sum(), len(y) - y.sum()) > 1:
        _, low, high = stats.auc_ci(y, p, level, "bootstrap", patient, seed, bootstrap)
        found.update(boot_low=low, boot_high=high)
    return found


def _rates(cell: pd.DataFrame, threshold: float) -> dict[str, float]:
    y, p = cell["label"].to_numpy(), cell["probability"].to_numpy()
    called = p >= threshold
    return {
        "brier": stats.brier(y, p),
        "sensitivity": float(called[y == 1].mean()) if (y == 1).any() else math.nan,
        "specificity": float((~called)[y == 0].mean()) if (y == 0).any() else math.nan,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
