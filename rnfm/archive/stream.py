"""An endless stream of batches, read ahead by threads of this process.

    caller  next() ---> oldest of DEPTH batches under way ---> Batch
    threads             pread, CRC-32 and cast let go of the interpreter lock, so two threads keep two cores busy

Bounded: at most DEPTH batches are ahead of the caller, whatever its pace. The threads end when the stream is closed, goes
out of scope, or meets an error; they hold the archive, never the stream. A batch that the caller keeps is never
overwritten (`buffers.py`).
"""

from __future__ import annotations

import time
import weakref
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from rnfm.archive.buffers import Buffers
from rnfm.archive.order import (
    EpochOrder,
    IndexArray,
    StreamState,
    epoch_order,
    require_world,
    steps_per_epoch,
)
from rnfm.archive.reader import images
from rnfm.archive.samples import F32, Batch
from rnfm.core.errors import ConfigError

if TYPE_CHECKING:
    from rnfm.archive.reader import Archive

DEPTH = 3
THREADS = 2


class Stream:
    """Iterator over this rank's share of every global batch from `state` on; epochs follow one another by themselves.

    `batch.state` is the state of that batch. Close it, or use it in a `with`, to stop reading ahead at once.
    """

    def __init__(self, archive: Archive, state: StreamState, *, rank: int, world_size: int) -> None:
        require_world(world_size, state.lanes)
        if not 0 <= rank < world_size:
            raise ConfigError("rank", f"{rank} is not one of {world_size} ranks", "Give 0 to the world size less 1")
        if state.manifest_sha256 != archive.manifest_sha256:
            raise ConfigError(
                archive.path, "is not the archive of this stream state", "Resume with the archive the run began with"
            )
        self._steps = steps_per_epoch(len(archive), state.global_batch)
        if state.step >= self._steps:
            raise ConfigError(
                "stream state",
                f"asks for batch {state.step} of an epoch of {self._steps}",
                "Give the subset and the global batch that the state was made with",
            )
        self._archive, self._next_state, self._rank, self._world_size = archive, state, rank, world_size
        self._order: EpochOrder = epoch_order(archive.shard_sizes, state)
        self._ahead: deque[tuple[StreamState, IndexArray, Future[F32]]] = deque()
        self._buffers = Buffers((state.global_batch // world_size, 1, *archive.shape))
        self._failure: BaseException | None = None
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="rnfm-read")
        # No waiting here: the collector may run in one of these very threads.
        self._stop = weakref.finalize(self, self._threads.shutdown, wait=False, cancel_futures=True)

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> Batch:
        """The next batch; raises IntegrityError again and again once the data turned out damaged."""
        if self._failure is not None:
            raise self._failure
        if not self._stop.alive:
            raise StopIteration
        while len(self._ahead) < DEPTH:
            self._submit()
        state, index_B, future = self._ahead.popleft()
        began = time.perf_counter()
        try:
            image_BCDHW = future.result()
        except BaseException as error:
            self._failure = error
            self.close()
            raise
        waited = time.perf_counter() - began
        self._submit()
        return Batch(state, index_B, image_BCDHW, [self._archive.key(int(i)) for i in index_B], waited)

    def _submit(self) -> None:
        state = self._next_state
        if state.epoch != self._order.epoch:
            self._order = epoch_order(self._archive.shard_sizes, state)
        index_B = self._order.batch(
            state.step, global_batch=state.global_batch, rank=self._rank, world_size=self._world_size
        )
        self._ahead.append((state, index_B, self._threads.submit(_load, self._archive, index_B, self._buffers)))
        self._next_state = state.advance(self._steps)

    def close(self) -> None:
        """Stop the threads and forget what was read ahead. Closing twice is fine."""
        self._stop()
        self._threads.shutdown(wait=True)
        self._ahead.clear()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _load(archive: Archive, index_B: IndexArray, buffers: Buffers) -> F32:
    return images(archive, index_B, buffers.take())
