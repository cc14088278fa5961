"""Pieces change the order of memory, or blur, as the whole would be; nothing shows where they meet."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import ndimage

from rnfm.volume.strides import blur_along, c_ordered


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("shape", [(1, 1, 1), (65, 9, 7), (130, 17, 3), (64, 8, 5)])
@pytest.mark.parametrize("flip", [1, -1])
def test_the_same_array_in_c_order(order: tuple[int, ...], shape: tuple[int, ...], flip: int) -> None:
    data = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape).transpose(order)[::flip]
    done = c_ordered(data)
    assert done.flags.c_contiguous
    assert done.dtype == data.dtype
    np.testing.assert_array_equal(done, data)


def test_what_is_in_order_is_not_copied() -> None:
    data = np.zeros((3, 4, 5))
    assert c_ordered(data) is data


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("shape", [(300, 40, 33), (5, 300, 120), (2, 2, 2), (1, 400, 400), (70, 70, 70)])
@pytest.mark.parametrize("sigma_vox", [0.2, 0.775, 4.0])
def test_the_blur_of_scipy(axis: int, shape: tuple[int, int, int], sigma_vox: float) -> None:
    data = np.random.default_rng(axis).normal(100, 50, shape).astype(np.float32)
    expected = ndimage.gaussian_filter1d(data.astype(np.float64), sigma_vox, axis=axis, mode="nearest", truncate=3.0)
    before, elsewhere = data.copy(), np.empty_like(data)
    blur_along(data, elsewhere, sigma_vox=sigma_vox, axis=axis)
    np.testing.assert_array_equal(data, before)
    np.testing.assert_allclose(elsewhere, expected, rtol=2e-6, atol=5e-5)
    blur_along(data, data, sigma_vox=sigma_vox, axis=axis)
    np.testing.assert_array_equal(data, elsewhere)
