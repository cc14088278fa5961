"""The report's figures as (name, PNG, alternative text, caption): drawn by `rnfm.viz`, described in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from rnfm import viz
from rnfm.core.artifact import Artifact
from rnfm.core.errors import DataError
from rnfm.report import judge, words

SMOOTH_FROM = 200  # more training points than this are averaged in windows, else the line is a band of noise


@dataclass(frozen=True)
class Picture:
    """One figure of the page; also written to figures/<name>.png."""

    name: str
    png: bytes
    alt: str
    caption: str

    @property
    def uri(self) -> str:
        return viz.data_uri(self.png)

    @property
    def width(self) -> int:
        return viz.width_px(self.png)


def roc(curves: dict[str, Any], metrics: pd.DataFrame, split: str, reference: str) -> Picture | None:
    """ROC of every method in one split, with the operating point on each."""
    whole = metrics[(metrics["split"] == split) & (metrics["site"] == judge.ALL)]
    area = {row.method: row.auc for row in judge.rows(whole)}
    found = [row for row in curves["roc"] if row["split"] == split]
    if not found:
        return None
    drawn = [
        viz.RocCurve(words.method(c["method"]), c["fpr"], c["tpr"], area[c["method"]], tuple(c["point"])) for c in found
    ]
    figure = viz.roc_figure(drawn, title=words.SPLITS[split], emphasis=words.method(reference))
    listed = ", ".join(f"{curve.name} {curve.auc:.3f}" for curve in sorted(drawn, key=lambda curve: -curve.auc))
    alt = f"ROC curves, {words.SPLITS[split].lower()}. Areas under the curve: {listed}."
    return Picture(f"roc-{split}", viz.figure_png(figure), alt, "Dots: operating points at the threshold in use.")


def forest(metrics: pd.DataFrame, reference: str) -> Picture:
    """All AUCs with their intervals, split by split, sites apart where there are several."""
    drawn = []
    for row in sorted(judge.rows(metrics), key=lambda row: (judge.SPLITS.index(row.split), row.site != judge.ALL)):
        group = words.SPLITS[row.split] + ("" if row.site == judge.ALL else f", site {row.site}")
        strong = row.method == reference
        drawn.append(viz.ForestRow(words.method(row.method), row.auc, row.auc_low, row.auc_high, group, strong))
    figure = viz.forest_figure(drawn)
    alt = f"Forest plot of {len(drawn)} AUCs with intervals; the values stand in the table above."
    return Picture("forest", viz.figure_png(figure), alt, "AUC with interval; the grey line is chance.")


def calibration(curves: dict[str, Any], split: str, name: str) -> Picture | None:
    """Reliability of one method in one split."""
    rows = [row for row in curves["calibration"] if row["split"] == split and row["method"] == name]
    if not rows:
        return None
    figure = viz.calibration_figure(
        {words.method(name): [tuple(part[:4]) for part in rows[0]["bins"]]}, title=words.SPLITS[split]
    )
    said = "; ".join(f"predicted {part[0]:.2f}, observed {part[1]:.2f} of {part[4]}" for part in rows[0]["bins"])
    alt = f"Calibration of {words.method(name)}, {words.SPLITS[split].lower()}: {said}."
    return Picture(f"calibration-{split}", viz.figure_png(figure), alt, "Bars: 95 % intervals of the observed share.")


def training(rows: Sequence[dict[str, Any]]) -> Picture | None:
    """Loss of the pre-training run, with the simple predictors it has to beat."""
    names = {"train/loss": "training", "val/loss": "held-out subjects"}
    curves = {label: _series(rows, key) for key, label in names.items() if any(key in row for row in rows)}
    if not curves:
        return None
    levels = {}
    for key, label in (("val/mean_intensity", "mean intensity"), ("val/blurred_input", "blurred input")):
        values = [row[key] for row in rows if key in row]
        if values:
            levels[f"{label} predictor"] = float(values[-1])
    ends = "; ".join(f"{label} from {y[0]:.3f} to {y[-1]:.3f}" for label, (_, y) in curves.items())
    figure = viz.curve_figure(curves, levels=levels)
    return Picture("training", viz.figure_png(figure), f"Training curve: {ends}.", "Loss against optimiser step.")


def attention(artifact: Artifact, threshold: float, most: int) -> list[Picture]:
    """Overlays of at most `most` lesions, spread evenly over the range of probabilities. Raises DataError."""
    table = pd.read_parquet(artifact.file("attention.parquet")).sort_values(
        ["probability", "lesion"], ascending=[False, True]
    )
    chosen = table.iloc[np.unique(np.linspace(0, len(table) - 1, min(most, len(table))).round().astype(int))]
    with np.load(artifact.file("slices.npz"), allow_pickle=False) as slices:
        return [_overlay(artifact, slices, row, threshold) for row in judge.rows(chosen)]


def _overlay(artifact: Artifact, slices: Any, row: Any, threshold: float) -> Picture:
    keys = [f"{row.lesion}_{part}" for part in ("image", "mask", "map")]
    missing = [key for key in keys if key not in slices]
    if missing:
        raise DataError(artifact.path, f"slices.npz has no {missing[0]!r}", "Run rnfm finetune again")
    figure = viz.overlay_figure(*(slices[key] for key in keys))
    recorded = "not recorded" if pd.isna(row.label) else "RN" if row.label == 1 else "no RN"
    called = "RN" if row.probability >= threshold else "no RN"
    right = "" if pd.isna(row.label) else " (right)" if recorded == called else " (wrong)"
    caption = (
        f"{row.lesion}, site {row.site}. Recorded: {recorded}. P(RN) {row.probability:.2f}, called {called}{right}."
    )
    alt = f"Axial slice through lesion {row.lesion}: left, scan with the lesion outlined; right, attention map on top."
    return Picture(f"attention-{row.lesion}", viz.figure_png(figure), alt, caption)


def _series(rows: Sequence[dict[str, Any]], key: str) -> tuple[np.ndarray, np.ndarray]:
    """(step, value) of one metric; long ones averaged in windows."""
    step = np.array([row["step"] for row in rows if key in row], dtype=float)
    value = np.array([row[key] for row in rows if key in row], dtype=float)
    if len(step) > SMOOTH_FROM:
        width = math.ceil(len(step) / SMOOTH_FROM)
        parts = np.arange(0, len(step), width)
        count = np.diff(np.append(parts, len(step)))
        return np.add.reduceat(step, parts) / count, np.add.reduceat(value, parts) / count
    return step, value
