"""Batch arrays that are filled again once the caller has let go of them.

A batch of 16 crops of 96^3 is 57 MB; taking it fresh from the system costs as much as reading and decoding it (the kernel
zeroes every page). An array is free when nobody but this pool refers to it: views of it, and tensors made of it with
`torch.from_numpy`, hold a reference, so a batch that is still in use anywhere is never overwritten.
"""

from __future__ import annotations

import sys
import threading

import numpy as np

from rnfm.archive.samples import F32

OURS = 3  # references to a free array during the check: the list, the loop's name, the argument of getrefcount


class Buffers:
    """float32 arrays of one shape; as many as are in use at once, for any number of threads."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._shape, self._lock = shape, threading.Lock()
        self._arrays: list[F32] = []

    def __len__(self) -> int:
        return len(self._arrays)

    def take(self) -> F32:
        """A free array with whatever was in it, or a new one."""
        with self._lock:
            for array in self._arrays:
                if sys.getrefcount(array) == OURS:
                    return array
            self._arrays.append(np.empty(self._shape, np.float32))
            return self._arrays[-1]
