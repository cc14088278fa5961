"""Names and sentences of the report: how a method, a split and a result are said to a reader."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from rnfm.report import judge
from rnfm.viz.html import number, p_value

SPLITS = {"holdout": "Hold-out", "external": "External centre", "cv": "Cross-validation"}
SPLIT_MEANING = {
    "holdout": "patients of the training centre, set aside before training",
    "external": "a centre that no model was fitted on",
    "cv": "out of fold over training and hold-out patients",
}
_WORDS = {"ssl": "SSL", "vit": "ViT", "cnn": "CNN", "svm": "SVM", "mrmr": "mRMR", "l2": "L2", "mae": "MAE"}


def method(name: str) -> str:
    """A method's name as a reader wants it: `ssl_vit` -> SSL ViT, `volume_only` -> Volume only."""
    text = " ".join(_WORDS.get(word, word) for word in name.split("_"))
    return text[:1].upper() + text[1:]


def split_with_sites(split: str, cohort: dict[str, Any]) -> str:
    """`External centre (B)`."""
    sites = ", ".join(cohort[split]["sites"])
    return f"{SPLITS[split]} ({sites})" if len(cohort[split]["sites"]) < 4 else SPLITS[split]


def findings(metrics: pd.DataFrame, compared: pd.DataFrame, reference: str, level: float) -> list[str]:
    """One sentence a split: the reference's area with its interval, and the best of the others beside it."""
    found = []
    for split in dict.fromkeys(metrics["split"]):
        whole = metrics[(metrics["split"] == split) & (metrics["site"] == judge.ALL) & metrics["auc"].notna()]
        by_method = {row.method: row for row in judge.rows(whole)}
        ours = by_method.pop(reference, None)
        if ours is None:
            continue
        width = (
            ""
            if math.isnan(ours.auc_low)
            else f" ({100 * level:g} % interval {ours.auc_low:.3f} to {ours.auc_high:.3f})"
        )
        sentence = f"{SPLITS[split]}: {method(reference)} reaches an AUC of {ours.auc:.3f}{width} on {ours.n} lesions"
        if by_method:
            best = max(by_method.values(), key=lambda row: row.auc)
            tests = compared[(compared["split"] == split) & (compared["method_b"] == best.method)]
            p = float(tests["p_holm"].iloc[0]) if len(tests) else math.nan
            test = "" if math.isnan(p) else f", p {p_value(p) if p < 0.001 else '= ' + p_value(p)} after Holm"
            others = "the best of the others" if len(by_method) > 1 else "the other method"
            sentence += (
                f"; {others}, {method(best.method)}, {best.auc:.3f} (difference {ours.auc - best.auc:+.3f}{test})"
            )
        found.append(sentence.replace(" -", " −").replace("(-", "(−") + ".")
    return found


def pretraining(rows: list[dict[str, Any]]) -> str:
    """What the training curve says, in one sentence, and against which it has to stand."""
    held_out = [row["val/loss"] for row in rows if "val/loss" in row]
    if not held_out:
        return "No loss on held-out subjects was logged."
    sentence = f"Loss on held-out subjects went from {number(held_out[0])} to {number(held_out[-1])}."
    for key, name in (("val/mean_intensity", "mean-intensity"), ("val/blurred_input", "blurred-input")):
        levels = [row[key] for row in rows if key in row]
        if levels:
            verdict = "beats" if held_out[-1] < levels[-1] else "does not beat"
            sentence += f" It {verdict} the {name} predictor ({number(levels[-1])})."
    return sentence


def architecture(contract: dict[str, Any]) -> str:
    """The architecture's arguments in one line."""
    given = dict(contract.get("architecture", {}))
    name = [str(given.pop("name"))] if "name" in given else []
    return ", ".join([*name, *(f"{key.replace('_', ' ')} {_plain(value)}" for key, value in given.items())])


def input_contract(contract: dict[str, Any]) -> str:
    """The input contract in one line, with units."""
    given = contract.get("input", {})
    parts = [
        f"axes {given['axes']}" if "axes" in given else "",
        f"spacing {_plain(given['spacing_mm'])} mm" if given.get("spacing_mm") else "",
        f"intensity {given['intensity'].get('rule', '')}" if given.get("intensity") else "",
        f"channels {', '.join(given['channels'])}" if given.get("channels") else "",
        f"crop {_plain(given['crop'])} voxels" if given.get("crop") else "",
    ]
    return "; ".join(part for part in parts if part)


def _plain(value: Any) -> str:
    return " × ".join(f"{part:g}" for part in value) if isinstance(value, list | tuple) else str(value)
