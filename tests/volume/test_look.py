"""One scan summed up: volumes by value against counting, and the same looks from any number of processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnfm.volume import PrepareConfig, VolumeArchive, prepare
from rnfm.volume.look import Lesions, Look, lesions_of, look, looks


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 0.4))
def test_volumes_by_value_are_counts(seed: int, share: float) -> None:
    noise = np.random.default_rng(seed)
    mask = (noise.random((9, 8, 7)) < share) * noise.choice([1, 7, 65535], (9, 8, 7)).astype(np.uint16)
    found = lesions_of(mask.astype(np.uint16), 0.008)
    flat = mask.ravel().tolist()
    assert found.volume_ml == pytest.approx({value: 0.008 * flat.count(value) for value in set(flat) - {0}})
    assert (found.parts == 0) == (not any(flat))


def test_parts_are_face_connected_whatever_their_values() -> None:
    mask = np.zeros((6, 6, 6), np.uint16)
    mask[0, 0, 0], mask[0, 0, 1] = 1, 2  # one part of two values
    mask[1, 1, 2] = 2  # touches it by an edge only
    mask[5, 5, 5] = 1
    assert lesions_of(mask, 1.0) == Lesions({1: 2.0, 2: 2.0}, 3)
    assert lesions_of(np.zeros((2, 2, 2), np.uint16), 1.0) == Lesions({}, 0)


@pytest.fixture
def prepared(make_cohort: Callable, tmp_path: Path) -> VolumeArchive:
    cohort = make_cohort(4)
    prepare(PrepareConfig(cohort=cohort.path, out=tmp_path / "volumes", spacing_mm=(3, 3, 3)))
    return VolumeArchive.open(tmp_path / "volumes")


def test_a_scan_with_and_one_without_a_mask(prepared: VolumeArchive) -> None:
    """By hand: a ball of radius 15 voxels of 27 mm3 is 382 ml, the lesion of radius 4 in it 7.2 ml; source LPS."""
    first, second = (look(prepared, f"S-0000000{i}", 96) for i in (0, 1))
    assert (first.patient, first.site, first.source_axes) == ("P-00000000", "A", "LPS")
    assert (first.source_shape_vox, first.source_spacing_mm) == ((40, 44, 40), pytest.approx((3, 3, 3)))
    assert first.head_ml == pytest.approx(4 / 3 * np.pi * 15**3 * 0.027, rel=0.05)
    assert first.lesions is not None
    assert first.lesions.parts == 1
    assert first.lesions.volume_ml == {1: pytest.approx(4 / 3 * np.pi * 4**3 * 0.027, rel=0.1)}
    assert set(first.planes.outlines) == {1}
    assert (second.lesions, second.planes.outlines) == (None, {})
    assert np.median(first.intensities.before) == pytest.approx(400, rel=0.05)  # as the fixture draws the ball


def same(a: Look, b: Look) -> bool:
    plain = [replace(one, intensities=None) for one in (a, b)]  # type: ignore[arg-type]
    return plain[0] == plain[1] and np.array_equal(a.intensities.before, b.intensities.before)


def test_two_processes_see_the_same_in_the_same_order(prepared: VolumeArchive) -> None:
    with looks(prepared, side_px=64, workers=1) as alone, looks(prepared, side_px=64, workers=2) as together:
        pairs = list(zip(alone, together, strict=True))
    assert [one.scan for one, _ in pairs] == [f"S-0000000{i}" for i in range(4)]
    assert all(same(one, other) for one, other in pairs)
