"""From raw scanner values to numbers a network can compare: foreground, rule, parameters. Pure functions of arrays.

    raw (D, H, W) --foreground--> where the head is --fit_intensity--> {"mean": ..., "sd": ...} --apply_intensity--> float32

The parameters are fitted on the foreground only, so that the share of air in the field of view changes nothing, and are
stored, so that every archive can be mapped back to raw values. Multiplying a scan by a gain leaves the result unchanged
(rules `zscore` and `percentile`); a test holds us to it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import ndimage

from rnfm.core.contract import IntensityRule

BINS = 256
BRIGHT_END = 99.5  # [%] values above count as this one when the threshold is sought: fat and vessels must not set it


def foreground(raw: np.ndarray) -> np.ndarray:
    """Where the head is (bool, same shape): the largest bright component, its holes filled.

    The threshold lies half-way between air and Otsu's (IEEE Trans. SMC 1979), which in a head scan parts air and
    cerebrospinal fluid from tissue: so dark tissue stays and the noise in air does not. Never empty for a scan that varies.
    """
    air, bright = np.percentile(raw, (1, BRIGHT_END))
    head = _largest(raw > (air + otsu(np.minimum(raw, bright) if bright > air else raw)) / 2)
    return head | ~_touching_border(~head)


def otsu(values: np.ndarray) -> float:
    """The threshold that maximises the variance between the two classes it makes."""
    counts, edges = np.histogram(values, BINS)
    centres = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts).astype(np.float64)
    above = below[-1] - below
    sums = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(edges[1:][np.nanargmax(between[:-1])])


def box(where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First voxel and one past the last (3,), along each axis, of the voxels that are set; the whole array if none is."""
    if not where.any():
        return np.zeros(3, int), np.array(where.shape)
    sides = [np.flatnonzero(where.any(axis=tuple(other for other in range(3) if other != axis))) for axis in range(3)]
    return np.array([side[0] for side in sides]), np.array([side[-1] + 1 for side in sides])


def fit_intensity(values: np.ndarray, rule: IntensityRule) -> dict[str, float]:
    """The parameters of `rule` for one scan, from its foreground values: low, high, and for `zscore` mean and sd.

    Mean and sd are taken between the two percentiles, so that a bright vessel or a spike does not set the scale.
    """
    if rule.rule == "none":
        return {}
    low, high = (float(x) for x in np.percentile(values, (rule.low, rule.high)))
    found = {"low": low, "high": high}
    if rule.rule == "zscore":
        middle = values[(values >= low) & (values <= high)].astype(np.float64)
        found |= {"mean": float(middle.mean()), "sd": max(float(middle.std()), 1e-6)}
    return found


def apply_intensity(raw: np.ndarray, parameters: Mapping[str, float], rule: IntensityRule) -> np.ndarray:
    """`raw` as float32 under `rule`: clipped z-scores, or 0..1 between the percentiles, or unchanged."""
    if rule.rule == "none":
        return raw.astype(np.float32, copy=False)
    if rule.rule == "zscore":
        scores = (raw.astype(np.float32) - np.float32(parameters["mean"])) / np.float32(parameters["sd"])
        return np.clip(scores, -rule.clip, rule.clip)
    span = max(parameters["high"] - parameters["low"], 1e-6)
    return np.clip((raw.astype(np.float32) - np.float32(parameters["low"])) / np.float32(span), 0, 1)


def _largest(where: np.ndarray) -> np.ndarray:
    labels, count = ndimage.label(where)
    if count < 2:
        return where
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return labels == sizes.argmax()


def _touching_border(where: np.ndarray) -> np.ndarray:
    """The components that reach the edge of the field of view (what does not is a hole)."""
    labels, _ = ndimage.label(where)
    faces = [np.unique(face) for axis in range(3) for face in (labels.take(0, axis), labels.take(-1, axis))]
    reaching = np.zeros(labels.max() + 1, bool)
    reaching[np.concatenate(faces)] = True
    reaching[0] = False
    return reaching[labels]
