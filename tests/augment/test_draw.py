"""Draws: keyed by (seed, epoch, index) alone, within their ranges, independent of what else is switched on."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rnfm.augment import AugmentConfig
from rnfm.augment.draw import Draws, draw

ALL = AugmentConfig(scale=0.2, shift=0.3, gamma=0.5, noise=0.1, flip=("right", "superior"), move_vox=3)


def rows(draws: Draws, chosen) -> list[np.ndarray]:
    return [getattr(draws, field.name)[chosen] for field in fields(draws)]


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=12, unique=True), st.randoms())
@settings(max_examples=50, deadline=None)
def test_a_sample_draws_the_same_in_any_company(indices, random):
    whole = draw(indices, seed=1, epoch=2, config=ALL)
    for place in random.sample(range(len(indices)), min(3, len(indices))):
        alone = draw([indices[place]], seed=1, epoch=2, config=ALL)
        for ours, theirs in zip(rows(whole, place), rows(alone, 0), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_seed_epoch_and_index_each_change_the_draw():
    base = draw([5], seed=1, epoch=2, config=ALL).scale_B[0]
    assert base != draw([6], seed=1, epoch=2, config=ALL).scale_B[0]
    assert base != draw([5], seed=2, epoch=2, config=ALL).scale_B[0]
    assert base != draw([5], seed=1, epoch=3, config=ALL).scale_B[0]


def test_switching_one_change_off_leaves_the_others_as_they_were():
    with_gamma = draw(range(20), seed=0, epoch=0, config=ALL)
    without = draw(range(20), seed=0, epoch=0, config=ALL.model_copy(update={"gamma": 0.0}))
    np.testing.assert_array_equal(without.gamma_B, 1)
    np.testing.assert_array_equal(with_gamma.noise_key_B4, without.noise_key_B4)
    np.testing.assert_array_equal(with_gamma.move_vox_B3, without.move_vox_B3)


def test_ranges_are_filled_and_kept():
    draws = draw(range(4000), seed=0, epoch=0, config=ALL)
    for values, low, high in (
        (draws.scale_B, 0.8, 1.2),
        (draws.shift_B, -0.3, 0.3),
        (draws.gamma_B, 1 / 1.5, 1.5),
        (draws.noise_sd_B, 0, 0.1),
    ):
        assert low <= values.min() < low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) < values.max() <= high + 1e-6
    assert abs(np.log(draws.gamma_B).mean()) < 0.02
    for axis in range(3):
        counts = np.bincount(draws.move_vox_B3[:, axis] + 3, minlength=7)
        assert len(counts) == 7
        assert counts.min() > 480  # 571 expected, 4 sd = 88
    assert abs(draws.flip_B3[:, 0].mean() - 0.5) < 0.04
    assert not draws.flip_B3[:, 1].any()
