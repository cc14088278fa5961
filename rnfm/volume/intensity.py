"""From raw scanner values to numbers a network can compare: foreground, rule, parameters. Pure functions of arrays.

    raw (D, H, W) --foreground--> where the head is --fit_intensity--> {"mean": ..., "sd": ...} --apply_intensity--> float32

The parameters are fitted on the foreground only, so that the share of air in the field of view changes nothing, and are
stored, so that every archive can be mapped back to raw values (`undo_intensity`; what was clipped comes back as the clip).
Multiplying a scan by a gain leaves the result unchanged (all rules but `none`); a test holds us to it.

Rule `nyul` (Nyul, Udupa, IEEE TMI 19, 2000) also needs landmarks that were fitted on other scans (rnfm.volume.landmarks); they
are part of the rule, so that a scan of any centre, and a single one, is mapped in the same way.

No function here makes more than one full copy of a scan at a time: memory is what limits how many workers fit.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import ndimage

from rnfm.core.contract import IntensityRule

BINS = 256
NYUL = ("low", *(f"d{decile}" for decile in range(1, 10)), "high")  # names of a scan's percentiles
BRIGHT_END = 99.5  # [%] values above count as this one when the threshold is sought: fat and vessels must not set it


def foreground(raw: np.ndarray) -> np.ndarray:
    """Where the head is (bool, same shape): the largest bright component, its holes filled.

    The threshold lies half-way between air and Otsu's (IEEE Trans. SMC 1979), which in a head scan parts air and
    cerebrospinal fluid from tissue: so dark tissue stays and the noise in air does not. Never empty for a scan that varies.
    """
    air, bright = np.percentile(raw, (1, BRIGHT_END))
    head = _largest(raw > (air + otsu(raw, bright if bright > air else None)) / 2)
    return filled(head)


def filled(where: np.ndarray) -> np.ndarray:
    """`where` with its holes: what does not reach the edge of the field of view."""
    return where | ~_touching_border(~where)


def otsu(values: np.ndarray, top: float | None = None) -> float:
    """The threshold that maximises the variance between the two classes it makes; values above `top` count as `top`."""
    low, high = float(values.min()), float(values.max()) if top is None else float(top)
    counts, edges = np.histogram(values, BINS, (low, high))
    counts[-1] += np.count_nonzero(values > high)
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


def percentiles(values: np.ndarray, rule: IntensityRule) -> tuple[float, ...]:
    """The low, the nine deciles and the high percentile (11,) of the foreground: what `nyul` maps to its landmarks."""
    return tuple(float(x) for x in np.percentile(values, (rule.low, *range(10, 100, 10), rule.high)))


def fit_intensity(values: np.ndarray, rule: IntensityRule) -> dict[str, float]:
    """The parameters of `rule` for one scan, from its foreground values: low, high, and for `zscore` mean and sd.

    Mean and sd are taken between the two percentiles, so that a bright vessel or a spike does not set the scale. Of `nyul`
    they are the scan's percentiles by the names of `NYUL`.
    """
    if rule.rule == "none":
        return {}
    if rule.rule == "nyul":
        return dict(zip(NYUL, percentiles(values, rule), strict=True))
    low, high = (float(x) for x in np.percentile(values, (rule.low, rule.high)))
    found = {"low": low, "high": high}
    if rule.rule == "zscore":
        middle = values[(values >= low) & (values <= high)].astype(np.float64)
        found |= {"mean": float(middle.mean()), "sd": max(float(middle.std()), 1e-6)}
    return found


def apply_intensity(raw: np.ndarray, parameters: Mapping[str, float], rule: IntensityRule) -> np.ndarray:
    """`raw` as float32 under `rule`: clipped z-scores; 0..1 between the percentiles; along the landmarks; or unchanged.

    Raises ValueError for `nyul` without landmarks.
    """
    if rule.rule == "none":
        return raw.astype(np.float32, copy=False)
    if rule.rule == "nyul":
        return _interpolated(raw, _knots(parameters), _landmarks(rule))
    out = raw.astype(np.float32)
    if rule.rule == "zscore":
        out -= np.float32(parameters["mean"])
        out /= np.float32(parameters["sd"])
        return np.clip(out, -rule.clip, rule.clip, out=out)
    out -= np.float32(parameters["low"])
    out /= np.float32(max(parameters["high"] - parameters["low"], 1e-6))
    return np.clip(out, 0, 1, out=out)


def undo_intensity(values: np.ndarray, parameters: Mapping[str, float], rule: IntensityRule) -> np.ndarray:
    """The raw values (float32) that `apply_intensity` was given; a clipped one comes back as the clip. Raises as that does."""
    if rule.rule == "none":
        return values.astype(np.float32, copy=False)
    if rule.rule == "nyul":
        return _interpolated(values, _landmarks(rule), _knots(parameters))
    scale, shift = (
        (parameters["sd"], parameters["mean"])
        if rule.rule == "zscore"
        else (max(parameters["high"] - parameters["low"], 1e-6), parameters["low"])
    )
    out = values.astype(np.float32)
    out *= np.float32(scale)
    out += np.float32(shift)
    return out


def _knots(parameters: Mapping[str, float]) -> np.ndarray:
    """A scan's percentiles (11,), rising also where a scan has the same value at two of them."""
    knots = np.maximum.accumulate(np.array([parameters[name] for name in NYUL], np.float64))
    return knots + np.arange(len(NYUL)) * max(float(np.abs(knots).max()), 1.0) * 1e-9


def _landmarks(rule: IntensityRule) -> np.ndarray:
    if not rule.landmarks:
        raise ValueError("intensity rule nyul has no landmarks: they are fitted by `rnfm data prepare`")
    return np.array(rule.landmarks, np.float64)


def _interpolated(values: np.ndarray, knots: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """Straight lines between the knots, level beyond them; float32, slab by slab (NumPy interpolates in double precision)."""
    out = np.empty(values.shape, np.float32)
    for index in range(len(values)):
        out[index] = np.interp(values[index], knots, heights)
    return out


def _largest(where: np.ndarray) -> np.ndarray:
    labels, count = ndimage.label(where)
    if count < 2:
        return where
    sizes = np.zeros(count + 1, np.int64)
    for slab in labels:  # all at once, NumPy would make an 8-byte copy of each label
        sizes += np.bincount(slab.ravel(), minlength=count + 1)
    sizes[0] = 0
    return labels == sizes.argmax()


def _touching_border(where: np.ndarray) -> np.ndarray:
    """The components that reach the edge of the field of view (what does not is a hole)."""
    labels, count = ndimage.label(where)
    faces = [np.unique(face) for axis in range(3) for face in (labels.take(0, axis), labels.take(-1, axis))]
    reaching = np.zeros(count + 1, bool)
    reaching[np.concatenate(faces)] = True
    reaching[0] = False
    return reaching[labels]
