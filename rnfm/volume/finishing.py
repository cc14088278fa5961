"""All scans of a cohort finished, by whichever engine: what an earlier run left is taken, the rest is done, losses are judged.

    finished before --------------------------------------------------------------+
    the others --largest first--> engine --> finished                             |--> records, in the order of the cohort
                                       \\--> process died --> once more, alone --> finished or refused (crashed)
                                        \\-> too slow ----------------------------> refused (timed_out)

Losing a process depends on the machine, not only on the scan. So such refusals are never kept for a later run: it tries again.
"""

from __future__ import annotations

import contextlib
import errno
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rnfm.core.artifact import Artifact
from rnfm.core.errors import RnfmError
from rnfm.core.ledger import Reason
from rnfm.core.progress import track
from rnfm.volume import bill, landmarks, workfolder
from rnfm.volume.findings import Finding
from rnfm.volume.preparing import PrepareConfig
from rnfm.volume.production import Job, Record, read_record
from rnfm.volume.sources import Recipe, Scan
from rnfm.volume.workers import Lost, run_here
from rnfm.volume.workfolder import WorkFolder

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
Run = Callable[[Sequence[Job], int], Iterator[tuple[Job, Lost | None]]]


@dataclass(frozen=True)
class Finished:
    """The records of all scans, in order; `resumed` of them were there before."""

    records: list[Record]
    resumed: int


def finish_all(
    work: WorkFolder, cohort: Artifact, scans: Sequence[Scan], recipes: Mapping[str, Recipe], config: PrepareConfig
) -> Finished:
    """Finish what is not finished yet. Raises ConfigError if the disk or the cluster will not do, RnfmError for a full disk."""
    records = {
        scan.code: read_record(found) for scan in scans if (found := work.finished(scan, recipes.get(scan.code)))
    }
    resumed = len(records)
    bill.require_space(config.out, bill.bytes_needed(cohort, config.spacing_mm, frozenset(records)))
    jobs = [_job(scan, recipes, work, config) for scan in scans if scan.code not in records]
    if resumed:
        print(f"prepare: {resumed} of {len(scans)} scans were finished by an earlier run", file=sys.stderr)
    if jobs:
        with _engine(config) as run, _full_disk_said(config.out):
            lost = dict(_losses(run, sorted(jobs, key=_size, reverse=True), config.workers))
        for job in jobs:
            records[job.scan.code] = lost.get(job.scan.code) or read_record(workfolder.record_of(job.folder))
    return Finished([records[scan.code] for scan in scans], resumed)


def measurer(work: WorkFolder, recipes: Mapping[str, Recipe], config: PrepareConfig) -> landmarks.Measure:
    """How scans are measured to fit landmarks: by the same processes, under the same limits."""

    def measure(scans: Sequence[Scan]) -> list[landmarks.Percentiles | str]:
        folders = [work.path / "measured" / scan.code for scan in scans]
        jobs = [
            replace(_job(scan, recipes, work, config), folder=folder, measure=True)
            for scan, folder in zip(scans, folders, strict=True)
        ]
        with _engine(config) as run, _full_disk_said(config.out):
            for _ in track(run(jobs, config.workers), len(jobs), "fit landmarks"):
                pass
        return landmarks.measured(folders)

    return measure


def _losses(run: Run, jobs: Sequence[Job], workers: int) -> Iterator[tuple[str, Record]]:
    """Have the jobs done; the records of those that are lost for good, by code."""
    died = []
    for job, lost in track(run(jobs, workers), len(jobs), "prepare"):
        if lost is not None and lost.hung:
            yield job.scan.code, _refused(Reason.TIMED_OUT, lost)
        elif lost is not None:
            died.append(job)
    for again in died:  # alone, so that another scan's memory cannot be the cause
        for job, lost in run([again], 1):
            if lost is not None:
                yield job.scan.code, _refused(Reason.TIMED_OUT if lost.hung else Reason.CRASHED, lost)


def _refused(reason: Reason, lost: Lost) -> Record:
    return Record(None, {}, Finding(reason, lost.cause if lost.hung else f"twice, the second time alone: {lost.cause}"))


def _job(scan: Scan, recipes: Mapping[str, Recipe], work: WorkFolder, config: PrepareConfig) -> Job:
    recipe = recipes.get(scan.code)
    return Job(
        scan,
        recipe,
        config.contract(),
        config.margin_mm,
        work.folder_of(scan),
        work.lineage_of(scan, recipe),
        brain=config.brain_source(),
    )


@contextlib.contextmanager
def _engine(config: PrepareConfig) -> Iterator[Run]:
    if config.engine == "local":
        yield lambda jobs, count: run_here(jobs, count, config.scan_seconds)
        return
    from rnfm.volume import cluster

    with cluster.connected(config.ray_address):
        yield lambda jobs, count: cluster.run_on_ray(jobs, count, config.scan_seconds)


@contextlib.contextmanager
def _full_disk_said(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise RnfmError(out, "its disk is full", "Free some space and run again: finished scans are kept") from None


def _size(job: Job) -> int:
    """Bytes of the image's file: the largest are begun first, so that no process is left alone with one at the end."""
    try:
        return job.scan.image.stat().st_size
    except OSError:
        return 0
