"""What is drawn is what was given: lines, markers and labels are read back from the figure."""

import math

import numpy as np
import pytest

from rnfm import viz
from rnfm.viz import ForestRow, RocCurve


def labels(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_roc_colours_follow_the_order_and_the_legend_follows_the_area():
    curves = [
        RocCurve(name, [0, 0.2, 1], [0, 0.8, 1], area, (0.2, 0.8)) for name, area in (("ours", 0.7), ("other", 0.9))
    ]
    figure = viz.roc_figure(curves, title="External", emphasis="ours")
    assert labels(figure) == ["0.900  other", "0.700  ours"]
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert lines["0.700  ours"].get_linewidth() > lines["0.900  other"].get_linewidth()
    assert lines["0.700  ours"].get_color() == viz.plots.PALETTE[0]
    np.testing.assert_allclose(lines["0.900  other"].get_xydata(), [[0, 0], [0.2, 0.8], [1, 1]])
    points = [line.get_xydata().tolist() for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert points == [[[0.2, 0.8]]] * 2


def test_curves_differ_without_colour():
    figure = viz.roc_figure([RocCurve(str(n), [0, 1], [0, 1], 0.5) for n in range(6)])
    assert len({str(line._dash_pattern) for line in figure.axes[0].lines[1:]}) == 6


def test_forest_groups_rows_and_says_what_is_not_defined():
    rows = [ForestRow("a", 0.8, 0.6, 0.9, "Hold-out", True), ForestRow("b", math.nan, math.nan, math.nan, "External")]
    figure = viz.forest_figure(rows)
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["Hold-out", "a", "External", "b"]
    assert "not defined" in [text.get_text() for text in axes.texts]
    assert [0.6, 0.9] in [list(line.get_xdata()) for line in axes.lines]


def test_a_forest_below_chance_is_not_cut_off():
    low, _ = viz.forest_figure([ForestRow("a", 0.1, 0.02, 0.3)]).axes[0].get_xlim()
    assert low <= 0.02


def test_calibration_draws_a_bar_a_bin():
    figure = viz.calibration_figure({"ours": [(0.2, 0.1, 0.0, 0.4), (0.7, 0.9, 0.5, 1.0)]})
    assert len(figure.axes[0].collections[0].get_segments()) == 2
    assert labels(figure) == ["ours"]


def test_training_curve_leaves_gaps_and_draws_what_is_to_be_beaten():
    figure = viz.curve_figure({"train": ([1, 2, 3], [1.0, np.inf, 0.5])}, levels={"mean": 0.9, "none": math.nan})
    train, level = figure.axes[0].lines
    assert np.isnan(train.get_ydata()[1])
    assert list(level.get_ydata()) == [0.9, 0.9]
    assert labels(figure) == ["train", "mean"]


@pytest.mark.parametrize("draw", [viz.roc_figure, viz.forest_figure])
def test_nothing_to_draw_says_so(draw):
    assert len(draw([]).axes[0].texts) == 1


@pytest.mark.parametrize("draw", [viz.calibration_figure, viz.curve_figure])
def test_no_series_to_draw_says_so(draw):
    assert len(draw({}).axes[0].texts) == 1
