"""Counter-based normal noise: distribution, independence between voxels, samples and keys, batch invariance."""

from __future__ import annotations

import numpy as np
import torch
from scipy import stats

from rnfm.augment import AugmentConfig
from rnfm.augment.draw import draw
from rnfm.augment.noise import _mix, keyed_normal


def keys(count: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(-(2**31), 2**31, (count, 4), dtype=np.int32))


def reference_mix(word: int) -> int:
    """lowbias32 in Python's unbounded integers."""
    word ^= word >> 16
    word = word * 0x7FEB352D & 0xFFFFFFFF
    word ^= word >> 15
    word = word * 0x846CA68B & 0xFFFFFFFF
    return word ^ word >> 16


def test_mix_is_lowbias32_on_unsigned_words():
    words = [0, 1, 2, 0x7FFFFFFF, 0x80000000, 0xDEADBEEF, 0xFFFFFFFF]
    got = _mix(torch.tensor(words, dtype=torch.int64).to(torch.int32))
    assert [int(word) & 0xFFFFFFFF for word in got] == [reference_mix(word) for word in words]


def test_it_is_standard_normal():
    values = keyed_normal(keys(8), 50_001).numpy()
    assert values.shape == (8, 50_001)
    assert np.isfinite(values).all()
    for row in values:
        assert stats.kstest(row[::5], "norm").pvalue > 1e-4
    assert abs(stats.kurtosis(values.ravel())) < 0.05


def test_voxels_halves_and_samples_are_uncorrelated():
    values = keyed_normal(keys(6), 40_000).numpy()
    limit = 5 / np.sqrt(20_000)
    between = np.corrcoef(values) - np.eye(6)
    assert abs(between).max() < limit
    for lag in (1, 2, 48, 48 * 48):
        assert abs(np.corrcoef(values[0, :-lag], values[0, lag:])[0, 1]) < limit
    assert abs(np.corrcoef(values[0, :20_000], values[0, 20_000:])[0, 1]) < limit


def test_samples_next_to_each_other_get_unrelated_noise():
    """By the keys that are drawn for them; keys must be random words, a hash of four words is no key derivation."""
    near = draw([7, 8, 9], seed=0, epoch=0, config=AugmentConfig()).noise_key_B4
    values = keyed_normal(torch.from_numpy(near), 20_000).numpy()
    assert abs(np.corrcoef(values) - np.eye(3)).max() < 5 / np.sqrt(20_000)


def test_a_row_depends_on_its_own_key_only():
    many = keys(5)
    torch.testing.assert_close(keyed_normal(many, 1001)[3:4], keyed_normal(many[3:4], 1001), rtol=1e-6, atol=1e-6)
