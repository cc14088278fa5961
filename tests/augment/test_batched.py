"""Augmentation applied: exact effects on known arrays, and one sample the same in every batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rnfm.augment import AugmentConfig, augment
from rnfm.augment.draw import draw

OFF = AugmentConfig(scale=0, shift=0)
ALL = AugmentConfig(scale=0.2, shift=0.3, gamma=0.5, noise=0.1, flip=("right", "anterior", "superior"), move_vox=2)


def batch(count: int = 6, shape=(7, 6, 5)) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(size=(count, 1, *shape)).astype(np.float32))


def run(x, indices, config, epoch=0):
    return augment(x, indices, seed=3, epoch=epoch, config=config)


@pytest.mark.parametrize("split", [1, 2, 3])
def test_a_sample_is_the_same_in_any_batch_and_on_any_rank(split):
    x, indices = batch(), torch.tensor([11, 4, 900, 5, 0, 77])
    whole = run(x, indices, ALL)
    parts = [run(x[i : i + split], indices[i : i + split], ALL) for i in range(0, 6, split)]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-5, atol=1e-5)
    backwards = run(x.flip(0), indices.flip(0), ALL).flip(0)
    torch.testing.assert_close(backwards, whole, rtol=1e-5, atol=1e-5)


def test_epochs_differ_and_repeat():
    x = batch()
    assert not torch.allclose(run(x, range(6), ALL), run(x, range(6), ALL, epoch=1))
    torch.testing.assert_close(run(x, range(6), ALL), run(x, range(6), ALL), rtol=0, atol=0)


def test_off_is_the_identity_and_the_input_is_left_alone():
    x = batch()
    before = x.clone()
    assert torch.equal(run(x, range(6), OFF), x)
    run(x, range(6), ALL)
    assert torch.equal(x, before)


def test_scale_and_shift_are_the_drawn_line():
    x, config = batch(), AugmentConfig(scale=0.2, shift=0.3)
    draws = draw(range(6), seed=3, epoch=0, config=config)
    expected = x.numpy() * draws.scale_B.reshape(6, 1, 1, 1, 1) + draws.shift_B.reshape(6, 1, 1, 1, 1)
    np.testing.assert_allclose(run(x, range(6), config).numpy(), expected, rtol=1e-6, atol=1e-6)


def test_gamma_keeps_minimum_maximum_and_order():
    x = batch()
    y = run(x, range(6), AugmentConfig(scale=0, shift=0, gamma=0.5))
    assert not torch.allclose(x, y)
    torch.testing.assert_close(y.amin((2, 3, 4)), x.amin((2, 3, 4)), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(y.amax((2, 3, 4)), x.amax((2, 3, 4)), rtol=1e-5, atol=1e-5)
    assert torch.equal(x.flatten(1).argsort(1), y.flatten(1).argsort(1))


def test_gamma_of_a_constant_sample_is_that_sample():
    x = torch.full((2, 1, 4, 4, 4), 3.5)
    torch.testing.assert_close(run(x, [0, 1], AugmentConfig(scale=0, shift=0, gamma=0.5)), x)


def test_flip_and_move_by_hand():
    """Each sample against NumPy: shift with a repeated edge, then mirror."""
    x, config = batch(20), AugmentConfig(scale=0, shift=0, flip=("right", "superior"), move_vox=2)
    draws = draw(range(20), seed=3, epoch=0, config=config)
    got = run(x, range(20), config).numpy()
    for b in range(20):
        expected = x[b, 0].numpy()
        for axis in range(3):
            if draws.flip_B3[b, axis]:
                expected = np.flip(expected, axis)
            move = int(draws.move_vox_B3[b, axis])
            size = expected.shape[axis]
            padded = np.pad(expected, [(2, 2) if a == axis else (0, 0) for a in range(3)], mode="edge")
            expected = np.take(padded, np.arange(size) + 2 - move, axis)
        np.testing.assert_array_equal(got[b, 0], expected)


def test_noise_has_the_drawn_strength():
    x, config = torch.zeros(4, 1, 24, 24, 24), AugmentConfig(scale=0, shift=0, noise=0.5)
    sds = draw(range(4), seed=3, epoch=0, config=config).noise_sd_B
    got = run(x, range(4), config).flatten(1).std(1).numpy()
    np.testing.assert_allclose(got, sds, rtol=0.03)


def test_half_precision_and_two_channels_keep_shape_and_dtype():
    x = batch(3).repeat(1, 2, 1, 1, 1).to(torch.bfloat16)
    y = run(x, range(3), ALL)
    assert y.shape == x.shape
    assert y.dtype == torch.bfloat16


def test_wrong_number_of_indices():
    with pytest.raises(ValueError, match="5 indices for a batch of 6"):
        run(batch(), range(5), ALL)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_same_on_a_gpu():
    x = batch()
    torch.testing.assert_close(run(x.cuda(), range(6), ALL).cpu(), run(x, range(6), ALL), rtol=1e-4, atol=1e-4)
