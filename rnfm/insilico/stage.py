"""`rnfm insilico make`: the simulated cohort as three ordinary data sets.

    out/                     artefact of kind "insilico"
    +-- site_a/              MOLAB / OpenBTAI layout with its spreadsheets: labelled, the home centre
    +-- site_b/              BIDS: labelled, the second centre
    +-- pool/images, masks   plain folder of many scanners: unlabelled, for pre-training
    +-- truth.parquet        what no reader of scans may know: hidden traits, one row a lesion-scan

Every scan is a pure function of (seed, site, patient, visit), so the bytes do not depend on the number of workers.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import model_validator

from rnfm.core import artifact
from rnfm.core.config import Config, Field, positional
from rnfm.core.errors import RnfmError
from rnfm.core.progress import track

if TYPE_CHECKING:
    from rnfm.insilico.plan import Patient
    from rnfm.insilico.write import Job, Written

SITES = ("site_a", "site_b", "pool")
KIND, VERSION = "insilico", 1
UNHASHED = {"out": ".", "workers": 1, "overwrite": False}  # settings that do not change a byte


class InsilicoConfig(Config):
    """Simulate T1CE scans with radiation necrosis and progression, in real anatomy."""

    out: Path = positional("folder to write")
    pool_scans: int = Field(200, ge=0, description="unlabelled scans of many scanners, one a patient")
    site_a_lesions: int = Field(109, ge=0, description="labelled lesions of the home centre, 40% necrosis")
    site_b_lesions: int = Field(28, ge=0, description="labelled lesions of the second centre, 36% necrosis")
    seed: int = Field(0, ge=0, description="seed of everything that is drawn")
    voxel_mm: float = Field(
        1.0, ge=1.0, le=3.0, description="in-plane voxel of the acquisition, and step of the simulation [mm]; 2 is fast"
    )
    workers: int = Field(2, ge=1, description="processes; the bytes do not depend on their number")
    overwrite: bool = Field(False, description="replace an artefact made with other settings")

    @model_validator(mode="after")
    def _something(self) -> InsilicoConfig:
        if not self.pool_scans + self.site_a_lesions + self.site_b_lesions:
            raise ValueError("pool_scans, site_a_lesions and site_b_lesions are all 0: nothing to simulate")
        return self


@dataclass(frozen=True)
class MakeResult:
    """Where the cohort is, what it holds (site -> patients, scans, lesions, necrosis), and how long it took [s]."""

    path: Path
    sites: dict[str, dict[str, int]]
    seconds: float
    fresh: bool

    @property
    def scans(self) -> int:
        return sum(counts["scans"] for counts in self.sites.values())

    def summary(self) -> str:
        lines = [f"In-silico cohort {self.path}: {self.scans} scans"]
        if self.fresh:
            lines[0] += f" in {self.seconds:.0f} s ({self.scans / max(self.seconds, 1e-3):.1f} scans/s)"
        else:
            lines[0] += ", up to date"
        present = [site for site in SITES if site in self.sites]
        for site in present:
            counts = self.sites[site]
            text = f"  {site}: {counts['patients']} patients, {counts['scans']} scans, {counts['lesions']} lesions"
            lines.append(text if site == "pool" else f"{text}, {counts['necrosis']} with necrosis")
        lines.append("Simulated: figures made with it are in-silico, never clinical.")
        return "\n".join([*lines, f"next: rnfm data index {self.path / present[0]}"])


def make(config: InsilicoConfig) -> MakeResult:
    """Simulate the cohort and publish it at `config.out`, or find that it stands already.

    Raises ConfigError if something else stands there or nilearn lacks its template; RnfmError if a worker dies.
    """
    from rnfm.insilico import template, write

    start = time.monotonic()
    config_hash, inputs = config.model_copy(update=UNHASHED).hash(), {"template": template.digest()}
    standing = artifact.current(config.out, KIND, config_hash, inputs)
    if standing is not None:
        return MakeResult(config.out, standing.contract["sites"], 0.0, fresh=False)
    plans = _plans(config)
    contract = {"seed": config.seed, "voxel_mm": config.voxel_mm, "sites": {}}
    lineage = {"config_hash": config_hash, "inputs": inputs}
    with artifact.publish(
        config.out, KIND, VERSION, contract=contract, lineage=lineage, overwrite=config.overwrite
    ) as draft:
        jobs = write.jobs(draft.path, plans, seed=config.seed, voxel_mm=config.voxel_mm)
        written = list(track(_run(jobs, config.workers), len(jobs), "simulate"))
        write.tables(draft.path, plans, written, seed=config.seed)
        draft.contract["sites"] = {site: _counts(patients) for site, patients in plans.items()}
    return MakeResult(config.out, draft.contract["sites"], time.monotonic() - start, fresh=True)


def _plans(config: InsilicoConfig) -> dict[str, list[Patient]]:
    """Patients of every site that is wanted."""
    from rnfm.insilico import plan

    wanted = {
        "site_a": (plan.site_a, config.site_a_lesions),
        "site_b": (plan.site_b, config.site_b_lesions),
        "pool": (plan.pool, config.pool_scans),
    }
    return {site: draw(config.seed, count) for site, (draw, count) in wanted.items() if count}


def _counts(patients: list[Patient]) -> dict[str, int]:
    lesions = [lesion for patient in patients for lesion in patient.lesions]
    return {
        "patients": len(patients),
        "scans": sum(len(patient.visits) for patient in patients),
        "lesions": len(lesions),
        "necrosis": sum(lesion.label for lesion in lesions),
    }


def _run(jobs: list[Job], workers: int) -> Iterator[Written]:
    """Results in the order of the jobs; one worker works in this process."""
    from rnfm.insilico import write

    workers = min(workers, len(jobs))
    if workers == 1:
        yield from map(write.work, jobs)
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    # Spawned, not forked: a forked child of a process with threads (torch, MLflow) can hang.
    context: Any = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            yield from pool.map(write.work, jobs, chunksize=2)
    except BrokenProcessPool:
        raise RnfmError(
            "insilico make",
            "a worker process died, most likely for lack of memory",
            "Run it again with fewer --workers",
        ) from None
