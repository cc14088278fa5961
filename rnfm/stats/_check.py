"""What every function of this room asks of its arrays, in one place: one length, no NaN, both classes, groups that fit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnfm.core.errors import ConfigError, DataError

Array = NDArray[Any]


def labels(y: ArrayLike, *, both: bool = True) -> Array:
    """`y` as a boolean vector. Raises DataError unless it holds only 0 and 1 and, with `both`, both of them."""
    vector = np.asarray(y)
    if vector.ndim != 1 or vector.size == 0:
        raise DataError("y", f"has shape {vector.shape}, a filled vector is needed", "Give one label a case")
    values = vector.astype(float)
    if np.isnan(values).any():
        raise DataError("y", f"{int(np.isnan(values).sum())} of {values.size} labels are missing", "Leave them out")
    strange = np.setdiff1d(values, (0.0, 1.0))
    if strange.size:
        raise DataError("y", f"holds {strange[0]:g}, only 0 and 1 are labels", "Code the positive class as 1")
    if both and (values.min() == values.max()):
        raise DataError("y", f"all {values.size} labels are {values[0]:.0f}", "Both classes are needed")
    return values == 1.0


def scores(name: str, values: ArrayLike, size: int, *, probability: bool = False) -> Array:
    """`values` as a float vector of `size` numbers (infinite ones may rank). Raises DataError."""
    vector = np.asarray(values, dtype=float)
    if vector.shape != (size,):
        raise DataError(name, f"has shape {vector.shape} beside {size} labels", "Give one value a case")
    if np.isnan(vector).any():
        raise DataError(name, f"{int(np.isnan(vector).sum())} of {size} values are NaN", "Leave these cases out")
    if probability and (vector.min() < 0 or vector.max() > 1):
        worst = vector.min() if vector.min() < 0 else vector.max()
        raise DataError(name, f"holds {worst:g}, a probability lies in 0..1", "Give probabilities, not logits")
    return vector


def clusters(groups: ArrayLike | None, size: int) -> Array:
    """The cluster number (0, 1, ...) of each case; without `groups` every case is its own cluster."""
    if groups is None:
        return np.arange(size)
    vector = np.asarray(groups)
    if vector.shape != (size,):
        raise DataError("groups", f"has shape {vector.shape} beside {size} labels", "Give one group a case")
    return np.unique(vector, return_inverse=True)[1]


def fraction(name: str, value: float) -> float:
    """A number strictly between 0 and 1, else ConfigError."""
    if not 0 < value < 1:
        raise ConfigError(name, f"is {value:g}, it must lie between 0 and 1", f"Give a {name} such as 0.95")
    return float(value)
