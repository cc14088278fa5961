"""The same work on a Ray cluster that already runs: one actor a slot, each with a worker process of its own on its node.

    driver --jobs--> actor (Worker) on node A --socket--> process (rnfm.volume.worker)
           --jobs--> actor (Worker) on node B --socket--> process

An actor is exactly the `Worker` that runs without Ray, so time limits, deaths and bytes are the same. Only jobs and their
fates travel; voxels go to the work folder, which lies, as do the sources, on a file system that all nodes see under the
same paths. We start no Ray, and leave nothing behind in the one given: actors end with this driver, and a worker process
with its actor. A cluster's token comes from the user's environment (RAY_AUTH_MODE, RAY_AUTH_TOKEN).
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import pickle
import socket
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rnfm.core.errors import ConfigError
from rnfm.volume.workers import Lost, Worker

if TYPE_CHECKING:
    from rnfm.volume.production import Job

ANSWER_WITHIN_S = 5.0


@contextlib.contextmanager
def connected(address: str) -> Iterator[None]:
    """Ray is there inside. Raises ConfigError if no cluster answers at `address` ("auto": the one of this machine)."""
    _require_answer(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
    import ray

    if ray.is_initialized():  # the caller's own connection: used, and left to the caller
        yield
        return
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
    except Exception as error:
        raise _away(address, error) from None
    try:
        yield
    finally:
        ray.shutdown()


def run_on_ray(jobs: Sequence[Job], count: int, scan_seconds: float) -> Iterator[tuple[Job, Lost | None]]:
    """Have all jobs done by `count` actors, or as many as the cluster has cores; each job as soon as it is done.

    A node that is lost costs the scans that its actors held (they are Lost); other nodes take over. Raises what a job raised.
    """
    import ray

    slots = min(count, len(jobs), max(1, int(ray.cluster_resources().get("CPU", 1))))
    actor = ray.remote(num_cpus=1, max_restarts=0, scheduling_strategy="SPREAD")(Worker)
    new = functools.partial(actor.remote, scan_seconds, tuple(sys.path))
    idle: list[Any] = [new() for _ in range(slots)]
    waiting = deque(jobs)
    busy: dict[Any, tuple[Any, Job]] = {}
    try:
        while waiting or busy:
            while waiting and idle:
                worker, job = idle.pop(), waiting.popleft()
                busy[worker.run.remote(pickle.dumps(job))] = worker, job
            (done,), _ = ray.wait(list(busy), num_returns=1)
            worker, job = busy.pop(done)
            try:
                lost = ray.get(done)
            except ray.exceptions.RayTaskError as error:
                raise error.cause from None
            except ray.exceptions.RayActorError:
                lost, worker = Lost(False, "its node or its Ray actor was lost"), new()
            idle.append(worker)
            yield job, lost
    finally:
        for worker in [*idle, *(worker for worker, _ in busy.values())]:
            ray.kill(worker)


def _require_answer(address: str) -> None:
    """Refuse a host:port where nobody listens: Ray itself would try for minutes, aloud."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:
        return  # "auto": Ray finds the cluster of this machine or says so at once
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_WITHIN_S).close()
    except (OSError, ValueError) as error:
        raise _away(address, error) from None


def _away(address: str, error: Exception) -> ConfigError:
    detail = " ".join(str(error).split())[:200]
    mend = "Start it (`ray start --head`), give its address with --ray-address and its RAY_AUTH_TOKEN, or leave out --engine ray"
    return ConfigError(f"Ray at {address}", f"does not answer ({detail})", mend)
