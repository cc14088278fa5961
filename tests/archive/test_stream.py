"""The stream: the global order on disk, at any world size, from any state; bounded, closable, loud about damage."""

from __future__ import annotations

import gc
import os
import threading
import time
from itertools import islice

import numpy as np
import pytest

import rnfm.archive
from rnfm.archive import stream as streams
from rnfm.archive.order import batch_indices
from rnfm.core.errors import ConfigError, IntegrityError


@pytest.fixture
def train(tar_archive):
    return rnfm.archive.open(tar_archive, "train")


def take(archive, state, count, rank=0, world_size=1):
    with archive.stream(state, rank, world_size) as stream:
        return list(islice(stream, count))


def reading_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("rnfm-read")]


def test_batches_are_the_order_and_the_samples(any_archive):
    archive = rnfm.archive.open(any_archive, "train")
    state = archive.first_state(seed=3, global_batch=4)
    for batch in take(archive, state, 5):
        assert batch.state == state
        np.testing.assert_array_equal(batch.index_B, batch_indices(archive.shard_sizes, state))
        assert batch.index_B.dtype == np.int64
        assert batch.image_BCDHW.shape == (4, 1, 16, 16, 16)
        assert batch.image_BCDHW.dtype == np.float32
        for row, index in enumerate(batch.index_B):
            assert batch.keys[row] == archive.key(index)
            np.testing.assert_array_equal(batch.image_BCDHW[row, 0], archive[int(index)].image)
        assert batch.wait_s >= 0
        state = state.advance(2)


def test_ranks_share_each_batch(train):
    state = train.first_state(seed=0, global_batch=4)
    alone = take(train, state, 6)
    for world_size in (2, 4):
        shares = [take(train, state, 6, rank, world_size) for rank in range(world_size)]
        for step, whole in enumerate(alone):
            assert [key for share in shares for key in share[step].keys] == whole.keys
            assert {share[step].state for share in shares} == {whole.state}


def test_a_restart_at_any_batch_goes_on_bit_for_bit(train):
    walked = take(train, train.first_state(seed=7, global_batch=4), 7)
    assert [(b.state.epoch, b.state.step) for b in walked[:5]] == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]
    for begin in range(1, 7):
        again = take(train, walked[begin].state, 7 - begin)
        for ours, theirs in zip(again, walked[begin:], strict=True):
            assert ours.keys == theirs.keys
            np.testing.assert_array_equal(ours.image_BCDHW, theirs.image_BCDHW)


def test_batches_that_are_kept_are_never_overwritten(train):
    batches = take(train, train.first_state(seed=0, global_batch=2), 12)
    for batch in batches:
        np.testing.assert_array_equal(batch.image_BCDHW[0, 0], train.image(int(batch.index_B[0])))


def test_batches_that_are_dropped_are_filled_again(train):
    """Memory does not grow with the number of batches: those ahead, the caller's, and one that is being handed over."""
    with train.stream(train.first_state(seed=0, global_batch=2)) as stream:
        for _ in range(60):
            next(stream)
        assert len(stream._buffers) <= streams.DEPTH + 2


def test_reading_ahead_is_bounded(train, monkeypatch):
    read = []
    honest = streams.images
    monkeypatch.setattr(streams, "images", lambda *given: (read.append(1), honest(*given))[1])
    with train.stream(train.first_state(seed=0, global_batch=2)) as stream:
        for _ in range(3):
            next(stream)
        time.sleep(0.2)
        assert len(read) <= 3 + streams.DEPTH


def test_waiting_is_measured(train, monkeypatch):
    honest = streams.images
    monkeypatch.setattr(streams, "images", lambda *given: (time.sleep(0.1), honest(*given))[1])
    with train.stream(train.first_state(seed=0, global_batch=2)) as stream:
        assert next(stream).wait_s > 0.05
        time.sleep(0.4)
        assert next(stream).wait_s < 0.05


def test_threads_stop_when_closed_collected_or_failed(train):
    assert reading_threads() == []
    stream = train.stream(train.first_state(seed=0, global_batch=2))
    next(stream)
    assert reading_threads()
    stream.close()
    assert reading_threads() == []
    assert list(stream) == []
    stream.close()

    forgotten = train.stream(train.first_state(seed=0, global_batch=2))
    next(forgotten)
    del forgotten
    gc.collect()
    until = time.monotonic() + 5
    while reading_threads() and time.monotonic() < until:
        time.sleep(0.01)
    assert reading_threads() == []


def test_damage_stops_the_stream_for_good(train, tar_archive):
    extent, shard = train.manifest.extent(5, "img"), train.manifest.columns["shard"][5]
    data = bytearray((tar_archive / shard).read_bytes())
    data[extent.offset + 150] ^= 8
    (tar_archive / shard).write_bytes(data)
    stream = train.stream(train.first_state(seed=0, global_batch=2))
    place = f"{shard}: sample {train.key(5)}, img.npy at offset {extent.offset}: other content"
    with pytest.raises(IntegrityError, match=place):
        for _ in range(20):
            next(stream)
    assert reading_threads() == []
    with pytest.raises(IntegrityError, match=place):
        next(stream)


def test_a_shard_that_goes_away_is_an_integrity_error(train, tar_archive):
    for shard in tar_archive.glob("train-*.tar"):
        os.unlink(shard)
    with (
        pytest.raises(IntegrityError, match="cannot be read"),
        train.stream(train.first_state(seed=0, global_batch=2)) as stream,
    ):
        next(stream)


def test_refusals(train, tar_archive, make_archive, volumes):
    state = train.first_state(seed=0, global_batch=4)
    with pytest.raises(
        ConfigError, match=r"3 ranks do not divide the 4 lanes of the data order\. Start 2 or 4 ranks\."
    ):
        train.stream(state, 0, 3)
    with pytest.raises(ConfigError, match="rank: 2 is not one of 2 ranks"):
        train.stream(state, 2, 2)
    other = rnfm.archive.open(make_archive(volumes, seed=1), "train")
    with pytest.raises(ConfigError, match="is not the archive of this stream state"):
        other.stream(state)
    with pytest.raises(ConfigError, match="asks for batch 9 of an epoch of 2"):
        train.stream(type(state)(**{**vars(state), "step": 9}))
