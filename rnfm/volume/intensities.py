"""What the intensity rule did, site by site: distributions of the head's voxels before it and after it.

The archive holds voxels after the rule and the rule's parameters of each scan. So "before" is the rule undone, which is
exact but for what it clipped (by default the outer 0.5% at either end); bias correction came before the rule and is in both.
A scan is summed up by quantiles (two kB), a site by its scans' densities: each scan counts the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rnfm.core.contract import IntensityRule
from rnfm.viz.planes import sample
from rnfm.viz.ridges import Panel, Ridge
from rnfm.volume.intensity import filled, foreground, undo_intensity

POINTS = 129
BINS = 72
BAND = (10, 90)  # the band of a site holds the scans between these percentiles [%]
MOST_SITES = 24  # more would not be read; those with most scans are drawn, the table beside the figure has all
FLOORED = ("percentile", "nyul")  # rules that set all below the head's low percentile, so the air too, to 0
LOG_BEYOND = 8.0  # raw medians of sites that differ by more than this factor need a logarithmic axis


@dataclass(frozen=True)
class Intensities:
    """Quantiles 0..100% (POINTS,) of one scan's head, before the rule and after it."""

    before: NDArray[np.float64]
    after: NDArray[np.float64]


def intensities(image_DHW: NDArray[np.float32], parameters: Mapping[str, float], rule: IntensityRule) -> Intensities:
    """Of one canonical image, from an even sample of its voxels. Rules rise, so a quantile undone is the quantile before."""
    few = sample(image_DHW)
    after = np.quantile(few[_head(few, rule)].astype(np.float64), np.linspace(0, 1, POINTS))
    return Intensities(undo_intensity(after, parameters, rule).astype(np.float64), after)


def _head(few: NDArray[np.float32], rule: IntensityRule) -> NDArray[np.bool_]:
    if few.min() == few.max():
        return np.ones(few.shape, bool)
    if rule.rule in FLOORED:
        return filled(few > 0)
    return foreground(few)


def panels(by_site: Mapping[str, Sequence[Intensities]]) -> tuple[Panel, Panel]:
    """Before and after, a row a site in the given order."""
    before = [[one.before for one in scans] for scans in by_site.values()]
    after = [[one.after for one in scans] for scans in by_site.values()]
    return _panel("Before", "raw value", before), _panel("After", "value", after)


def density(quantiles: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of voxels in each bin. Where many quantiles are equal (a clipped end), their whole share is in one bin.

    >>> density(np.linspace(0, 1, 129), np.array([0.0, 0.5, 1.0])).tolist()
    [0.5, 0.5]
    """
    rank = np.linspace(0, 1, quantiles.size)
    last = np.append(np.diff(quantiles) > 0, True)  # of equal quantiles, the highest rank is the share not above them
    below = np.interp(edges, quantiles[last], rank[last], left=0.0, right=1.0)
    below[0] = 0.0 if edges[0] <= quantiles[0] else below[0]
    return np.diff(below)


def _panel(title: str, xlabel: str, sites: Sequence[Sequence[NDArray[np.float64]]]) -> Panel:
    """The axis holds, of every site, the inner 98% of voxels of all scans but the outermost in ten."""
    low = min(float(np.percentile([np.quantile(scan, 0.01) for scan in scans], BAND[0])) for scans in sites)
    high = max(float(np.percentile([np.quantile(scan, 0.99) for scan in scans], BAND[1])) for scans in sites)
    middles = [float(np.median([np.median(scan) for scan in scans])) for scans in sites]
    log = low > 0 and max(middles) > LOG_BEYOND * min(middles)
    span = (high - low) or 1.0
    if log:
        edges = np.geomspace(low / 1.2, high * 1.2, BINS + 1)
    else:
        edges = np.linspace(low - 0.06 * span, high + 0.06 * span, BINS + 1)
    rows = []
    for scans in sites:
        curves = np.array([density(scan, edges) for scan in scans])
        spread = np.percentile(curves, BAND, axis=0)
        rows.append(Ridge(spread[0], curves.mean(axis=0), spread[1]))
    return Panel(title, xlabel, edges, rows, log=log, mark=float(np.median(middles)))
