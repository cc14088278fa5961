"""Three planes and outlines: where sides are, that outlines lie on the lesion in millimetres, what odd volumes give."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rnfm.viz.planes import Planes, sample, three_planes


def pixels(planes: Planes) -> np.ndarray:
    """The sheet as int (rows, columns)."""
    picture = Image.open(io.BytesIO(planes.jpeg))
    assert (picture.format, picture.mode, picture.size) == ("JPEG", "L", (3 * planes.side_px, planes.side_px))
    return np.asarray(picture).astype(int)


def loops(path: str) -> list[np.ndarray]:
    """SVG path data of 'M x,y l dx,dy ... z' as points (n, 2), read by the rules of SVG, not by ours."""
    found = []
    for loop in re.findall(r"M([^z]*)z", path):
        start, _, rest = loop.partition("l")
        pairs = [[float(number) for number in pair.split(",")] for pair in [start, *rest.split()]]
        found.append(np.cumsum(pairs, axis=0))
    return found


def area(points: np.ndarray) -> float:
    x, y = points.T
    return abs(float(x @ np.roll(y, 1) - y @ np.roll(x, 1))) / 2


def test_the_sides_of_the_picture() -> None:
    """A bright corner at the patient's right, front and top is on the left and top of every panel."""
    image = np.full((30, 30, 30), 10, np.float32)
    image[18:28, 18:28, 18:28] = 100
    sheet = pixels(three_planes(image, None, (2, 2, 2), side_px=96))
    for panel in np.split(sheet, 3, axis=1):
        rows, columns = np.nonzero(panel > 128)
        assert rows.mean() < 45
        assert columns.mean() < 45


def test_panels_share_one_scale_and_stand_in_the_middle_of_their_squares() -> None:
    """20 x 40 x 10 voxels of 2 x 1 x 4 mm: 40 mm along each axis, so all squares are full; of 1 mm, only one axis is."""
    noise = np.random.default_rng(0).uniform(100, 200, (20, 40, 10)).astype(np.float32)
    noise[0, 0, 0] = 0  # black, so that the window begins below the noise
    full = pixels(three_planes(noise, None, (2, 1, 4), side_px=80))
    assert (np.split(full, 3, axis=1)[0][2:-2, 2:-2] > 0).mean() > 0.95
    axial, coronal, sagittal = np.split(pixels(three_planes(noise, None, (1, 1, 1), side_px=80)), 3, axis=1)
    for panel, (height, width) in ((axial, (80, 40)), (coronal, (20, 40)), (sagittal, (20, 80))):
        rows, columns = np.nonzero(panel > 30)
        assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (pytest.approx(height, abs=2), pytest.approx(width, abs=2))
        assert (rows.mean(), columns.mean()) == (pytest.approx(39.5, abs=1.5), pytest.approx(39.5, abs=1.5))


def test_an_outline_encloses_its_lesion_in_millimetres() -> None:
    """A box of 5 x 10 x 4 voxels at (5, 10, 3): corners where hand arithmetic puts them."""
    mask = np.zeros((20, 40, 10), np.uint16)
    mask[5:10, 10:20, 3:7] = 2
    planes = three_planes(np.random.default_rng(0).normal(size=mask.shape), mask, (2, 1, 4), side_px=80)
    assert list(planes.outlines) == [2]
    axial, coronal, sagittal = loops(planes.outlines[2])  # 40 mm in 80 px: 2 px a mm
    # x runs from high R to low R: R 5..10 of 20 voxels of 4 px is 40..60 px; y from high A: A 10..20 of 40 of 2 px is 40..60.
    for points, (left, right), (top, bottom) in (
        (axial, (40, 60), (40, 60)),
        (coronal, (80 + 40, 80 + 60), (24, 56)),  # S 3..7 of 10 voxels of 8 px
        (sagittal, (160 + 40, 160 + 60), (24, 56)),
    ):
        assert (points[:, 0].min(), points[:, 0].max()) == (left, right)
        assert (points[:, 1].min(), points[:, 1].max()) == (top, bottom)
        full = (right - left) * (bottom - top)
        assert 0.9 * full < area(points) < full  # the corners are cut at half a voxel


def test_each_value_has_its_outline_and_the_plane_is_that_of_the_largest_component() -> None:
    mask = np.zeros((40, 40, 40), np.uint16)
    mask[4:6, 4:6, 20:23] = 7  # small
    mask[20:30, 20:30, 18:29] = 65535  # the largest: its middle plane is 23
    mask[2:4, 30:32, 2:4] = 9  # in none of the three planes
    planes = three_planes(np.zeros(mask.shape), mask, (1, 1, 1), side_px=80)
    assert set(planes.outlines) == {65535}
    mask[4:6, 4:6, 23:26] = 7
    planes = three_planes(np.zeros(mask.shape), mask, (1, 1, 1), side_px=80)
    assert set(planes.outlines) == {7, 65535}
    assert len(loops(planes.outlines[7])) == 1  # axial only
    assert len(loops(planes.outlines[65535])) == 3


def test_a_ring_has_an_outer_and_an_inner_line() -> None:
    """A pipe along S: the voxel nearest to its centre of mass is not in it."""
    x, y, z = np.indices((48, 48, 48)) - 24
    radius = np.hypot(x, y)
    mask = ((radius > 6) & (radius < 12) & (np.abs(z) < 5)).astype(np.uint16)
    axial = loops(three_planes(radius, mask, (1, 1, 1), side_px=96).outlines[1])[:2]
    outer, inner = sorted(axial, key=area, reverse=True)
    assert area(outer) == pytest.approx(np.pi * 12**2 * 4, rel=0.06)  # 2 px a mm
    assert area(inner) == pytest.approx(np.pi * 6**2 * 4, rel=0.1)


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        (np.zeros((16, 16, 16)), None),
        (np.zeros((16, 16, 16)), np.zeros((16, 16, 16), np.uint16)),
        (np.full((1, 1, 1), -5.0), np.ones((1, 1, 1), np.uint16)),
        (np.random.default_rng(0).normal(size=(400, 2, 3)), None),
        (np.arange(27.0).reshape(3, 3, 3), np.ones((3, 3, 3), np.uint16)),
    ],
    ids=["constant", "empty mask", "one voxel", "a rod", "all masked"],
)
def test_odd_volumes_make_a_picture(image: np.ndarray, mask: np.ndarray | None) -> None:
    planes = three_planes(image, mask, (1, 1, 1), side_px=64)
    assert pixels(planes).shape == (64, 192)
    assert bool(planes.outlines) == (mask is not None and bool(mask.any()))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 12), st.integers(2, 12), st.integers(2, 12))
def test_outlines_stay_inside_the_sheet_and_are_whole(seed: int, d: int, h: int, w: int) -> None:
    noise = np.random.default_rng(seed)
    mask = noise.integers(0, 4, (d, h, w)).astype(np.uint16)
    planes = three_planes(noise.normal(size=mask.shape), mask, (1, 2, 3), side_px=64)
    assert set(planes.outlines) <= {1, 2, 3}
    for path in planes.outlines.values():
        points = np.concatenate(loops(path))
        assert re.fullmatch(r"(M[-.\d]+,[-.\d]+l[-., \d]+z)+", path)
        assert points.min() > -0.6
        assert points[:, 0].max() < 3 * 64 + 0.6
        assert points[:, 1].max() < 64.6


def test_a_sample_is_an_even_part_of_the_volume() -> None:
    small = np.zeros((20, 20, 20))
    assert sample(small).shape == small.shape
    assert sample(np.broadcast_to(np.float32(0), (256, 256, 200))).size == pytest.approx(60_000, rel=0.25)
    index = np.broadcast_to(np.arange(200.0), (200, 200, 200))
    assert sample(index).mean() == pytest.approx(index[0, 0].mean(), abs=3)
