"""Masks of OpenBTAI/MOLAB: value = lesion x 10 + segment (1 enhancing, 2 necrotic), so lesion 12 is 121 and 122.

A lesion may have one segment only. No published table lists the lesions of a mask, so masks are decoded when a cohort is
indexed, the one exception to 'headers only'; their voxels are counted on the way, which gives every lesion's volume in
one unit and by one definition.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnfm.cohort import headers
from rnfm.cohort.records import Fault
from rnfm.core.ledger import Reason

LARGEST_VALUE = 32_767  # mask values are int16 in the cohort table
SEGMENTS = (1, 2)


@dataclass(frozen=True)
class LesionMask:
    """One lesion in one mask: its values in ascending order, and its volume."""

    values: tuple[int, ...]
    volume_ml: float


def read(file: Path) -> dict[int, LesionMask] | Fault:
    """Lesion number -> its part of the mask, in order of the numbers; number 0 holds values below 10 and is no lesion."""
    header = headers.read_header(file)
    if isinstance(header, Fault):
        return Fault(Reason.MASK_UNREADABLE, f"{header.reason}: {header.detail}")
    counts = _count(file)
    if isinstance(counts, Fault):
        return counts
    voxel_ml = math.prod(header.spacing_mm) / 1000
    lesions: dict[int, list[int]] = {}
    for value in sorted(counts):
        lesions.setdefault(value // 10, []).append(value)
    return {
        number: LesionMask(tuple(values), sum(counts[value] for value in values) * voxel_ml)
        for number, values in lesions.items()
    }


def stray(lesions: Mapping[int, LesionMask]) -> list[int]:
    """Values that are not lesion x 10 + 1 or 2."""
    values = [(number, value) for number, lesion in lesions.items() for value in lesion.values]
    return [value for number, value in values if number == 0 or value % 10 not in SEGMENTS]


def _count(file: Path) -> dict[int, int] | Fault:
    """Value > 0 -> voxels. The header was judged before, so that no header can make us allocate terabytes."""
    import nibabel
    import numpy as np

    try:
        image: Any = nibabel.load(file)
        voxels = np.asanyarray(image.dataobj).ravel()
    except Exception as error:  # truncated, damaged gzip, no memory: whatever the library raises
        return Fault(Reason.MASK_UNREADABLE, f"cannot be decoded ({type(error).__name__})")
    if voxels.dtype.kind == "u" and voxels.dtype.itemsize <= 2:
        numbers = np.bincount(voxels)
        values = np.flatnonzero(numbers)
        numbers = numbers[values]
    else:
        values, numbers = np.unique(voxels, return_counts=True)
    if not np.array_equal(values, np.round(values)) or values.min() < 0 or values.max() > LARGEST_VALUE:
        return Fault(Reason.MASK_UNREADABLE, "holds values that are no lesion codes")
    return {int(value): int(number) for value, number in zip(values, numbers, strict=True) if value > 0}
