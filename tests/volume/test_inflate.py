"""The same bytes as Python's gzip, and the same refusals, however the stream is put together, cut or damaged."""

from __future__ import annotations

import gzip
import io
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnfm.volume.inflate import MOST, Inflated

NOISE = np.random.default_rng(0).integers(0, 256, 200_000, dtype=np.uint8).tobytes()


def inflated(packed: bytes) -> bytes:
    return io.BufferedReader(Inflated(io.BytesIO(packed))).read()


@given(
    st.lists(st.tuples(st.binary(max_size=300), st.integers(0, 400), st.integers(0, 9), st.integers(0, 40)), max_size=4)
)
def test_members_and_zeros_between_them(members: list[tuple[bytes, int, int, int]]) -> None:
    packed = b"".join(gzip.compress(text * times, level) + b"\0" * zeros for text, times, level, zeros in members)
    assert inflated(packed) == b"".join(text * times for text, times, _, _ in members)


@pytest.mark.parametrize("data", [NOISE, b"\0" * (5 * MOST + 3), NOISE + b"x" * MOST, b""])
def test_large_ones_in_small_and_large_requests(data: bytes) -> None:
    packed = gzip.compress(data, 1)
    assert inflated(packed) == data
    stream, taken = Inflated(io.BytesIO(packed)), bytearray()
    while part := stream.read(65_537):
        taken += part
    assert bytes(taken) == data


@pytest.mark.parametrize("keep", [1, 5, 17, 1000, -9, -8, -4, -1])
def test_a_stream_cut_short(keep: int) -> None:
    packed = gzip.compress(NOISE[:30_000] + b"x" * 30_000)
    with pytest.raises(EOFError, match="end before their end-of-stream marker"):
        inflated(packed[:keep])


@pytest.mark.parametrize("at", [-1, -5, 40, 3000])
def test_a_wrong_checksum_a_wrong_length_a_flipped_byte(at: int) -> None:
    packed = bytearray(gzip.compress(NOISE[:30_000] + b"x" * 30_000))
    packed[at] ^= 1
    with pytest.raises((zlib.error, EOFError)):
        inflated(bytes(packed))


def test_what_is_no_gzip_or_followed_by_something_else() -> None:
    for packed in (b"no gzip at all", gzip.compress(b"scan") + b"and more"):
        with pytest.raises(zlib.error, match="incorrect header check"):
            inflated(packed)


def test_a_bomb_gives_a_piece_at_a_time() -> None:
    stream = Inflated(io.BytesIO(gzip.compress(b"\0" * (64 * MOST), 9)))
    assert len(stream.read(1)) == 1
    assert len(stream._ready) < MOST
