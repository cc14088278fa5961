"""Thumbnails: exact means, the same whatever the storage, mirrored with the scan; the table comes back as it went."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnfm.cohort import likeness
from rnfm.core.errors import IntegrityError


@given(size=st.integers(1, 60), ratio=st.floats(0.1, 4))
@settings(max_examples=60, deadline=None)
def test_every_old_voxel_is_shared_out_whole(size: int, ratio: float) -> None:
    weights = likeness.overlap(size, ratio)
    np.testing.assert_allclose(weights.sum(axis=0), ratio, rtol=2e-3, atol=2e-3)
    assert (weights.sum(axis=1) <= 1 + 1e-5).all()
    np.testing.assert_allclose(weights, weights[::-1, ::-1], atol=1e-4)  # concentric


def test_means_over_cubes_of_3_mm() -> None:
    image = np.arange(6**3, dtype=np.float32).reshape(6, 6, 6)
    thumb = likeness.thumbnail(image, np.ones_like(image, bool), (1.0, 1.0, 1.0))
    means = image.reshape(2, 3, 2, 3, 2, 3).mean(axis=(1, 3, 5))
    low, high = np.percentile(means, (0.5, 99.5))
    expected = np.clip(np.rint(1 + 254 * (means - low) / (high - low)), 1, 255)
    assert thumb.dtype == np.uint8
    np.testing.assert_array_equal(thumb, expected)


def test_outside_the_foreground_it_is_0_and_nothing_there_counts() -> None:
    image = np.random.default_rng(0).normal(100, 10, (24, 24, 24)).astype(np.float32)
    i, j, k = np.indices(image.shape) - 11.5
    ball = i**2 + j**2 + k**2 < 9**2
    thumb = likeness.thumbnail(image, ball, (1.0, 1.0, 1.0))
    assert thumb.shape == (6, 6, 6)
    assert (thumb[0, 0, 0], thumb[3, 3, 3] > 0) == (0, True)
    # Whatever lies outside, in a cube that is half head as well, changes nothing.
    np.testing.assert_array_equal(thumb, likeness.thumbnail(np.where(ball, image, 9e3), ball, (1.0, 1.0, 1.0)))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_flipped_scan_has_the_flipped_thumbnail(axis: int) -> None:
    image = np.random.default_rng(1).normal(size=(25, 31, 22)).astype(np.float32)
    head = image > -1.5
    here, there = (likeness.thumbnail(data, where, (1.5, 1.5, 1.5)) for data, where in ((image, head), (np.flip(image, axis), np.flip(head, axis))))  # fmt: skip
    assert np.abs(np.flip(here, axis).astype(int) - there).max() <= 1  # a mean may round either way


def test_a_thin_slab_and_a_giant_have_one_too() -> None:
    slab = np.random.default_rng(2).normal(size=(40, 40, 1)).astype(np.float32)
    assert likeness.thumbnail(slab, np.ones_like(slab, bool), (3.0, 3.0, 0.5)).shape == (40, 40, 1)
    giant = np.random.default_rng(2).normal(size=(200, 8, 8)).astype(np.float32)
    assert likeness.thumbnail(giant, np.ones_like(giant, bool), (3.0, 3.0, 3.0)).shape == (128, 8, 8)


def test_an_empty_foreground_is_our_mistake() -> None:
    with pytest.raises(ValueError, match="needs a foreground of its own shape, and not an empty one"):
        likeness.thumbnail(np.zeros((4, 4, 4)), np.zeros((4, 4, 4), bool), (1.0, 1.0, 1.0))


def test_the_table_comes_back_as_it_went(tmp_path: Path) -> None:
    draw = np.random.default_rng(3)
    rows = [(f"S-{i}", draw.random(5), draw.integers(0, 255, (2 + i % 3, 3, 4)).astype(np.uint8)) for i in range(40)]
    likeness.write(tmp_path / "likeness.parquet", rows)
    read = likeness.Likenesses(tmp_path / "likeness.parquet")
    assert read.scans == [code for code, _, _ in rows]
    np.testing.assert_allclose(read.spectra, np.stack([spectrum for _, spectrum, _ in rows]), atol=1e-3)
    for code, _, thumb in reversed(rows):
        np.testing.assert_array_equal(read.thumbnail(code), thumb)
    before = (tmp_path / "likeness.parquet").read_bytes()
    likeness.write(tmp_path / "likeness.parquet", rows)
    assert (tmp_path / "likeness.parquet").read_bytes() == before


def test_a_damaged_table_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "likeness.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(IntegrityError, match=r"^likeness.parquet: is not a readable table of likenesses"):
        likeness.Likenesses(tmp_path / "likeness.parquet")
