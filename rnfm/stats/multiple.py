"""Several tests at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from rnfm.core.errors import DataError
from rnfm.stats._check import Array


def holm(p: ArrayLike) -> Array:
    """Holm's step-down adjusted p values (1979), in the order given; the family-wise error holds under any dependence.

    p: (k,) in 0..1; NaN (a test that could not be made) stays NaN and does not count in the family.

    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    values = np.atleast_1d(np.asarray(p, dtype=float))
    made = ~np.isnan(values)
    if np.any((values[made] < 0) | (values[made] > 1)):
        raise DataError("p", "holds values outside 0..1", "Give p values")
    adjusted = np.full(values.shape, np.nan)
    order = np.argsort(values[made], kind="stable")
    factors = np.arange(order.size, 0, -1)
    steps = np.minimum(np.maximum.accumulate(values[made][order] * factors), 1.0)
    back = np.empty(order.size)
    back[order] = steps
    adjusted[made] = back
    return adjusted
