"""The work of `rnfm data prepare`: prepare each scan in some process, judge the records, fill the archive.

    Job --work()--> shards in the job's own staging folder + a small Record; voxels never travel between processes
    Records --judge--> kept, quarantine, findings --budget--> rows given out, tables and ledgers written

Workers are spawned, not forked (a fork after Zarr or ITK have started threads deadlocks), and end with their parent,
however it dies. One worker and many run the same `work`, so the bytes are the same.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as parquet

from rnfm.core import files
from rnfm.core.artifact import Artifact
from rnfm.core.contract import InputContract
from rnfm.core.errors import DataError
from rnfm.core.ledger import Ledger, Reason, require_budget
from rnfm.core.progress import track
from rnfm.volume import store
from rnfm.volume.faults import ScanFault
from rnfm.volume.findings import Finding
from rnfm.volume.preparing import PrepareConfig
from rnfm.volume.single import PreparedScan, prepare_one
from rnfm.volume.sources import Scan

STAGE = "prepare"
FLOAT16_MAX = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class Job:
    """All that a worker needs for one scan."""

    scan: Scan
    contract: InputContract
    margin_mm: float
    staging: Path


@dataclass(frozen=True)
class Record:
    """The outcome for one scan: what was staged and its row of scans.parquet, or why it was refused."""

    staged: store.Staged | None
    row: dict[str, object]
    refusal: Finding | None
    findings: tuple[Finding, ...] = ()


def produce(folder: Path, cohort: Artifact, scans: Sequence[Scan], config: PrepareConfig) -> None:
    """Write the archive's payload into `folder`. Raises DataError over the error budget."""
    staging = folder / "staging"
    staging.mkdir()
    jobs = [Job(scan, config.contract(), config.margin_mm, staging / scan.code) for scan in scans]
    with _outcomes(jobs, config.workers) as outcomes:
        records = list(track(outcomes, len(jobs), "prepare"))
    kept, quarantine, findings = judge(scans, records)
    _require_budget(quarantine, len(scans), config)
    attributes = {"axes": "RAS", "spacing_mm": list(config.spacing_mm), "intensity": config.intensity.as_dict()}
    staged = [record.staged for _, record in kept if record.staged is not None]
    rows = store.assemble(folder / "volumes.zarr", staged, attributes)
    shutil.rmtree(staging)
    parquet.write_table(scan_table(kept, rows), folder / "scans.parquet")
    table = parquet.read_table(cohort.file("cohort.parquet"))
    through = pa.array([scan.code for scan, _ in kept], pa.string())
    parquet.write_table(table.filter(pc.is_in(table["scan"], through)), folder / "cohort.parquet")
    quarantine.write(folder / "quarantine.jsonl")
    findings.write(folder / "findings.jsonl")
    files.write_text(folder / "summary.md", _summary(kept, quarantine, findings))


def work(job: Job) -> Record:
    """Prepare and stage one scan; a fault of the scan is an outcome, any other error is ours and goes up."""
    scan = job.scan
    try:
        if scan.has_mask and scan.mask is None:
            raise ScanFault(Reason.MISSING_FILE, "its mask: the key table names no file")
        done = prepare_one(scan.image, scan.mask, job.contract, margin_mm=job.margin_mm)
        if np.abs(done.image).max() > FLOAT16_MAX:
            raise ScanFault(Reason.BAD_DTYPE, "it has values beyond 65504, which intensity rule 'none' cannot store")
    except ScanFault as fault:
        return Record(None, {}, Finding(fault.reason, fault.detail))
    except MemoryError:
        return Record(None, {}, Finding(Reason.TOO_LARGE, "it does not fit into memory"))
    staged = store.stage(job.staging, done.image, done.mask)
    return Record(staged, _row(done), None, done.findings + _missing_lesions(scan, done.mask))


def judge(scans: Sequence[Scan], records: Sequence[Record]) -> tuple[list[tuple[Scan, Record]], Ledger, Ledger]:
    """What is kept, in order, and the two ledgers; of scans with the same voxels the first is kept."""
    kept, quarantine, findings = [], Ledger(), Ledger()
    first_with: dict[object, str] = {}
    for scan, record in zip(scans, records, strict=True):
        refusal = record.refusal
        if refusal is None:
            first = first_with.setdefault(record.row["voxels_sha256"], scan.code)
            refusal = None if first == scan.code else Finding(Reason.DUPLICATE, f"it has the same voxels as {first}")
        if refusal is not None:
            quarantine.add(scan.code, STAGE, refusal.reason, refusal.detail)
            continue
        kept.append((scan, record))
        for finding in record.findings:
            findings.add(scan.code, STAGE, finding.reason, finding.detail)
    return kept, quarantine, findings


def scan_table(kept: Sequence[tuple[Scan, Record]], rows: Sequence[int]) -> pa.Table:
    """scans.parquet (docs/pipeline.md, section 3)."""
    columns: dict[str, list[object]] = {"scan": [], "patient": [], "site": [], "geometry": [], "row": []}
    for (scan, record), number in zip(kept, rows, strict=True):
        geometry = store.geometry_name(record.staged.shape) if record.staged else ""
        row = {"scan": scan.code, "patient": scan.patient, "site": scan.site, "geometry": geometry, "row": number}
        for name, value in (row | record.row).items():
            columns.setdefault(name, []).append(value)
    types = {"affine": pa.list_(pa.float64()), "source_affine": pa.list_(pa.float64())}
    types |= {"source_shape_vox": pa.list_(pa.int32())}
    return pa.table({name: pa.array(values, types.get(name)) for name, values in columns.items()})


def _row(done: PreparedScan) -> dict[str, object]:
    return {
        "affine": done.affine.ravel().tolist(),
        "source_affine": done.source_affine.ravel().tolist(),
        "source_shape_vox": list(done.source_shape),
        **{f"intensity_{name}": value for name, value in done.intensity.items()},
        "foreground_voxels": done.foreground_voxels,
        "has_mask": done.mask is not None,
        "voxels_sha256": done.voxels_sha256,
    }


def _missing_lesions(scan: Scan, mask: np.ndarray | None) -> tuple[Finding, ...]:
    """LESION_MISSING for every lesion of the cohort none of whose values is in the mask."""
    present = set() if mask is None else set(np.unique(mask).tolist())
    return tuple(
        Finding(Reason.LESION_MISSING, f"lesion {lesion or '(unnamed)'}: no mask value {', '.join(map(str, values))}")
        for lesion, values in scan.lesions
        if mask is not None and values and not present & set(values)
    )


@contextlib.contextmanager
def _outcomes(jobs: Sequence[Job], workers: int) -> Iterator[Iterator[Record]]:
    """The records of all jobs, in their order, from this process or from `workers` spawned ones."""
    if workers == 1 or len(jobs) == 1:
        yield map(work, jobs)
        return
    pool = ProcessPoolExecutor(min(workers, len(jobs)), mp_context=get_context("spawn"), initializer=_end_with_parent)
    try:
        yield pool.map(work, jobs)
    except BrokenProcessPool:
        raise DataError("prepare", "a worker process died, most likely out of memory", "Use fewer --workers") from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _end_with_parent() -> None:
    """A pool's worker waits for ever on its queue if the parent is killed; this ends it."""

    def follow() -> None:
        parent = parent_process()
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _require_budget(quarantine: Ledger, total: int, config: PrepareConfig) -> None:
    """On failure the ledger is left beside the output, since there will be no artefact to hold it."""
    beside = config.out.with_name(config.out.name + ".quarantine.jsonl")
    try:
        require_budget(len(quarantine.entries), total, config.max_bad, config.out)
    except DataError as error:
        quarantine.write(beside)
        mend = f"Read {beside} for the code and reason of each, mend them or raise --max-bad"
        raise DataError(config.out, f"{error.cause} ({_counts(quarantine)})", mend) from None
    beside.unlink(missing_ok=True)


def _counts(ledger: Ledger) -> str:
    return ", ".join(f"{n} {reason}" for reason, n in sorted(ledger.counts().items()))


def _summary(kept: Sequence[tuple[Scan, Record]], quarantine: Ledger, findings: Ledger) -> str:
    """summary.md: counts for people; the ledgers hold each case."""
    shapes = Counter(record.staged.shape for _, record in kept if record.staged)
    sites = Counter(scan.site for scan, _ in kept)
    lines = [
        "# Canonical volumes",
        "",
        f"{len(kept)} scans of {len({scan.patient for scan, _ in kept})} patients, "
        f"{sum(scan.has_mask for scan, _ in kept)} with a mask; {len(quarantine.entries)} refused.",
        "",
        "| size (R x A x S, voxels) | scans |",
        "|---|---|",
        *(f"| {' x '.join(map(str, shape))} | {n} |" for shape, n in sorted(shapes.items())),
        "",
        "| site | scans |",
        "|---|---|",
        *(f"| {site} | {n} |" for site, n in sorted(sites.items())),
    ]
    for title, ledger in (("Refused", quarantine), ("Findings (used, but somebody should look)", findings)):
        lines += ["", f"## {title}", ""]
        lines += [f"- {reason}: {n}" for reason, n in sorted(ledger.counts().items())] or ["none"]
    return "\n".join(lines) + "\n"
