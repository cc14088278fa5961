"""Scans of a cohort into a work folder: after a disk bill, in any number of processes, each scan once."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rnfm.core import progress
from rnfm.core.errors import RnfmError
from rnfm.insilico import bill, template, write
from rnfm.insilico.workfolder import WorkFolder
from rnfm.insilico.write import Job, Written

Numbered = tuple[int, Job]


def fill(work: WorkFolder, jobs: Sequence[Job], *, out: Path, workers: int, direct_spacing_mm: float | None) -> int:
    """Make every scan that is not finished yet; returns how many an earlier run had finished.

    Raises ConfigError if the disk is too small for the rest, RnfmError if a worker dies.
    """
    missing = [(number, job) for number, job in enumerate(jobs) if work.finished(number) is None]
    if missing:
        cost = bill.bill(out, [job for _, job in missing], direct_spacing_mm=direct_spacing_mm)
        cost.require_space()
        template.for_voxel(missing[0][1].voxel_mm), template.candidates()  # loading them is no part of the rate
        start = time.monotonic()
        _finish(missing[0], work)  # the first scan is made here: its time is the rate that the bill states
        # With `--direct` this is the hollow pass only; what a whole scan takes is not known yet.
        seconds = time.monotonic() - start if direct_spacing_mm is None else None
        print(cost.line(seconds, workers), file=sys.stderr, flush=True)
        for _ in progress.track(_run(missing[1:], work, workers), len(missing) - 1, "simulate"):
            pass
    return len(jobs) - len(missing)


def written(work: WorkFolder, jobs: Sequence[Job]) -> list[Written]:
    """What all scans add to the tables, in order; read back, so that a resumed run and a whole one see the same numbers."""
    records = [work.finished(number) for number in range(len(jobs))]
    if None in records:
        raise RnfmError("insilico make", "files of a finished scan have changed meanwhile", "Run it again")
    return [Written(list(item["files"]), item["truth"], item["morphology"]) for item in records if item is not None]


def _finish(numbered: Numbered, work: WorkFolder) -> None:
    number, job = numbered
    done = write.work(job, work.tree)
    work.finish(number, done.files, {"truth": done.truth, "morphology": done.morphology})


def _run(missing: Sequence[Numbered], work: WorkFolder, workers: int) -> Iterator[None]:
    """One worker works in this process."""
    workers = min(workers, len(missing))
    if workers <= 1:
        for numbered in missing:
            _finish(numbered, work)
            yield
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    from functools import partial

    # Spawned, not forked: a forked child of a process with threads (torch, MLflow) can hang.
    context: Any = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            yield from pool.map(partial(_finish, work=work), missing, chunksize=2)
    except BrokenProcessPool:
        raise RnfmError(
            "insilico make",
            "a worker process died, most likely for lack of memory",
            "Run it again with fewer --workers; finished scans are kept",
        ) from None
