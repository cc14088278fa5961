"""Lesion crops in memory, and the keyed jitter of training.

    stored    image_NDHW float16, mask_NDHW bool, each with `margin` voxels more on every side than the network sees
    batch     x_B2DHW float32: channel 0 T1CE as prepared, channel 1 the target lesion's mask as 0/1

A batch for judging is the middle of the stored crop. A batch for learning is shifted by up to `margin` voxels, mirrored
and turned by quarter turns (only between axes of equal length), and its T1CE channel is scaled and shifted a little; all
of it is drawn from one key, so the same key gives the same batch.

Legend: N lesions, B of them in a batch, D H W the network's crop in voxels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rnfm.core import keyed, progress
from rnfm.downstream.lesions import Lesions

GAIN_SD, OFFSET_SD = 0.1, 0.1


@dataclass(frozen=True)
class Crops:
    """Crops of some lesions with their labels and patients, row for row."""

    image_NDHW: np.ndarray
    mask_NDHW: np.ndarray
    label_N: np.ndarray
    patient_N: np.ndarray
    margin: int

    def __len__(self) -> int:
        return len(self.label_N)

    def rows(self, rows: np.ndarray) -> Crops:
        """The crops of `rows`, copied."""
        return Crops(self.image_NDHW[rows], self.mask_NDHW[rows], self.label_N[rows], self.patient_N[rows], self.margin)

    def batch(self, rows: np.ndarray) -> Tensor:
        """The middle of each stored crop, (B, 2, D, H, W) float32."""
        return self._cut(rows, np.full((len(rows), 3), self.margin))

    def jittered(self, rows: np.ndarray, seed: int, *key: int | str) -> Tensor:
        """The same crops shifted, mirrored, turned and re-scaled as `seed` and `key` say."""
        random = keyed.rng(seed, "jitter", *key)
        x_B2DHW = self._cut(rows, random.integers(0, 2 * self.margin + 1, size=(len(rows), 3)))
        flips_B3 = random.random((len(rows), 3)) < 0.5
        turns_B3 = random.integers(0, 4, size=(len(rows), 3))
        gain_B, offset_B = random.normal(1, GAIN_SD, len(rows)), random.normal(0, OFFSET_SD, len(rows))
        for b in range(len(rows)):
            x_B2DHW[b] = _turned(x_B2DHW[b], flips_B3[b], turns_B3[b])
            x_B2DHW[b, 0].mul_(float(gain_B[b])).add_(float(offset_B[b]))
        return x_B2DHW

    def _cut(self, rows: np.ndarray, start_B3: np.ndarray) -> Tensor:
        size = tuple(length - 2 * self.margin for length in self.image_NDHW.shape[1:])
        x = np.empty((len(rows), 2, *size), np.float32)
        for b, (row, start) in enumerate(zip(rows, start_B3, strict=True)):
            window = tuple(slice(first, first + length) for first, length in zip(start, size, strict=True))
            x[b, 0], x[b, 1] = self.image_NDHW[row][window], self.mask_NDHW[row][window]
        return torch.from_numpy(x)


def cut_crops(lesions: Lesions, size: tuple[int, int, int], margin: int = 0) -> Crops:
    """Every lesion's crop, read scan by scan. Unlabelled lesions get the label -1."""
    outer = (size[0] + 2 * margin, size[1] + 2 * margin, size[2] + 2 * margin)
    image = np.empty((len(lesions), *outer), np.float16)
    mask = np.empty((len(lesions), *outer), bool)
    for row in progress.track(lesions.in_scan_order(), len(lesions), "crops", "lesions"):
        image[row], mask[row] = lesions.crop(row, outer)
    label = lesions.table["label"].fillna(-1).to_numpy(np.int64)
    return Crops(image, mask, label, lesions.table["patient"].to_numpy(str), margin)


def outgrown(lesions: Lesions, size: tuple[int, int, int]) -> list[str]:
    """Codes of lesions whose box is larger than a crop of `size`."""
    boxes = zip(lesions.table["lesion"], lesions.table["start_vox"], lesions.table["stop_vox"], strict=True)
    return [
        code
        for code, start, stop in boxes
        if any(high - low > length for low, high, length in zip(start, stop, size, strict=True))
    ]


def _turned(x_2DHW: Tensor, flips_3: np.ndarray, turns_3: np.ndarray) -> Tensor:
    x_2DHW = x_2DHW.flip([axis + 1 for axis in range(3) if flips_3[axis]])
    for turns, (a, b) in zip(turns_3, ((1, 2), (2, 3), (1, 3)), strict=True):
        if x_2DHW.shape[a] == x_2DHW.shape[b]:
            x_2DHW = x_2DHW.rot90(int(turns), (a, b))
    return x_2DHW
