"""Spectra: blind to shifts, permuted by mirrorings; the right candidate among many, and no pair that is to be skipped."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnfm.cohort import screening

_SPEC = importlib.util.spec_from_file_location("heads", Path(__file__).with_name("test_aligning.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
heads: Any = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(heads)


def test_a_mirroring_permutes_the_spectrum() -> None:
    thumb = heads.head(0, (46, 52, 48))
    here = screening.spectrum(thumb)
    for axes, which in (((0,), 1), ((1,), 2), ((2,), 3), ((0, 1), 3), ((0, 1, 2), 0)):
        there = screening.spectrum(np.ascontiguousarray(np.flip(thumb, axes)))
        order = screening._mirrored()[which]
        np.testing.assert_allclose(here[np.concatenate([order, len(order) + order])], there, atol=2e-2)
    assert here.dtype == np.float32


def test_a_shift_leaves_it_as_it_is() -> None:
    thumb = heads.head(0, (40, 40, 40))
    moved = np.pad(thumb, ((6, 0), (0, 10), (2, 2)))
    np.testing.assert_allclose(screening.spectrum(moved), screening.spectrum(thumb), atol=2e-2)


@pytest.fixture(scope="module")
def many() -> tuple[np.ndarray, np.ndarray]:
    """Spectra of 40 heads and of 12 of them mirrored and cut."""
    thumbs = [heads.head(seed, (40, 46, 42)) for seed in range(40)]
    copies = [np.ascontiguousarray(np.flip(thumb, seed % 3)[2:, :-3, 6:]) for seed, thumb in enumerate(thumbs[:12])]
    one, two = (np.stack([screening.spectrum(thumb) for thumb in side]) for side in (thumbs, copies))
    return one, two


@pytest.mark.parametrize("turned", [False, True])
def test_the_copy_is_the_first_candidate(many: tuple[np.ndarray, np.ndarray], turned: bool) -> None:
    pairs = screening.candidates(*(many[::-1] if turned else many), 1)
    assert pairs == sorted((seed, seed) for seed in range(12))


def test_skipped_pairs_are_no_candidates_and_others_take_their_place(many: tuple[np.ndarray, np.ndarray]) -> None:
    skip = np.zeros((40, 12), bool)
    skip[np.arange(12), np.arange(12)] = True
    pairs = screening.candidates(*many, 2, skip)
    assert len(pairs) == 24
    assert all(row != column for row, column in pairs)
    assert screening.candidates(*many, 2, np.ones((40, 12), bool)) == []


def test_few_pairs_are_all_looked_at(many: tuple[np.ndarray, np.ndarray]) -> None:
    assert len(screening.candidates(many[0][:20], many[1], 1)) == 240
    assert len(screening.candidates(many[0], many[1], 1)) == 12
