"""Figures of a judged model: ROC curves, forest of intervals, calibration, training curve. Data in, Figure out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from rnfm.viz.figure import DASHES, HAIR, INK, PALETTE, QUIET, new_figure, say_empty, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class RocCurve:
    """One curve; `point` is the operating point (false, true positive rate) at the threshold in use, if there is one."""

    name: str
    fpr: ArrayLike
    tpr: ArrayLike
    auc: float
    point: tuple[float, float] | None = None


@dataclass(frozen=True)
class ForestRow:
    """One line of a forest plot; rows of one `group` stand together under its name. NaN draws a dash."""

    label: str
    value: float
    low: float
    high: float
    group: str = ""
    strong: bool = False


def roc_figure(curves: Sequence[RocCurve], *, title: str = "", emphasis: str | None = None) -> Figure:
    """ROC curves in a square; `emphasis` names the one drawn thick.

    Colours follow the order given, so the same list of methods looks the same in every panel; the legend is sorted by area.
    Beyond six curves the rest is grey.
    """
    with styled():
        figure = new_figure(4.3, 4.7 + 0.19 * len(curves))
        axes = figure.add_subplot()
        if not curves:
            say_empty(axes, "No curve: every split holds one class only.")
            return figure
        axes.plot([0, 1], [0, 1], color=HAIR, linewidth=1, zorder=1)
        lines = []
        for number, curve in enumerate(curves):
            strong = curve.name == emphasis
            look = {"color": _colour(number), "linestyle": DASHES[number % len(DASHES)], "zorder": 3 if strong else 2}
            label = f"{curve.auc:.3f}  {curve.name}"
            x, y = np.asarray(curve.fpr), np.asarray(curve.tpr)
            lines += axes.plot(x, y, linewidth=2.6 if strong else 1.4, label=label, **look)
            if curve.point is not None:
                axes.plot(*curve.point, "o", color=_colour(number), markersize=5.5, markeredgecolor="white", zorder=4)
        _square(axes, "1 − specificity", "Sensitivity", title)
        ranked = [lines[number] for number in sorted(range(len(curves)), key=lambda n: -curves[n].auc)]
        figure.legend(handles=ranked, loc="outside lower left", title="AUC", alignment="left", handlelength=2.8)
    return figure


def forest_figure(rows: Sequence[ForestRow], *, xlabel: str = "AUC", line: float = 0.5) -> Figure:
    """Estimates with intervals, one a row, from the top down; `line` is the value that means nothing was found."""
    groups = list(dict.fromkeys(row.group for row in rows))
    with styled():
        figure = new_figure(6.4, 0.8 + 0.26 * (len(rows) + sum(map(bool, groups))))
        axes = figure.add_subplot()
        if not rows:
            say_empty(axes, "Nothing to show.")
            return figure
        axes.axvline(line, color=HAIR, linewidth=1)
        ticks: list[float] = []
        names: list[str] = []
        bold: list[bool] = []
        height = 0.0
        for group in groups:
            if group:
                ticks, names, bold = [*ticks, height], [*names, group], [*bold, True]
                height -= 1
            for row in (row for row in rows if row.group == group):
                _interval(axes, row, height)
                ticks, names, bold = [*ticks, height], [*names, row.label], [*bold, False]
                height -= 1
        axes.set_yticks(ticks, names)
        for text, heavy in zip(axes.get_yticklabels(), bold, strict=True):
            text.set_fontweight("bold" if heavy else "normal")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set(ylim=(height + 0.4, 0.6), xlabel=xlabel)
        lowest = min([line - 0.1, *(row.low for row in rows if math.isfinite(row.low))])
        axes.set_xlim(max(0.0, math.floor(lowest * 10) / 10), 1.005)
    return figure


def calibration_figure(bins: Mapping[str, Sequence[tuple[float, float, float, float]]], *, title: str = "") -> Figure:
    """Observed share against predicted probability; a bin is (predicted, observed, low, high)."""
    with styled():
        figure = new_figure(4.3, 4.4 + 0.19 * len(bins))
        axes = figure.add_subplot()
        if not bins:
            say_empty(axes, "No calibration: one class only.")
            return figure
        axes.plot([0, 1], [0, 1], color=HAIR, linewidth=1)
        for number, (name, rows) in enumerate(bins.items()):
            x, y, low, high = np.array(rows, dtype=float).reshape(-1, 4).T
            colour = PALETTE[number % len(PALETTE)]
            axes.vlines(x, low, high, color=colour, linewidth=1, alpha=0.6)
            axes.plot(x, y, color=colour, linestyle=DASHES[number % len(DASHES)], marker="o", markersize=4, label=name)
        _square(axes, "Predicted probability", "Observed share", title)
        figure.legend(loc="outside lower left", alignment="left", handlelength=2.8)
    return figure


def curve_figure(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    xlabel: str = "Step",
    ylabel: str = "Loss",
    levels: Mapping[str, float] | None = None,
    title: str = "",
) -> Figure:
    """Training curves: name -> (step, value); non-finite values leave gaps. `levels` are horizontal lines to beat."""
    with styled():
        figure = new_figure(6.4, 3.2)
        axes = figure.add_subplot()
        if not curves:
            say_empty(axes, "No metrics were logged.")
            return figure
        for number, (name, (step, value)) in enumerate(curves.items()):
            y = np.asarray(value, dtype=float)
            axes.plot(
                np.asarray(step, dtype=float),
                np.where(np.isfinite(y), y, np.nan),
                color=PALETTE[number % len(PALETTE)],
                linestyle=DASHES[number % len(DASHES)],
                # A few points (a validation now and then) are seen as points; thousands of steps are a line.
                marker="o" if y.size <= 30 else None,
                markersize=3.5,
                label=name,
            )
        for number, (name, level) in enumerate((levels or {}).items()):
            if math.isfinite(level):
                axes.axhline(level, color=QUIET, linewidth=1, linestyle=DASHES[1 + number % 4], label=name)
        axes.set(xlabel=xlabel, ylabel=ylabel, title=title)
        axes.grid(axis="y", color=HAIR, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.margins(y=0.08)
        figure.legend(loc="outside right upper")
    return figure


def _colour(number: int) -> str:
    return PALETTE[number] if number < len(PALETTE) else QUIET


def _square(axes: Axes, xlabel: str, ylabel: str, title: str) -> None:
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel=xlabel, ylabel=ylabel, title=title, aspect="equal")
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.set_yticks(np.linspace(0, 1, 6))


def _interval(axes: Axes, row: ForestRow, height: float) -> None:
    colour = PALETTE[0] if row.strong else INK
    if not math.isfinite(row.value):
        axes.text(0.99, height, "not defined", color=QUIET, ha="right", va="center", fontsize=8)
        return
    if math.isfinite(row.low) and math.isfinite(row.high):
        axes.plot([row.low, row.high], [height, height], color=colour, linewidth=2.2 if row.strong else 1.4)
    axes.plot([row.value], [height], "s", color=colour, markersize=6 if row.strong else 4.5)
