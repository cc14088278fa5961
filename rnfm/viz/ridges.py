r"""Distributions of many groups in rows, side by side in panels: a ridge a group, comparable along one horizontal axis.

    site A (120)  __/\__      __/\__
    site B  (31)  ____/\__    __/\__

A panel is one axis, such as before and after a rule. A row is drawn to its own peak: its place and width are read, not its height.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rnfm.viz.figure import ACCENT, HAIR, INK, QUIET, new_figure, say_empty, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Ridge:
    """One group in one panel: curves over the panel's bins: the middle one, and those that hold most members."""

    low: NDArray[np.float64]
    middle: NDArray[np.float64]
    high: NDArray[np.float64]


@dataclass(frozen=True)
class Panel:
    """One horizontal axis: `edges` of the bins (one more than a curve has values). `mark`: a vertical line to compare with."""

    title: str
    xlabel: str
    edges: NDArray[np.float64]
    rows: Sequence[Ridge]
    log: bool = False
    mark: float | None = None


def ridge_figure(names: Sequence[str], panels: Sequence[Panel]) -> Figure:
    """A column a panel, a row a name."""
    with styled():
        figure = new_figure(5.6, 0.95 + 0.46 * max(1, len(names)))
        axes = figure.subplots(1, max(1, len(panels)), squeeze=False)[0]
        if not names or not panels:
            say_empty(axes[0], "Nothing to show.")
            return figure
        for number, (one, panel) in enumerate(zip(axes, panels, strict=True)):
            _panel(one, panel, len(names))
            one.set_yticks([-row for row in range(len(names))], names if number == 0 else [""] * len(names))
    return figure


def _panel(axes: Axes, panel: Panel, count: int) -> None:
    axes.set_title(panel.title)
    axes.set_xlabel(panel.xlabel)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_ylim(-count + 0.75, 1.05)
    if panel.log:
        axes.set_xscale("log")
    axes.set_xlim(float(panel.edges[0]), float(panel.edges[-1]))
    middles = np.sqrt(panel.edges[1:] * panel.edges[:-1]) if panel.log else (panel.edges[1:] + panel.edges[:-1]) / 2
    if panel.mark is not None:
        axes.axvline(panel.mark, color=QUIET, linewidth=0.8, linestyle=(0, (3, 3)), zorder=0)
    for number, row in enumerate(panel.rows):
        peak = max(float(row.high.max()), 1e-12) / 0.9
        axes.axhline(-number, color=HAIR, linewidth=0.7, zorder=1)
        axes.fill_between(middles, row.low / peak - number, row.high / peak - number, color=ACCENT, alpha=0.25, lw=0)
        axes.plot(middles, row.middle / peak - number, color=INK, linewidth=1)
