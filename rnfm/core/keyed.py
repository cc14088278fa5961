"""Keyed randomness: every random number is a pure function of a seed and a key, never of a process, worker or rank.

The same key gives the same numbers on every machine, in any order of calls; that is what makes a resume arithmetic.
"""

from __future__ import annotations

import hashlib

import numpy as np

Key = int | str


def seed64(seed: int, *key: Key) -> int:
    """A 63-bit seed for generators other than NumPy's (torch), derived from `seed` and `key`."""
    return int.from_bytes(_digest(seed, key)[:8], "little") >> 1


def rng(seed: int, *key: Key) -> np.random.Generator:
    """A NumPy generator of its own (Philox) for `seed` and `key`.

    >>> float(rng(0, "mask", 3).random()) == float(rng(0, "mask", 3).random())
    True
    """
    return np.random.Generator(np.random.Philox(key=int.from_bytes(_digest(seed, key)[:16], "little")))


def _digest(seed: int, key: tuple[Key, ...]) -> bytes:
    # repr keeps 1 and "1" apart, and the separator keeps ("ab", "c") and ("a", "bc") apart.
    return hashlib.sha256("\x1f".join(repr(part) for part in (int(seed), *key)).encode()).digest()
