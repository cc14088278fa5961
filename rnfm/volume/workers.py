"""Processes that prepare scans on this machine, and what happens when one dies or hangs.

    run_here(jobs, count)   thread 1 --- Worker --socket--- process (rnfm.volume.worker)
                            thread 2 --- Worker --socket--- process
                            ...

Each process is started afresh (not forked: a fork after Zarr or ITK have started threads deadlocks) and without running the
caller's script again, so that `prepare` can be called from any program. A process that dies or exceeds the time limit costs
the scan that it held, no more; the next scan gets a new one.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from rnfm.core.errors import RnfmError
from rnfm.volume.worker import ONE_THREAD

if TYPE_CHECKING:
    from rnfm.volume.production import Job

START_WITHIN_S = 300.0


@dataclass(frozen=True)
class Lost:
    """A job that took its process with it: it died, by `cause`, or was ended because it took too long."""

    hung: bool
    cause: str


class Worker:
    """One process, started when it is first needed and again after it was lost. Used by one thread at a time.

    `path` is where its modules are looked for, those of recipes among them: the `sys.path` of whoever calls `prepare`.
    """

    def __init__(self, scan_seconds: float, path: Sequence[str]) -> None:
        self._limit_s, self._path = scan_seconds, [folder for folder in path if folder]
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: Connection[Any, Any] | None = None
        self._closed = False

    def run(self, job: bytes) -> Lost | None:
        """Have the pickled Job done. None when it is done, Lost when its process is; raises what the job raised."""
        if self._process is None:
            self._start()
        assert self._socket is not None
        try:
            self._socket.send_bytes(job)
            if not self._socket.poll(self._limit_s):
                self._end()
                return Lost(True, f"it was not done after {self._limit_s:g} s")
            error = self._socket.recv()
        except (EOFError, OSError):
            return Lost(False, self._end())
        if error is not None:
            raise error
        return None

    def close(self) -> None:
        """End the process, whatever it does. A `run` in another thread then returns Lost."""
        self._closed = True
        self._end()

    def _start(self) -> None:
        if self._closed:
            raise RuntimeError("this worker is closed")
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "rnfm.volume.worker", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={**os.environ, **ONE_THREAD, "PYTHONPATH": os.pathsep.join(self._path)},
                pass_fds=[theirs.fileno()],
                process_group=0,  # so that what a scan's tools start ends with it
            )
        self._socket = Connection(ours.detach())
        try:
            self._socket.send(self._path)
            if not self._socket.poll(START_WITHIN_S):
                raise EOFError
            self._socket.recv()
        except (EOFError, OSError):
            cause = self._end()
            raise RnfmError(
                "prepare", f"a worker process did not start ({cause})", "`rnfm doctor` checks the parts"
            ) from None

    def _end(self) -> str:
        """Kill the process and what it started; how it ended."""
        process, connection = self._process, self._socket
        self._process = self._socket = None
        if process is None:
            return "it had ended before"
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.2)  # a process that died by itself says why
        died_by = process.poll()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if connection is not None:
            connection.close()
        return "it was killed" if died_by is None else _words_for(died_by)


def run_here(jobs: Sequence[Job], count: int, scan_seconds: float) -> Iterator[tuple[Job, Lost | None]]:
    """Have all jobs done by `count` processes; each job as soon as it is done. Raises what a job raised."""
    team = [Worker(scan_seconds, sys.path) for _ in range(min(count, len(jobs)))]
    idle: SimpleQueue[Worker] = SimpleQueue()
    for worker in team:
        idle.put(worker)

    def one(job: Job) -> tuple[Job, Lost | None]:
        worker = idle.get()
        try:
            return job, worker.run(pickle.dumps(job))
        finally:
            idle.put(worker)

    pool = ThreadPoolExecutor(max(1, len(team)))
    try:
        for done in as_completed([pool.submit(one, job) for job in jobs]):
            yield done.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in team:
            worker.close()
        pool.shutdown()


def _words_for(status: int) -> str:
    if status >= 0:
        return f"its process ended with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"its process died by {name}" + (", as when memory runs out" if name == "SIGKILL" else "")
