"""The process that prepares scans, one after another, at the other end of a `rnfm.volume.workers.Worker`.

    parent -> (sys.path), Job, Job, ...        worker -> None (ready), None or the error of each job

It is a process of its own for whatever a file may make a decoder do: it can be ended, and die, without costing the run
more than the scan it holds. It ends as soon as its parent does, however that ends, and takes along what it has started.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from typing import Any

# Before NumPy or ITK are loaded: the scans are shared among processes, so none of them needs more than one thread.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1"}


def main(descriptor: int) -> None:
    """Serve jobs from the socket until the parent closes it."""
    threading.Thread(target=_end_with_parent, args=(descriptor,), daemon=True).start()
    parent: Connection[Any, Any] = Connection(descriptor)
    sys.path[:] = parent.recv()
    import zarr

    from rnfm.volume.production import work

    zarr.config.set({"threading.max_workers": 1})
    parent.send(None)
    while True:
        try:
            job = parent.recv_bytes()
        except EOFError:
            return
        parent.send(_error_of(work, job))


def _error_of(work: Any, job: bytes) -> Exception | None:
    """What doing the job raised, in a form that travels, with the places but not the values of its traceback."""
    try:
        work(pickle.loads(job))  # from our own parent, through a socket that nobody else holds
    except Exception as error:
        places = "".join(traceback.format_tb(error.__traceback__))
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # it holds something that cannot be sent, and its own code says what that raises
            error = RuntimeError(f"{type(error).__name__} in a worker")
        error.add_note(f"In the worker process:\n{places}")
        return error
    return None


def _end_with_parent(descriptor: int) -> None:
    """Wait for the parent's end of the socket to close, then kill this process and all that it started."""
    watch = select.poll()
    watch.register(descriptor, 0)  # no events: only the hang-up, which is always told
    watch.poll()
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    main(int(sys.argv[1]))
