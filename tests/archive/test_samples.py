"""Codes and values, .npy and JSON bytes."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rnfm.archive.samples import dequantise, json_bytes, npy_bytes, npy_header, npy_payload, quantise
from rnfm.core.errors import DataError

images = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=3, max_dims=3, max_side=5),
    elements=st.floats(-1e4, 1e4, width=32, allow_subnormal=False),
)


@given(images)
@settings(max_examples=150, deadline=None)
def test_values_come_back_within_half_a_step(image):
    codes, scale, offset = quantise(image, "key")
    back = dequantise(codes, scale, offset)
    span = float(image.max()) - float(image.min())
    rounding = 4 * np.finfo(np.float32).eps * float(np.abs(image).max())
    assert np.abs(back - image).max() <= span / 510 + rounding
    assert np.float32(scale) == scale  # what the manifest stores as float32 is exact
    assert np.float32(offset) == offset


def test_ends_and_middle_by_hand():
    codes, scale, offset = quantise(np.array([[[-1.0, 0.0, 4.1]]], np.float32), "key")
    assert codes.tolist() == [[[0, 50, 255]]]
    assert scale == pytest.approx(0.02, rel=1e-6)
    assert offset == -1.0


def test_constant_image():
    codes, scale, offset = quantise(np.full((2, 2, 2), 7.5, np.float32), "key")
    assert (codes == 0).all()
    assert (scale, offset) == (1.0, 7.5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_not_finite_are_refused(bad):
    image = np.zeros((2, 2, 2), np.float32)
    image[0, 1, 0] = bad
    with pytest.raises(DataError, match=r"S-1-0000: has a voxel that is not finite\. Prepare the volumes again\."):
        quantise(image, "S-1-0000")


@pytest.mark.parametrize("shape", [(1, 1, 1), (96, 96, 96), (16, 24, 32), (1000, 1000, 10)])
def test_numpy_reads_our_header_and_writes_the_same(shape):
    array = np.zeros(shape, np.uint8)
    reference = io.BytesIO()
    np.lib.format.write_array(reference, array, version=(1, 0))
    ours = npy_bytes(array)
    loaded = np.load(io.BytesIO(ours), allow_pickle=False)
    assert loaded.shape == shape
    assert loaded.dtype == np.uint8
    assert len(npy_header(shape)) % 64 == 0
    assert ours == reference.getvalue()


def test_only_our_own_header_is_accepted():
    array = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
    good = np.frombuffer(npy_bytes(array), np.uint8)
    np.testing.assert_array_equal(npy_payload(good, (2, 2, 2)), array)
    assert npy_payload(good, (2, 4, 1)) is None
    assert npy_payload(good[:-1], (2, 2, 2)) is None
    other = io.BytesIO()
    np.save(other, array.astype(np.int8))
    assert npy_payload(np.frombuffer(other.getvalue(), np.uint8), (2, 2, 2)) is None


def test_json_is_canonical():
    assert json_bytes({"b": 1, "a": [1.5, None]}) == b'{"a":[1.5,null],"b":1}'
    with pytest.raises(ValueError, match="Out of range"):
        json_bytes({"a": float("nan")})
