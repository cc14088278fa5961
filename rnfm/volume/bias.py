"""N4 bias-field correction (Tustison et al., "N4ITK", IEEE TMI 29, 2010), by SimpleITK, the same bits every time.

    raw (D, H, W) --shrunk--> N4 inside the foreground --> log field, evaluated on the full grid --> raw / exp(field)

The field is sought on a grid thinned out by `shrink`, as its authors advise; it is smooth, so nothing is lost. It has no
scale of its own, hence every intensity rule but `none` gives the same numbers whatever gain it carries. Off by default: it
takes seconds a scan, and can take away part of a large lesion's own brightness.
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from rnfm.core.contract import BiasRule
from rnfm.core.ledger import Reason
from rnfm.volume.faults import ScanFault

FEWEST_VOXELS = 500  # of positive foreground on the shrunk grid: fewer cannot hold a field of 4 x 4 x 4 knots
SMALLEST_SIDE = 16  # [voxel] of the shrunk grid


def without_bias(raw: np.ndarray, head: np.ndarray, rule: BiasRule) -> np.ndarray:
    """`raw` float32 (D, H, W) divided by its bias field, which is found inside `head`; unchanged under rule none.

    Raises ScanFault (BIAS_FAILED) where the foreground holds too few positive values for a field, or N4 gives none.
    """
    if rule.rule == "none":
        return raw
    return (raw / np.exp(log_field(raw, head, rule))).astype(np.float32, copy=False)


def log_field(raw: np.ndarray, head: np.ndarray, rule: BiasRule) -> np.ndarray:
    """The logarithm of the multiplicative field, float32 (D, H, W). One thread, so that sums come in one order."""
    step = [max(1, min(rule.shrink, side // SMALLEST_SIDE)) for side in raw.shape]
    sitk_step = step[::-1]
    full = sitk.GetImageFromArray(raw.astype(np.float32, copy=False))
    inside = sitk.GetImageFromArray((head & (raw > 0)).astype(np.uint8))
    small, where = sitk.Shrink(full, sitk_step), sitk.Shrink(inside, sitk_step)
    if int(sitk.GetArrayViewFromImage(where).sum()) < FEWEST_VOXELS:
        raise ScanFault(Reason.BIAS_FAILED, "its foreground holds too few values above 0 for N4")
    filter_ = sitk.N4BiasFieldCorrectionImageFilter()
    filter_.SetNumberOfThreads(1)
    filter_.SetMaximumNumberOfIterations([rule.iterations] * rule.levels)
    filter_.SetConvergenceThreshold(rule.convergence)
    try:
        filter_.Execute(small, where)
        field = sitk.GetArrayFromImage(filter_.GetLogBiasFieldAsImage(full))
    except RuntimeError:
        raise ScanFault(Reason.BIAS_FAILED, "N4 finds no field for it") from None
    if not np.isfinite(field).all():
        raise ScanFault(Reason.BIAS_FAILED, "N4 finds no finite field for it")
    return field.astype(np.float32, copy=False)
