"""What is done to each sample: numbers drawn on the CPU, keyed by (seed, epoch, global index) and by nothing else.

Every number is drawn for every sample in one fixed order, whatever is switched on: switching one change on or off leaves
the draws of all others as they were.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rnfm.augment.config import AugmentConfig
from rnfm.core import keyed

AXES = ("right", "anterior", "superior")  # D, H, W


@dataclass(frozen=True)
class Draws:
    """One row a sample: float32 (B,) strengths, bool and int64 (B, 3) along D, H, W, int32 (B, 4) noise keys."""

    scale_B: NDArray[np.float32]
    shift_B: NDArray[np.float32]
    gamma_B: NDArray[np.float32]
    noise_sd_B: NDArray[np.float32]
    flip_B3: NDArray[np.bool_]
    move_vox_B3: NDArray[np.int64]
    noise_key_B4: NDArray[np.int32]


def draw(index_B: Iterable[int], *, seed: int, epoch: int, config: AugmentConfig) -> Draws:
    """The draws of the samples with these global indices."""
    generators = [keyed.rng(seed, "augment", epoch, int(index)) for index in index_B]
    # Columns: scale, shift, gamma, noise, flip x 3, move x 3.
    unit = np.array([generator.random(10) for generator in generators]).reshape(len(generators), 10)
    keys = [generator.integers(-(2**31), 2**31, 4, dtype=np.int32) for generator in generators]
    both = 2 * unit - 1
    may_flip = np.array([axis in config.flip for axis in AXES])
    return Draws(
        scale_B=(1 + config.scale * both[:, 0]).astype(np.float32),
        shift_B=(config.shift * both[:, 1]).astype(np.float32),
        gamma_B=((1 + config.gamma) ** both[:, 2]).astype(np.float32),
        noise_sd_B=(config.noise * unit[:, 3]).astype(np.float32),
        flip_B3=(unit[:, 4:7] < 0.5) & may_flip,
        move_vox_B3=np.floor(unit[:, 7:10] * (2 * config.move_vox + 1)).astype(np.int64) - config.move_vox,
        noise_key_B4=np.array(keys, dtype=np.int32).reshape(len(generators), 4),
    )
