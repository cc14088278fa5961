"""Contours to masks: fills checked by hand and against matplotlib, balls against their formula, regions by their names."""

from __future__ import annotations

from pathlib import Path as PagePath
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as Outline

from rnfm.cohort.adapters.dicom.rtstruct import ORGANS, Region, fill, is_organ, lesion_regions, paint

SQUARE = np.array([[0.5, 0.5], [6.5, 0.5], [6.5, 6.5], [0.5, 6.5]])


def _square(low: float, high: float) -> np.ndarray:
    return np.array([[low, low], [high, low], [high, high], [low, high]])


def test_a_square_covers_the_pixels_whose_centres_it_holds() -> None:
    assert np.argwhere(fill([_square(0.5, 2.5)], (4, 4))).tolist() == [[1, 1], [1, 2], [2, 1], [2, 2]]


def test_a_hole_an_island_and_a_keyhole() -> None:
    hole = fill([SQUARE, _square(1.5, 5.5)], (8, 8))
    assert hole.sum() == 36 - 16
    island = fill([SQUARE, _square(1.5, 5.5), _square(2.5, 4.5)], (8, 8))
    assert island.sum() == 36 - 16 + 4
    # Out along a seam, around the hole the other way, and back along the seam.
    keyhole = np.array(
        [[0.5, 0.5], [6.5, 0.5], [6.5, 6.5], [0.5, 6.5], [0.5, 0.5], [1.5, 1.5], [1.5, 5.5], [5.5, 5.5], [5.5, 1.5], [1.5, 1.5]]
    )  # fmt: skip
    assert np.array_equal(fill([keyhole], (8, 8)), hole)


def test_direction_and_parts_outside_do_not_matter() -> None:
    assert np.array_equal(fill([SQUARE[::-1]], (8, 8)), fill([SQUARE], (8, 8)))
    assert fill([_square(-5.5, 3.5)], (8, 8)).sum() == 16
    assert not fill([_square(20.0, 30.0)], (8, 8)).any()


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.floats(-2, 14), st.floats(-2, 12)), min_size=3, max_size=9), st.integers(0, 9))
def test_any_polygon_even_one_that_crosses_itself_is_filled_by_parity(
    points: list[tuple[float, float]], seed: int
) -> None:
    # Points off the pixel lines: on an edge exactly, either answer is right.
    outline = np.array(points) + np.random.default_rng(seed).uniform(0.01, 0.02, (len(points), 2))
    expected = [_crossings(outline, centre) % 2 == 1 for centre in np.argwhere(np.ones((12, 10)))]
    assert np.array_equal(fill([outline], (12, 10)).ravel(), expected)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(1, 5), min_size=5, max_size=12))
def test_a_star_shaped_outline_is_filled_as_matplotlib_fills_it(radii: list[float]) -> None:
    turns = np.linspace(0.1, 2 * np.pi + 0.1, len(radii), endpoint=False)
    outline = np.column_stack([6.03 + radii * np.cos(turns), 5.07 + radii * np.sin(turns)])
    closed = Outline(np.vstack([outline, outline[:1]]), closed=True)
    inside = closed.contains_points(np.argwhere(np.ones((12, 10))))
    assert np.array_equal(fill([outline], (12, 10)).ravel(), inside)


def _crossings(outline: np.ndarray, centre: np.ndarray) -> int:
    """The textbook ray test, one point at a time."""
    count = 0
    for (x0, y0), (x1, y1) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        if (y0 > centre[1]) != (y1 > centre[1]):
            count += bool(centre[0] < (x1 - x0) * (centre[1] - y0) / (y1 - y0) + x0)
    return count


OBLIQUE = (np.array([0.36, 0.48, -0.8]), np.array([-0.8, 0.6, 0.0]))


@pytest.mark.parametrize(
    ("across", "down", "pixel_mm", "gap_mm"),
    [
        ((1, 0, 0), (0, 1, 0), (1.0, 1.0), 1.0),
        ((1, 0, 0), (0, 1, 0), (0.9, 0.7), 2.5),
        ((0, 1, 0), (0, 0, -1), (1.0, 1.0), 1.2),
        (*OBLIQUE, (0.8, 1.1), 1.6),
    ],
)
def test_a_ball_keeps_its_volume_and_its_centre(
    dicom_files: Any, across: Any, down: Any, pixel_mm: tuple[float, float], gap_mm: float
) -> None:
    """Radius 13 mm at a place between voxels: volume 9.203 ml to 2 %, centre to 0.15 mm, in patient space."""
    shape, centre_vox = (48, 44, 40), (23.3, 20.6, 19.2)
    facts = {
        "across": across,
        "down": down,
        "pixel_mm": pixel_mm,
        "gap_mm": gap_mm,
        "origin_mm": (-20.0, 5.0, 30.0),
        "shape": shape,
    }
    affine = np.eye(4)
    affine[:3, 3] = dicom_files.lps(facts, (0, 0, 0))
    for axis in range(3):
        affine[:3, axis] = dicom_files.lps(facts, np.eye(3)[axis]) - affine[:3, 3]
    affine = np.diag([-1, -1, 1, 1]) @ affine
    contours = tuple(points * (-1, -1, 1) for points in dicom_files.ball(facts, centre_vox, 13.0))
    painted = paint([Region(1, contours)], {1: 7}, affine, shape)
    assert set(np.unique(painted.mask)) == {0, 7}
    assert painted.volumes_ml[7] == pytest.approx(4 / 3 * np.pi * 1.3**3, rel=0.02)
    centre = affine[:3, :3] @ np.argwhere(painted.mask == 7).mean(axis=0) + affine[:3, 3]
    expected = dicom_files.lps(facts, centre_vox) * (-1, -1, 1)
    assert np.linalg.norm(centre - expected) < 0.15
    assert (painted.stray, painted.overlap_vox, painted.gaps) == (0, 0, ())


def _flat(low: float, high: float, k: float) -> np.ndarray:
    return np.column_stack([_square(low, high), np.full(4, k)])


def test_contours_between_slices_or_outside_are_strays_and_nothing_is_moved() -> None:
    region = Region(1, (_flat(0.5, 3.5, 2.0), _flat(0.5, 3.5, 2.4), _flat(0.5, 3.5, 9.0), _flat(0.5, 3.5, 3.2)))
    painted = paint([region], {1: 1}, np.eye(4), (8, 8, 8))
    assert (painted.contours, painted.stray) == (4, 2)
    assert painted.mask.sum(axis=(0, 1)).tolist() == [0, 0, 9, 9, 0, 0, 0, 0]


def test_a_tilted_contour_is_a_stray() -> None:
    tilted = _flat(0.5, 6.5, 2.0) + np.array([[0, 0, 0], [0, 0, 1], [0, 0, 1], [0, 0, 0]])
    assert paint([Region(1, (tilted,))], {1: 1}, np.eye(4), (8, 8, 8)).stray == 1


def test_the_smaller_of_two_regions_keeps_the_voxels_they_share() -> None:
    big, small = Region(1, (_flat(0.5, 5.5, 1.0),)), Region(2, (_flat(1.5, 3.5, 1.0),))
    painted = paint([small, big], {1: 1, 2: 2}, np.eye(4), (8, 8, 4))
    assert ((painted.mask == 2).sum(), (painted.mask == 1).sum(), painted.overlap_vox) == (4, 21, 4)


def test_skipped_slices_and_regions_without_a_voxel_are_told() -> None:
    gap = Region(1, (_flat(0.5, 3.5, 1.0), _flat(0.5, 3.5, 3.0)))
    speck = Region(2, (_flat(5.1, 5.4, 1.0),))
    painted = paint([gap, speck], {1: 4, 2: 5}, np.eye(4), (8, 8, 8))
    assert painted.gaps == (4,)
    assert painted.volumes_ml == {4: 0.018, 5: 0.0}


@pytest.mark.parametrize(
    "name", ["Skull", "BRAIN", "Brain Stem", "brainstem_PRV", "Eye_L", "Lt Eye", "Optic Nerve R", "OpticChiasm"[:5] + " Chiasm",
             "Cochlea_R", "External", "*helper", "", "Lens 2", "Hippocampus_L", "Right Orbit"]
)  # fmt: skip
def test_organs_and_helpers_are_no_lesions(name: str) -> None:
    assert is_organ(name)


@pytest.mark.parametrize(
    "name", ["Brainstem met", "Lt frontal", "GTV1", "R_Occipital", "Cerebellum met 2", "met near chiasm", "L1"]
)
def test_lesions_named_after_their_place_are_lesions(name: str) -> None:
    assert not is_organ(name)


def test_margins_count_only_where_no_lesion_is_drawn() -> None:
    regions = [(1, "Skull", ""), (2, "GTV 1", "GTV"), (3, "PTV_1", "PTV"), (4, "Iso", "ISOCENTER")]
    assert lesion_regions(regions) == [(2, "GTV 1")]
    assert lesion_regions([regions[0], regions[2]]) == [(3, "PTV_1")]


def test_the_page_of_layouts_names_the_words_that_are_no_lesion() -> None:
    page = (PagePath(__file__).parents[4] / "docs/layouts.md").read_text().lower()
    words = {
        "skull",
        "brain",
        "external",
        "eye",
        "chiasm",
        "cochlea",
        "lens",
        "hippocampus",
        "pituitary",
        "spinal cord",
        "ring",
        "basilar",
    }
    assert words <= ORGANS
    assert [word for word in words if word not in page] == []
