"""The global order: which samples stand in which batch, as a pure function of (seed, epoch, step).

    shards      [ s3 ][  s0  ][ s7 ][   s1   ][ s5 ] ...        permuted by Philox(seed, epoch)
    samples     ............................................    their samples one after another, turned by a random offset
    lanes       |  lane 0   |  lane 1   | ... |  lane C-1  |    cut into C equal canonical lanes
    windows     |  w0  | w1 |                                   inside a lane, shuffled within windows of W shards
    batch t     takes G/C samples from each lane: positions t*G/C ... (t+1)*G/C
    rank r      owns lanes r*C/R ... (r+1)*C/R, so its share of batch t is a contiguous block of it

G is the global batch, C the number of lanes, W the window, R the world size. Nothing above the last line knows R: the
membership of every batch is the same for every world that divides C, and a resume at any step is arithmetic.

Invariants: a sample stands in an epoch at most once; n mod G samples (fewer than one batch) are left out of it, other
ones each epoch; a rank reads C/R shards at a time, each about once an epoch. No torch and no I/O here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rnfm.core import keyed
from rnfm.core.errors import ConfigError

MOST_LANES = 64
WINDOW = 8

IndexArray = NDArray[np.int64]


@dataclass(frozen=True)
class StreamState:
    """Where a stream stands: the next batch is batch `step` of `epoch`. All of it goes into a checkpoint.

    `global_batch` (G), `lanes` (C) and `window` (W, shards) belong to the order; `manifest_sha256` names the archive.
    """

    seed: int
    epoch: int
    step: int
    global_batch: int
    lanes: int
    window: int
    manifest_sha256: str

    def __post_init__(self) -> None:
        if min(self.epoch, self.step) < 0 or min(self.global_batch, self.lanes, self.window) < 1:
            raise ConfigError(
                "stream state", f"has a number out of range: {self}", "Take it from a checkpoint as it is"
            )
        if self.global_batch % self.lanes:
            raise ConfigError(
                "lanes",
                f"{self.lanes} do not divide the global batch of {self.global_batch}",
                f"Take {default_lanes(self.global_batch)} lanes",
            )

    def advance(self, steps_per_epoch: int) -> StreamState:
        """The state of the batch after this one."""
        if self.step + 1 < steps_per_epoch:
            return replace(self, step=self.step + 1)
        return replace(self, epoch=self.epoch + 1, step=0)


def default_lanes(global_batch: int) -> int:
    """The largest divisor of the global batch that is at most 64; the world sizes that may read it are its divisors."""
    return max(lanes for lanes in range(1, min(global_batch, MOST_LANES) + 1) if global_batch % lanes == 0)


def steps_per_epoch(samples: int, global_batch: int) -> int:
    """Whole batches in one epoch; 0 if there are fewer samples than one batch."""
    return samples // global_batch


def left_out(samples: int, global_batch: int) -> int:
    """Samples that one epoch leaves out, always fewer than `global_batch`."""
    return samples % global_batch


def require_world(world_size: int, lanes: int) -> None:
    """Raise ConfigError, naming the nearest world sizes that work, unless `world_size` divides `lanes`."""
    if world_size >= 1 and lanes % world_size == 0:
        return
    valid = [size for size in range(1, lanes + 1) if lanes % size == 0]
    below = [size for size in valid if size < world_size][-1:]
    above = [size for size in valid if size > world_size][:1]
    raise ConfigError(
        "world size",
        f"{world_size} ranks do not divide the {lanes} lanes of the data order",
        f"Start {' or '.join(str(size) for size in below + above)} ranks",
    )


class EpochOrder:
    """The order of one epoch. Building it costs O(shards); a window is permuted when it is first asked for.

    It keeps the newest window of each lane, which saves time and never changes an answer.
    """

    def __init__(self, shard_sizes: Sequence[int], *, seed: int, epoch: int, lanes: int, window: int) -> None:
        sizes = np.asarray(shard_sizes, dtype=np.int64)
        if sizes.ndim != 1 or not len(sizes) or (sizes < 1).any():
            raise ValueError("shard_sizes must hold at least one shard, none of them empty")
        self.seed, self.epoch, self.lanes, self.window = seed, epoch, lanes, window
        self.samples = int(sizes.sum())
        self.lane_length = self.samples // lanes
        generator = keyed.rng(seed, "order", epoch)
        shards = generator.permutation(len(sizes))
        # Without the turn, a single shard would leave out the same last samples in every epoch.
        self._turn = int(generator.integers(self.samples))
        self._starts = np.concatenate(([0], np.cumsum(sizes[shards])))
        self._first = (np.cumsum(sizes) - sizes)[shards]
        self._bounds: dict[int, IndexArray] = {}
        self._newest: dict[int, tuple[int, IndexArray]] = {}

    def take(self, lane: int, start: int, stop: int) -> IndexArray:
        """Sample indices at positions start..stop (exclusive) of a lane."""
        if not 0 <= start <= stop <= self.lane_length:
            raise ValueError(f"positions {start}..{stop} leave the lane of {self.lane_length} samples")
        bounds = self._bounds_of(lane)
        window = int(np.searchsorted(bounds, start, side="right")) - 1
        parts = [np.empty(0, dtype=np.int64)]
        while start < stop:
            begin, end = int(bounds[window]), int(bounds[window + 1])
            upto = min(stop, end)
            parts.append(self._window_of(lane, window)[start - begin : upto - begin])
            start, window = upto, window + 1
        return np.concatenate(parts)

    def _lane_start(self, lane: int) -> int:
        return (self._turn + lane * self.lane_length) % self.samples

    def _bounds_of(self, lane: int) -> IndexArray:
        """Where the windows of a lane begin, in samples from the lane's start; the last entry is its length."""
        if lane not in self._bounds:
            cuts = np.sort((self._starts[:-1] - self._lane_start(lane)) % self.samples)
            cuts = cuts[(cuts > 0) & (cuts < self.lane_length)]
            self._bounds[lane] = np.concatenate(([0], cuts[self.window - 1 :: self.window], [self.lane_length]))
        return self._bounds[lane]

    def _window_of(self, lane: int, window: int) -> IndexArray:
        kept = self._newest.get(lane)
        if kept is None or kept[0] != window:
            begin, end = self._bounds_of(lane)[window : window + 2]
            position = (self._lane_start(lane) + np.arange(begin, end)) % self.samples
            shard = np.searchsorted(self._starts, position, side="right") - 1
            index = self._first[shard] + position - self._starts[shard]
            shuffled = keyed.rng(self.seed, "window", self.epoch, lane, window).permutation(index)
            kept = self._newest[lane] = (window, shuffled)
        return kept[1]

    def batch(self, step: int, *, global_batch: int, rank: int = 0, world_size: int = 1) -> IndexArray:
        """This rank's indices of global batch `step`, lane after lane: int64 (global_batch / world_size,)."""
        each, own = global_batch // self.lanes, self.lanes // world_size
        lanes = range(rank * own, (rank + 1) * own)
        return np.concatenate([self.take(lane, step * each, (step + 1) * each) for lane in lanes])


def epoch_order(shard_sizes: Sequence[int], state: StreamState) -> EpochOrder:
    """The order of the epoch in which `state` stands."""
    return EpochOrder(shard_sizes, seed=state.seed, epoch=state.epoch, lanes=state.lanes, window=state.window)


def batch_indices(shard_sizes: Sequence[int], state: StreamState, rank: int = 0, world_size: int = 1) -> IndexArray:
    """Indices of this rank's share of the global batch at `state`: int64 (global_batch / world_size,).

    `shard_sizes` are the samples of each shard, in the order in which indices count them. Raises ConfigError for a
    world size that does not divide the lanes, and for a step beyond the epoch.
    """
    require_world(world_size, state.lanes)
    steps = steps_per_epoch(int(np.sum(shard_sizes)), state.global_batch)
    if state.step >= steps:
        raise ConfigError(
            "stream state",
            f"asks for batch {state.step} of an epoch of {steps}",
            "Give the archive that the state was made with",
        )
    return epoch_order(shard_sizes, state).batch(
        state.step, global_batch=state.global_batch, rank=rank, world_size=world_size
    )
