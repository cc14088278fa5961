"""The order against a naive oracle, and its promises as properties over ragged, tiny and large archives."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnfm.archive.order import (
    EpochOrder,
    StreamState,
    batch_indices,
    default_lanes,
    left_out,
    require_world,
    steps_per_epoch,
)
from rnfm.core import keyed
from rnfm.core.errors import ConfigError


def state(global_batch: int, **changes) -> StreamState:
    values = {
        "seed": 0,
        "epoch": 0,
        "step": 0,
        "global_batch": global_batch,
        "lanes": default_lanes(global_batch),
        "window": 2,
        "manifest_sha256": "m",
    }
    return StreamState(**{**values, **changes})


def epoch_of(sizes, start: StreamState, world_size: int = 1) -> list[list[int]]:
    """Every global batch of the epoch, put together from the shares of all ranks."""
    steps = steps_per_epoch(sum(sizes), start.global_batch)
    batches = []
    for step in range(steps):
        now = StreamState(**{**vars(start), "step": step})
        batches.append([int(i) for r in range(world_size) for i in batch_indices(sizes, now, r, world_size)])
    return batches


def oracle(sizes, start: StreamState) -> list[list[int]]:
    """The definition in the head of order.py, one list operation a line."""
    generator = keyed.rng(start.seed, "order", start.epoch)
    shards, turn = list(generator.permutation(len(sizes))), int(generator.integers(sum(sizes)))
    first = np.cumsum([0, *sizes])
    samples = [(place, int(first[s]) + i) for place, s in enumerate(shards) for i in range(sizes[s])]
    samples = samples[turn:] + samples[:turn]
    length, lanes = len(samples) // start.lanes, []
    for lane in range(start.lanes):
        cut = samples[lane * length : (lane + 1) * length]
        pieces, window, shuffled = [], [], []
        for place, index in cut:  # a new piece begins where the shard changes
            if not pieces or pieces[-1][0] != place or (len(sizes) == 1 and index == first[0]):
                pieces.append((place, []))
            pieces[-1][1].append(index)
        for number in range(0, len(pieces), start.window):
            window = [i for _, piece in pieces[number : number + start.window] for i in piece]
            key = (start.seed, "window", start.epoch, lane, number // start.window)
            shuffled += [int(i) for i in keyed.rng(*key).permutation(window)]
        lanes.append(shuffled)
    each = start.global_batch // start.lanes
    return [
        [i for lane in lanes for i in lane[step * each : (step + 1) * each]]
        for step in range(len(samples) // start.global_batch)
    ]


@pytest.mark.parametrize(
    ("sizes", "global_batch", "lanes", "window"),
    [
        ([10], 2, 2, 1),  # one shard, several lanes in it
        ([4, 4, 4, 4], 4, 4, 1),  # a lane is a shard
        ([7, 1, 3, 9, 2, 2, 5], 6, 3, 2),  # ragged
        ([1] * 13, 4, 2, 5),  # window larger than a lane
        ([100, 1, 50], 8, 1, 1),  # one lane
    ],
)
def test_matches_the_naive_definition(sizes, global_batch, lanes, window):
    for epoch in range(3):
        start = state(global_batch, lanes=lanes, window=window, seed=5, epoch=epoch)
        assert epoch_of(sizes, start) == oracle(sizes, start)


archives = st.lists(st.integers(1, 40), min_size=1, max_size=30)
batches = st.integers(1, 96)


@given(archives, batches, st.integers(1, 9), st.integers(0, 2**40), st.integers(0, 3))
@settings(max_examples=150, deadline=None)
def test_each_sample_at_most_once_and_a_counted_tail(sizes, global_batch, window, seed, epoch):
    start = state(global_batch, window=window, seed=seed, epoch=epoch)
    seen = Counter(index for batch in epoch_of(sizes, start) for index in batch)
    assert set(seen.values()) <= {1}
    assert set(seen) <= set(range(sum(sizes)))
    assert sum(sizes) - len(seen) == left_out(sum(sizes), global_batch) < global_batch


@given(archives, batches, st.integers(1, 9), st.data())
@settings(max_examples=60, deadline=None)
def test_every_valid_world_sees_the_same_batches(sizes, global_batch, window, data):
    start = state(global_batch, window=window)
    world = data.draw(st.sampled_from([w for w in range(1, start.lanes + 1) if start.lanes % w == 0]))
    assert epoch_of(sizes, start, world) == epoch_of(sizes, start)


@given(st.integers(1, 4096), st.integers(1, 4096))
@settings(max_examples=300, deadline=None)
def test_worlds_that_do_not_divide_are_refused_with_the_nearest_that_do(global_batch, world_size):
    lanes = default_lanes(global_batch)
    assert global_batch % lanes == 0
    assert lanes <= 64
    if lanes % world_size == 0:
        require_world(world_size, lanes)
        return
    with pytest.raises(ConfigError) as caught:
        require_world(world_size, lanes)
    named = [int(word) for word in caught.value.mend.split() if word.isdigit()]
    assert named
    assert all(lanes % size == 0 for size in named)
    assert not any(lanes % size == 0 for size in range(min(named) + 1, max(named)) if size != world_size)


def test_the_sentence_for_a_wrong_world():
    with pytest.raises(ConfigError) as caught:
        require_world(5, 8)
    assert str(caught.value) == "world size: 5 ranks do not divide the 8 lanes of the data order. Start 4 or 8 ranks."


@pytest.mark.parametrize(("global_batch", "lanes"), [(1, 1), (7, 7), (32, 32), (96, 48), (67, 1), (2048, 64)])
def test_default_lanes(global_batch, lanes):
    assert default_lanes(global_batch) == lanes


def test_epochs_and_seeds_differ():
    sizes = [20, 30, 25]
    first = epoch_of(sizes, state(4))
    assert first != epoch_of(sizes, state(4, epoch=1))
    assert first != epoch_of(sizes, state(4, seed=1))
    assert first == epoch_of(sizes, state(4))


def test_the_left_out_samples_change_even_with_one_shard():
    """94 samples in batches of 40 leave 14 out; after a few epochs nobody is left out for ever."""
    seen: set[int] = set()
    for epoch in range(12):
        seen |= {index for batch in epoch_of([94], state(40, epoch=epoch)) for index in batch}
    assert seen == set(range(94))


def test_a_restart_at_any_step_goes_on_with_the_same_batches():
    sizes, steps = [9, 14, 3, 8], 34 // 4
    walked, now = [], state(4)
    for _ in range(3 * steps):
        walked.append((now.epoch, now.step, batch_indices(sizes, now).tolist()))
        now = now.advance(steps)
    assert (now.epoch, now.step) == (3, 0)
    for epoch, step, indices in walked:
        assert batch_indices(sizes, state(4, epoch=epoch, step=step)).tolist() == indices


def test_a_large_ragged_archive_reads_each_shard_about_once():
    """The prototype's figures: 801,044 samples in 2,000 shards, C = 64, G = 2,048; a rank changes shards W at a time."""
    sizes = keyed.rng(0, "sizes").integers(200, 601, 2000)
    order = EpochOrder(sizes, seed=0, epoch=0, lanes=64, window=8)
    shard_of = np.repeat(np.arange(len(sizes)), sizes)
    pairs = sum(len(np.unique(shard_of[order.take(lane, 0, order.lane_length)])) for lane in range(64))
    assert pairs / len(sizes) < 1.05


def test_refusals():
    with pytest.raises(ConfigError, match="lanes: 3 do not divide the global batch of 8. Take 8 lanes."):
        state(8, lanes=3)
    with pytest.raises(ConfigError, match="has a number out of range"):
        state(8, step=-1)
    with pytest.raises(ConfigError, match="asks for batch 2 of an epoch of 2"):
        batch_indices([16], state(8, step=2))
    with pytest.raises(ConfigError, match="asks for batch 0 of an epoch of 0"):
        batch_indices([3], state(8))
    with pytest.raises(ValueError, match="none of them empty"):
        EpochOrder([3, 0], seed=0, epoch=0, lanes=1, window=1)
    with pytest.raises(ValueError, match="leave the lane of 5 samples"):
        EpochOrder([10], seed=0, epoch=0, lanes=2, window=1).take(0, 3, 6)
