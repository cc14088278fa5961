"""Ridges: a row a group at its own height, one axis a panel."""

from __future__ import annotations

import numpy as np
import pytest

from rnfm.viz.figure import figure_png, width_px
from rnfm.viz.ridges import Panel, Ridge, ridge_figure


def bump(edges: np.ndarray, at: float) -> Ridge:
    middles = (edges[1:] + edges[:-1]) / 2
    curve = np.exp(-((middles - at) ** 2) / 0.02)
    return Ridge(0.5 * curve, curve, 2 * curve)


@pytest.mark.parametrize("log", [False, True])
def test_rows_stand_under_each_other_and_to_their_own_peak(log: bool) -> None:
    edges = np.linspace(0.1, 1, 91)
    panel = Panel("Before", "raw value", edges, [bump(edges, 0.3), bump(edges, 0.8)], log=log, mark=0.5)
    figure = ridge_figure(["A (3)", "B (1)"], [panel, panel])
    left, right = figure.axes
    assert [text.get_text() for text in left.get_yticklabels()] == ["A (3)", "B (1)"]
    assert [text.get_text() for text in right.get_yticklabels()] == ["", ""]
    assert (left.get_title(loc="left"), left.get_xscale()) == ("Before", "log" if log else "linear")
    curves = [line for line in left.lines if len(line.get_xdata()) == 90]
    for line, base, at in zip(curves, (0, -1), (0.3, 0.8), strict=True):
        heights = np.asarray(line.get_ydata()) - base
        assert heights.max() == pytest.approx(0.45, abs=0.01)  # half of the band's top, which is 0.9 high
        assert np.asarray(line.get_xdata())[heights.argmax()] == pytest.approx(at, abs=0.02)
    assert width_px(figure_png(figure)) == pytest.approx(5.6 * 96, abs=1)


def test_nothing_to_show() -> None:
    figure = ridge_figure([], [])
    assert figure.axes[0].texts[0].get_text() == "Nothing to show."
    assert figure_png(figure)
