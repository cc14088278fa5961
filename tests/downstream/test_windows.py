"""Boxes and crops against padding, and by hand."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rnfm.downstream.windows import bounding_box, crop_start, cut


@given(
    st.tuples(*[st.integers(3, 9)] * 3),
    st.tuples(*[st.integers(-6, 12)] * 3),
    st.tuples(*[st.integers(1, 10)] * 3),
)
def test_cutting_agrees_with_padding_everything_first(shape, start, size):
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    padded = np.pad(array, 20, constant_values=-1.0)
    window = tuple(slice(20 + first, 20 + first + length) for first, length in zip(start, size, strict=True))
    assert np.array_equal(cut(array, start, size, -1.0), padded[window])


def test_crop_start_by_hand():
    assert crop_start((10, 10, 0), (14, 15, 2), (8, 8, 8)) == (8, 8, -3)


def test_the_box_of_two_far_voxels_holds_both_and_nothing_has_none():
    mask = np.zeros((5, 6, 7), bool)
    mask[1, 2, 3] = mask[3, 2, 6] = True
    assert bounding_box(mask) == ((1, 2, 3), (4, 3, 7))
    assert bounding_box(mask & False) is None
