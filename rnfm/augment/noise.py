"""Gaussian noise that is a function of (key, voxel): the same on any batch size and rank, made on the device at once.

torch's own generators give a sequence, so voxel 5 of sample 3 would depend on what else is in the batch. Here each voxel's
number is a hash of its place and of the sample's key, as in counter-based generators (Salmon et al., SC 2011), turned into
a normal deviate by Box and Muller (1958). Fit for augmentation, not for cryptography.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def keyed_normal(key_B4: Tensor, count: int) -> Tensor:
    """Standard normal float32 (B, count) on the device of `key_B4`, int32 (B, 4): row b depends on key b only.

    Keys must be random words (`rnfm.augment.draw` draws them): keys that share words share noise.
    """
    half = (count + 1) // 2
    place = torch.arange(half, dtype=torch.int32, device=key_B4.device)[None]
    first, second = (_mix(_mix(place + key_B4[:, i, None]) ^ key_B4[:, i + 1, None]) for i in (0, 2))
    radius = (-2.0 * _unit(first, above_zero=True).log()).sqrt()
    angle = _unit(second, above_zero=False) * (2 * math.pi)
    return torch.cat((radius * angle.cos(), radius * angle.sin()), dim=1)[:, :count]


def _mix(x: Tensor) -> Tensor:
    """A bijection of 32-bit words in which each input bit flips about half of the output bits ("lowbias32", C. Wellons)."""
    x = (x ^ _shifted(x, 16)) * 0x7FEB352D
    x = (x ^ _shifted(x, 15)) * (0x846CA68B - 2**32)  # the same word, signed: int32 arithmetic wraps
    return x ^ _shifted(x, 16)


def _shifted(x: Tensor, bits: int) -> Tensor:
    """Logical shift to the right; on signed words torch's own shift copies the sign bit."""
    return (x >> bits) & ((1 << (32 - bits)) - 1)


def _unit(word: Tensor, *, above_zero: bool) -> Tensor:
    """float32 in [0, 1), or in (0, 1] if `above_zero`, from the upper 24 bits of a word: all that float32 can tell apart."""
    return (_shifted(word, 8).to(torch.float32) + float(above_zero)) * 2.0**-24
