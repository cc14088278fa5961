"""Schedules as pure functions of the step: a resume has nothing to restore."""

from __future__ import annotations

import math


def warmup_cosine(step: int, *, steps: int, peak: float, floor: float, warmup: float) -> float:
    """The value at `step` (0-based) of `steps`: a linear rise over the first share `warmup`, then half a cosine to `floor`.

    >>> warmup_cosine(0, steps=10, peak=1.0, floor=0.0, warmup=0.2)
    0.5
    """
    rise = int(warmup * steps)
    if step < rise:
        return peak * (step + 1) / rise
    done = (step - rise) / max(1, steps - 1 - rise)
    return floor + 0.5 * (peak - floor) * (1 + math.cos(math.pi * min(1.0, done)))
