"""Two thumbnails of one head are alike however one was changed; two heads are not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from rnfm.cohort import aligning
from rnfm.cohort.aligning import compare


def head(seed: int, shape: tuple[int, int, int] = (50, 60, 54)) -> np.ndarray:
    """An ellipsoid full of smooth random structure of 8 to 20 mm, as a thumbnail."""
    draw = np.random.default_rng(seed)
    inside = (
        sum(((np.arange(n) - n / 2) / (n / 2.2)).reshape(-1, *(1,) * (2 - axis)) ** 2 for axis, n in enumerate(shape))
        < 1
    )
    texture = ndimage.gaussian_filter(draw.normal(size=shape), 1.2) + ndimage.gaussian_filter(
        draw.normal(size=shape), 2.5
    )
    scaled = 128 + 60 * texture / texture.std()
    return np.where(inside, np.clip(scaled, 1, 255), 0).astype(np.uint8)


@pytest.fixture(scope="module")
def first() -> np.ndarray:
    return head(0)


def test_a_scan_is_like_itself_and_unlike_others(first: np.ndarray) -> None:
    same = compare(first, first)
    assert same.score > 0.999
    assert (same.mirrored, round(same.common, 2)) == ((), 1.0)
    assert max(compare(first, head(seed)).score for seed in (1, 2, 3)) < 0.5


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 2), (0, 1, 2)])
def test_mirrorings_are_found_and_named(first: np.ndarray, axes: tuple[int, ...]) -> None:
    found = compare(first, np.ascontiguousarray(np.flip(first, axes)))
    assert (found.mirrored, found.score > 0.99) == (axes, True)


def test_a_cut_field_of_view(first: np.ndarray) -> None:
    assert compare(first, np.ascontiguousarray(first[3:, 5:-4, 14:])).score > 0.9


def test_gain_gamma_bias_and_noise(first: np.ndarray) -> None:
    draw = np.random.default_rng(9)
    field = np.linspace(0.6, 1.4, first.shape[1])[None, :, None]
    changed = 250 * ((first / 255 * field) / 1.4) ** 0.7 + draw.normal(0, 8, first.shape)
    assert compare(first, np.where(first > 0, np.clip(changed, 1, 255), 0).astype(np.uint8)).score > 0.85


def test_without_its_outer_layer(first: np.ndarray) -> None:
    inner = ndimage.binary_erosion(first > 0, iterations=4)
    assert compare(first, np.where(inner, first, 0)).score > 0.9


def test_turned_and_stretched(first: np.ndarray) -> None:
    turn = np.radians(7)
    matrix = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]) * [
        1.04,
        0.97,
        1.0,
    ]
    centre = (np.array(first.shape) - 1) / 2
    moved = ndimage.affine_transform(first.astype(float), matrix, centre - matrix @ centre, order=1)
    inside = ndimage.affine_transform((first > 0).astype(float), matrix, centre - matrix @ centre, order=1) > 0.5
    found = compare(first, np.where(inside, np.clip(moved, 1, 255), 0).astype(np.uint8))
    assert (found.score > 0.8, found.mirrored) == (True, ())


def test_too_little_in_common_proves_nothing(first: np.ndarray) -> None:
    assert compare(first, np.ascontiguousarray(first[:3, :3, :3])).score == -1.0


def test_larger_than_the_grid_of_shifts() -> None:
    giant = head(4, (110, 40, 40))
    assert compare(giant, giant).score > 0.99
    assert aligning.padded(np.ones((110, 3, 48), np.float32)).shape == (48, 48, 48)
