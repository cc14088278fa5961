"""One scan of `rnfm data prepare`, from its source files (or its recipe) to a finished scan in the work folder.

    Job --work()--> work folder/scans/1D4/S-0B77E1D4/   image, mask   the scan's two shards (rnfm.volume.store)
                                                        config.json   its record: size, row of scans.parquet, findings
                                                                      or the refusal, and then no shards
                                                        lineage.json  settings, cohort and source files it was made from
                                                        digests.json  written last: without it nothing is finished

A finished scan is an artefact like any other (rnfm.core.artifact): synced, hashed, renamed. So a process may be killed at
any moment, and whoever comes next takes what is whole and makes the rest. The bytes do not depend on who does the work.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from rnfm.core import artifact
from rnfm.core.artifact import Artifact
from rnfm.core.contract import InputContract
from rnfm.core.ledger import Reason
from rnfm.volume import alike, guard, intensity, store
from rnfm.volume.brain import BrainSource
from rnfm.volume.faults import ScanFault
from rnfm.volume.findings import Finding
from rnfm.volume.single import PreparedScan, canonical, prepare_one
from rnfm.volume.sources import Recipe, Scan
from rnfm.volume.workfolder import KIND, VERSION

T = TypeVar("T")
FLOAT16_MAX = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class Job:
    """All that a worker needs for one scan: what it is, how it is made, where it goes, what it will be known by."""

    scan: Scan
    recipe: Recipe | None
    contract: InputContract
    margin_mm: float
    folder: Path
    lineage: Mapping[str, Any]
    brain: BrainSource | None = None
    measure: bool = False  # only the foreground's percentiles, to fit landmarks on (rnfm.volume.landmarks)


@dataclass(frozen=True)
class Record:
    """The outcome for one scan: what was staged and its row of scans.parquet, or why it was refused."""

    staged: store.Staged | None
    row: dict[str, Any]
    refusal: Finding | None
    findings: tuple[Finding, ...] = ()


def work(job: Job) -> None:
    """Prepare one scan and finish it at `job.folder`. A fault of the scan is an outcome, any other error is ours and goes up."""
    try:
        with artifact.publish(job.folder, KIND, VERSION, lineage=job.lineage, overwrite=True) as draft:
            draft.contract.update(_outcome(job, draft.path))
    except OSError as error:  # its words may name the source
        raise OSError(error.errno, error.strerror, job.scan.code) from None


def read_record(finished: Artifact) -> Record:
    """The record of a finished scan."""
    contract = finished.contract
    findings = tuple(Finding(Reason(reason), detail) for reason, detail in contract["findings"])
    if contract["refusal"] is not None:
        reason, detail = contract["refusal"]
        return Record(None, {}, Finding(Reason(reason), detail), findings)
    a, b, c = contract["shape_vox"]
    return Record(store.Staged(finished.path, (a, b, c)), dict(contract["row"]), None, findings)


def _outcome(job: Job, folder: Path) -> dict[str, Any]:
    """Write the shards into `folder`; the record in plain JSON types."""
    scan = job.scan
    try:
        if job.measure:
            return {"percentiles": _with_files(job, folder, _percentiles)}
        done = _with_files(job, folder, _prepared)
        if max(done.image.max(), -done.image.min()) > FLOAT16_MAX:
            raise ScanFault(Reason.BAD_DTYPE, "it has values beyond 65504, which intensity rule 'none' cannot store")
    except ScanFault as fault:
        return _record(refusal=Finding(fault.reason, fault.detail))
    store.stage(folder, done.image, done.mask)
    alike.stage(folder, done.thumbnail)
    return _record(done, findings=done.findings + _missing_lesions(scan, done.mask))


def _record(
    done: PreparedScan | None = None, *, refusal: Finding | None = None, findings: tuple[Finding, ...] = ()
) -> dict[str, Any]:
    return {
        "shape_vox": None if done is None else list(done.image.shape),
        "row": [] if done is None else list(_row(done).items()),  # pairs: JSON objects come back sorted
        "refusal": None if refusal is None else [str(refusal.reason), refusal.detail],
        "findings": [[str(finding.reason), finding.detail] for finding in findings],
    }


def _with_files(job: Job, folder: Path, use: Callable[[Job, Path, Path | None], T]) -> T:
    """`use` on the source files, or on those that the recipe writes, which are gone afterwards."""
    scan = job.scan
    if job.recipe is None:
        return use(job, scan.image, scan.mask)
    kitchen = folder / "recipe"
    kitchen.mkdir()
    try:
        image, mask = job.recipe(kitchen)
        return use(job, image, mask if scan.has_mask else None)
    finally:
        shutil.rmtree(kitchen)


def _percentiles(job: Job, image: Path, mask: Path | None) -> tuple[float, ...]:
    with guard.limited():
        find_brain = None if job.brain is None else job.brain.at(image, job.scan.code)
        found = canonical(image, None, job.contract, find_brain)
        return intensity.percentiles(found.data[found.head], job.contract.intensity)


def _prepared(job: Job, image: Path, mask: Path | None) -> PreparedScan:
    if job.scan.has_mask and mask is None:
        raise ScanFault(Reason.MISSING_FILE, "its mask: no file is named for it")
    with guard.limited():  # this whole process is the scan's own, so its memory is what may be bounded
        find_brain = None if job.brain is None else job.brain.at(image, job.scan.code)
        return prepare_one(image, mask, job.contract, margin_mm=job.margin_mm, find_brain=find_brain)


def _row(done: PreparedScan) -> dict[str, Any]:
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
    wanted = {value for _, values in scan.lesions for value in values}
    present = set() if mask is None else {value for value in wanted if (mask == value).any()}
    return tuple(
        Finding(Reason.LESION_MISSING, f"lesion {lesion or '(unnamed)'}: no mask value {', '.join(map(str, values))}")
        for lesion, values in scan.lesions
        if mask is not None and values and not present & set(values)
    )
