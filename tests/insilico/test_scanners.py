"""Scanners: enough of them, varied, and blind to the label."""

from __future__ import annotations

import inspect
import math

import pytest

from rnfm.insilico import scanners


def test_the_pool_has_many_varied_scanners() -> None:
    fleet = [scanners.pool_scanner(0, number) for number in range(scanners.POOL_SCANNERS)]
    assert len({(item.tr_ms, item.flip_deg, item.gain) for item in fleet}) == len(fleet) >= 8
    assert sum(item.slice_mm >= scanners.THICK_FROM_MM for item in fleet) >= 2
    assert {item.field_t for item in fleet} == {1.5, 3.0}
    assert len({item.axcodes for item in fleet}) >= 3
    for item in fleet:
        assert 5 <= item.tr_ms <= 28
        assert 8 <= item.flip_deg <= 35
        assert 0.02 <= item.noise <= 0.06
        assert sorted("R" if c in "RL" else "A" if c in "AP" else "S" for c in item.axcodes) == ["A", "R", "S"]


def test_slices_are_stored_along_the_last_axis() -> None:
    names = {0: "RL", 1: "AP", 2: "SI"}
    for number in range(40):
        item = scanners.pool_scanner(1, number)
        assert item.axcodes[2] in names[item.slice_axis]


def test_thick_slices_lie_across_the_slice_axis() -> None:
    item = scanners.SITE_B[0]
    assert item.steps_mm(1.0) == pytest.approx((1.1, 1.1, 2.4))
    assert item.steps_mm(3.0) == pytest.approx((3.3, 3.3, 3.3))
    assert item.softness_mm(1.0) == pytest.approx((0.55, 0.55, 0.288))


def test_the_scanner_of_a_visit_knows_no_label() -> None:
    assert list(inspect.signature(scanners.of_visit).parameters) == [
        "seed",
        "site",
        "patient",
        "visit",
        "pool_scanners",
    ]
    names = {scanners.of_visit(0, "site_a", patient, 1).name for patient in range(40)}
    assert names == {"A1", "A2"}
    assert scanners.of_visit(0, "pool", 13, 1) == scanners.pool_scanner(0, 13 % scanners.POOL_SCANNERS)


def test_flip_angles_lie_above_the_ernst_angle() -> None:
    for number in range(24):
        item = scanners.pool_scanner(2, number)
        t1_s = 0.85 * item.sequence.t1_factor
        assert item.flip_deg > math.degrees(math.acos(math.exp(-item.tr_ms / 1000 / t1_s)))


def test_the_pool_has_as_many_scanners_as_asked_for() -> None:
    for count in (1, 3, 30):
        names = {scanners.of_visit(0, "pool", patient, 1, count).name for patient in range(100)}
        assert len(names) == count


def test_every_second_scanner_of_the_pool_is_oblique() -> None:
    for number in range(24):
        tilts_deg = scanners.pool_scanner(0, number).tilts_deg
        assert any(tilts_deg) == bool(number % 2)
        assert all(abs(tilt) <= most for tilt, most in zip(tilts_deg, scanners.MAX_TILT_DEG, strict=True))
