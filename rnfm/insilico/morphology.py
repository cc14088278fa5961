"""Measurements of one segmented lesion, as in OpenBTAI's morphological table."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rnfm.insilico.inlay import NECROTIC


@dataclass(frozen=True)
class Measures:
    """Volumes [cc], rim width and largest diameter [mm], surface [cm2], regularity (1 = sphere)."""

    total_cc: float
    enhancing_cc: float
    necrotic_cc: float
    rim_width_mm: float
    max_diameter_mm: float
    surface_cm2: float
    regularity: float


def measure(segments: NDArray[np.integer], spacing_mm: tuple[float, float, float]) -> Measures:
    """Measure a lesion given as segments (0 elsewhere, 1 enhancing, 2 necrotic); at least one voxel must be set."""
    inside = np.argwhere(segments > 0)
    low, high = inside.min(axis=0), inside.max(axis=0) + 1
    part = segments[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    voxel_cc = math.prod(spacing_mm) / 1000
    total_cc, necrotic_cc = (part > 0).sum() * voxel_cc, (part == NECROTIC).sum() * voxel_cc
    surface_cm2 = _surface_cm2(part > 0, spacing_mm)
    return Measures(
        total_cc=float(total_cc),
        enhancing_cc=float(total_cc - necrotic_cc),
        necrotic_cc=float(necrotic_cc),
        rim_width_mm=sphere_radius_mm(total_cc) - sphere_radius_mm(necrotic_cc),
        max_diameter_mm=_max_diameter_mm(inside * np.array(spacing_mm)),
        surface_cm2=surface_cm2,
        regularity=float(6 * math.sqrt(math.pi) * total_cc / surface_cm2**1.5),
    )


def sphere_radius_mm(volume_cc: float) -> float:
    """Radius of the sphere with this volume."""
    return float((volume_cc * 1000 * 3 / (4 * math.pi)) ** (1 / 3))


def _surface_cm2(inside: NDArray[np.bool_], spacing_mm: tuple[float, float, float]) -> float:
    """Integral of the gradient of the smoothed mask: unlike counted voxel faces it does not grow by half on slopes."""
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(np.pad(inside.astype(np.float32), 4), 1.0)
    slopes = np.gradient(smooth, *spacing_mm)
    return float(np.sqrt(sum(slope**2 for slope in slopes)).sum() * math.prod(spacing_mm) / 100)


def _max_diameter_mm(points_mm: NDArray[np.float64]) -> float:
    """Largest distance between two voxel centres, found among the ends of rows along the first axis."""
    order = np.lexsort(points_mm.T[::1])
    points_mm = points_mm[order]
    same_row = (np.diff(points_mm[:, 1:], axis=0) == 0).all(axis=1)
    ends = points_mm[np.r_[True, ~same_row] | np.r_[~same_row, True]]
    squares = (ends**2).sum(axis=1)
    return float(np.sqrt(max((squares[:, None] + squares - 2 * ends @ ends.T).max(), 0.0)))
