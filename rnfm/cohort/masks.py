"""The label values of a mask and their volumes, read in small pieces: what a header claims never decides the memory taken.

`rnfm data prepare` decodes and judges masks again. Here only their values are wanted: one that a data set does not
document is worth a finding before any volume is made.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnfm.cohort import headers
from rnfm.cohort.records import Fault
from rnfm.core.ledger import Reason

if TYPE_CHECKING:
    import numpy as np

PIECE_BYTES = 1 << 20
LARGEST_VALUE = 32_767  # mask values are int16 in the cohort table
MOST_VALUES = 1000  # a label map has a handful; an image that was saved as a mask has thousands


@dataclass(frozen=True)
class Content:
    """`voxels`: number of voxels of each value > 0, values ascending."""

    voxels: dict[int, int]
    voxel_ml: float

    def volume_ml(self, values: Iterable[int]) -> float:
        """Volume of all voxels with one of `values`."""
        return sum(self.voxels[value] for value in values) * self.voxel_ml


def content(mask: Path) -> Content | Fault:
    """What a NIfTI mask holds, or why it is no label map.

    Takes the memory to count one piece (about 10 MB) however large the mask is. Trailing bytes are not looked at.
    """
    import nibabel
    from nibabel.openers import ImageOpener

    header = headers.read_header(mask)
    if isinstance(header, Fault):
        return Fault(Reason.MASK_UNREADABLE, f"{header.reason}: {header.detail}")
    try:
        image: Any = nibabel.load(mask)
        proxy = image.dataobj
        with ImageOpener(str(mask)) as file:
            file.seek(proxy.offset)
            stored = _count(file, proxy.dtype, math.prod(proxy.shape))
    except Exception as error:  # damaged gzip, a file that vanished: whatever the libraries raise is one refusal
        return Fault(Reason.MASK_UNREADABLE, f"cannot be decoded ({type(error).__name__})")
    voxels = stored if isinstance(stored, Fault) else _labels(stored, float(proxy.slope), float(proxy.inter))
    return voxels if isinstance(voxels, Fault) else Content(voxels, math.prod(header.spacing_mm) / 1000)


def _count(file: Any, dtype: np.dtype[Any], size: int) -> Counter[float] | Fault:
    """Stored value -> voxels, of the next `size` voxels."""
    import numpy as np

    counts: Counter[float] = Counter()
    left = size * dtype.itemsize
    while left:
        data = file.read(min(left, PIECE_BYTES))
        if not data or len(data) % dtype.itemsize:
            return Fault(Reason.MASK_UNREADABLE, "ends before its last voxel")
        left -= len(data)
        piece = np.frombuffer(data, dtype)
        if dtype == np.uint8:  # nearly all masks; counting is ten times faster than sorting
            numbers = np.bincount(piece)
            values = np.flatnonzero(numbers)
            numbers = numbers[values]
        else:
            values, numbers = np.unique(piece, return_counts=True)
        if len(values) > MOST_VALUES:
            return Fault(Reason.MASK_UNREADABLE, f"holds more than {MOST_VALUES} different values, so no labels")
        counts.update(dict(zip(values.tolist(), numbers.tolist(), strict=True)))
    return counts


def _labels(stored: Counter[float], slope: float, inter: float) -> dict[int, int] | Fault:
    """Label > 0 -> voxels, after the header's scaling."""
    scaled = {value * slope + inter: number for value, number in stored.items()}
    if not all(0 <= value <= LARGEST_VALUE and value == round(value) for value in scaled):
        return Fault(Reason.MASK_UNREADABLE, "holds values that are no labels")
    return {int(value): scaled[value] for value in sorted(scaled) if value > 0}
