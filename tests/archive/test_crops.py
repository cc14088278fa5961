"""Where crops lie: lesions inside, padding, affines; against hand-made arrays and as properties."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rnfm.archive import crops
from rnfm.core import keyed

edges = st.integers(4, 40)
sizes = st.tuples(edges, edges, edges)


@given(sizes, sizes, st.data())
@settings(max_examples=200, deadline=None)
def test_a_lesion_that_fits_is_whole_inside_the_crop(size, crop, data):
    start = [data.draw(st.integers(0, n - 1)) for n in size]
    stop = [data.draw(st.integers(a + 1, n)) for a, n in zip(start, size, strict=True)]
    lesion = crops.Lesion(None, np.zeros(0, bool), tuple(start), tuple(stop))
    jitter, seed = data.draw(st.floats(0, 1)), data.draw(st.integers(0, 99))
    got = crops.start_around_lesion(
        lesion, size_vox=size, crop_vox=crop, jitter=jitter, generator=keyed.rng(seed, "test")
    )
    for low, high, n, c, s in zip(start, stop, size, crop, got, strict=True):
        if n >= c:
            assert 0 <= s <= n - c
        else:
            assert s == -((c - n) // 2)
        if high - low <= c:
            assert s <= low
            assert high <= s + c


@given(sizes, sizes, st.data())
@settings(max_examples=100, deadline=None)
def test_cut_agrees_with_padding_the_whole_volume_first(size, crop, data):
    volume = np.arange(np.prod(size), dtype=np.float32).reshape(size)
    start = tuple(
        data.draw(st.integers(0, n - c)) if n >= c else -((c - n) // 2) for n, c in zip(size, crop, strict=True)
    )
    padded = np.pad(volume, 40, constant_values=-7)
    expected = padded[tuple(slice(s + 40, s + 40 + c) for s, c in zip(start, crop, strict=True))]
    np.testing.assert_array_equal(crops.cut(volume, start, crop, -7), expected)


def test_jitter_moves_and_zero_jitter_centres():
    lesion = crops.Lesion(None, np.zeros(0, bool), (18, 18, 18), (22, 22, 22))

    def start(jitter, k):
        return crops.start_around_lesion(
            lesion, size_vox=(40, 40, 40), crop_vox=(16, 16, 16), jitter=jitter, generator=keyed.rng(0, k)
        )

    assert start(0.0, 1) == (12, 12, 12)
    starts = np.array([start(0.25, k) for k in range(200)])
    assert starts.min() == 8
    assert starts.max() == 16


def test_named_lesions_and_parts():
    mask = np.zeros((10, 10, 10), np.uint16)
    mask[1:3, 1:3, 1:3], mask[5:9, 5:9, 5:9] = 1, 4
    named = crops.lesions_of(mask, [("P-L1", [1]), ("P-L4", [4, 5]), ("P-L9", [9])])
    assert [lesion.code for lesion in named] == ["P-L1", "P-L4"]  # the third has no voxel here
    assert (named[0].start_vox, named[0].stop_vox) == ((1, 1, 1), (3, 3, 3))
    everything = crops.lesions_of(mask, [("P-L1", [])])
    assert (everything[0].start_vox, everything[0].stop_vox) == ((1, 1, 1), (9, 9, 9))
    parts = crops.lesions_of(mask, [])
    assert [int(part.voxels.sum()) for part in parts] == [64, 8]  # the largest first
    assert crops.lesions_of(np.zeros((4, 4, 4), np.uint16), []) == []


def test_parts_touching_at_a_corner_are_one():
    mask = np.zeros((4, 4, 4), np.uint16)
    mask[0, 0, 0] = mask[1, 1, 1] = 1
    assert len(crops.lesions_of(mask, [])) == 1


def test_mask_codes():
    mask = np.zeros((6, 6, 6), np.uint16)
    mask[1, 1, 1], mask[3, 3, 3] = 1, 300
    own = crops.lesions_of(mask, [("a", [300])])[0]
    codes = crops.mask_codes(mask, own, (0, 0, 0), (6, 6, 6))
    assert (codes[1, 1, 1], codes[3, 3, 3], codes.sum()) == (2, 1, 3)
    assert crops.mask_codes(mask, None, (0, 0, 0), (6, 6, 6)).max() == 2


def test_foreground_leaves_air_out_and_is_never_empty():
    image = np.full((10, 10, 10), -2.0, np.float32)
    image[3:7, 3:7, 3:7] = 1.0
    image[0, 0, 0] = -1.95  # noise in air
    assert crops.foreground(image, -2.0).sum() == 64
    assert crops.foreground(np.full((3, 3, 3), -2.0, np.float32), -2.0).all()


def test_foreground_crops_are_centred_on_the_head():
    image = np.full((40, 40, 40), -2.0, np.float32)
    image[28:32, 28:32, 8:12] = 1
    inside = np.flatnonzero(crops.foreground(image, -2.0))
    for k in range(20):
        start = crops.start_in_foreground(inside, size_vox=(40, 40, 40), crop_vox=(8, 8, 8), generator=keyed.rng(0, k))
        centre = np.array(start) + 4
        assert image[tuple(centre)] == 1


def test_the_crop_keeps_its_place_in_the_world():
    affine = np.array([[0, -2, 0, 10], [1.5, 0, 0, -20], [0, 0, 3, 5], [0, 0, 0, 1]], float)
    moved = crops.crop_affine(affine, (4, -3, 2))
    voxel = np.array([7, 1, 5])
    np.testing.assert_allclose(moved @ [*voxel, 1], affine @ [*(voxel + (4, -3, 2)), 1])
