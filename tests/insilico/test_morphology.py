"""Measures of a ball against its formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rnfm.insilico.morphology import measure, sphere_radius_mm


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), (0.9, 0.9, 1.6)])
def test_a_ball_with_a_dead_core(spacing_mm: tuple[float, float, float]) -> None:
    axes = [(np.arange(41) - 20) * step for step in spacing_mm]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    radius = np.sqrt(x**2 + y**2 + z**2)
    found = measure(np.where(radius < 6, 2, np.where(radius < 12, 1, 0)), spacing_mm)
    ball_cc = 4 / 3 * math.pi * 12**3 / 1000
    assert found.total_cc == pytest.approx(ball_cc, rel=0.02)
    assert found.necrotic_cc == pytest.approx(ball_cc / 8, rel=0.05)
    assert found.enhancing_cc + found.necrotic_cc == pytest.approx(found.total_cc)
    assert found.rim_width_mm == pytest.approx(6, abs=0.2)
    assert found.surface_cm2 == pytest.approx(4 * math.pi * 12**2 / 100, rel=0.04)
    assert found.regularity == pytest.approx(1, abs=0.06)
    assert found.max_diameter_mm == pytest.approx(24, abs=1.5)


def test_largest_diameter_equals_all_pairs() -> None:
    segments = (np.random.default_rng(0).random((6, 7, 8)) < 0.3).astype(np.uint8)
    points = np.argwhere(segments) * np.array([1.0, 0.8, 2.0])
    expected = max(np.linalg.norm(points - point, axis=1).max() for point in points)
    assert measure(segments, (1.0, 0.8, 2.0)).max_diameter_mm == pytest.approx(expected)


def test_one_voxel() -> None:
    segments = np.zeros((3, 3, 3), int)
    segments[1, 1, 1] = 1
    found = measure(segments, (1.0, 1.0, 2.0))
    assert (found.total_cc, found.necrotic_cc, found.max_diameter_mm) == (0.002, 0.0, 0.0)
    assert found.rim_width_mm == pytest.approx(sphere_radius_mm(0.002))
