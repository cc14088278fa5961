"""Slices: the right way round, the lesion outlined, the map only where it is high."""

import numpy as np
import pytest

from rnfm import viz
from rnfm.core.errors import DataError

IMAGE = np.zeros((6, 4))
IMAGE[5, 3] = 1.0  # the patient's most right, most anterior voxel
MASK = np.zeros((6, 4))
MASK[2:4, 1:3] = 1


def pixel(axes, r, a):
    """Where voxel (r, a) is drawn in the panel: 0..1 from the left, 0..1 from the bottom."""
    return axes.transAxes.inverted().transform(axes.transData.transform((r, a)))


def test_radiological_convention():
    figure = viz.overlay_figure(IMAGE, MASK, MASK)
    viz.figure_png(figure)  # lays the panels out
    for axes in figure.axes:
        x, y = pixel(axes, 5, 3)
        assert x < 0.2
        assert y > 0.8
        letters = {text.get_text(): text.get_position()[0] for text in axes.texts}
        assert letters["R"] < letters["L"]
    shown = figure.axes[0].images[0].get_array()
    assert shown.shape == (4, 6)  # rows are anterior, columns are right
    assert shown[3, 5] == 1


def test_the_mask_is_outlined_in_both_panels_and_an_empty_one_is_not():
    figure = viz.overlay_figure(IMAGE, MASK, MASK)
    assert all(axes.collections for axes in figure.axes)
    assert not any(axes.collections for axes in viz.overlay_figure(IMAGE, 0 * MASK, MASK).axes)


def test_the_scan_shows_through_where_the_map_is_low():
    layer = viz.overlay_figure(IMAGE, MASK, MASK + 0.5).axes[1].images[1]
    assert layer.get_alpha().min() == 0
    assert layer.get_alpha().max() == 0.75


def test_constant_and_broken_values_are_drawn():
    hole = np.full((6, 4), np.nan)
    assert viz.figure_png(viz.overlay_figure(np.ones((6, 4)), MASK, hole))


def test_a_montage_labels_each_slice():
    figure = viz.montage([IMAGE, IMAGE, IMAGE], labels=["a", "b", "c"], columns=2)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["a", "b", "c", ""]
    assert viz.figure_png(viz.montage([]))


def test_shapes_that_differ_are_a_sentence():
    with pytest.raises(DataError) as caught:
        viz.overlay_figure(IMAGE, MASK[:5], MASK)
    assert str(caught.value) == (
        "overlay: slices differ in shape: image (6, 4), mask (5, 4), map (6, 4). Give three slices of one grid."
    )
    with pytest.raises(DataError, match=r"^image 0: has shape \(2, 2, 2\), a slice has two axes\."):
        viz.montage([np.zeros((2, 2, 2))])
