"""`rnfm insilico make`: the simulated cohort as three ordinary data sets.

    out/                     artefact of kind "insilico"
    +-- site_a/              MOLAB / OpenBTAI layout with its spreadsheets: labelled, the home centre
    +-- site_b/              BIDS: labelled, the second centre
    +-- pool/images, masks   plain folder of many scanners: unlabelled, for pre-training
    +-- truth.parquet        what no reader of scans may know: hidden traits, one row a lesion-scan

Every scan is a pure function of (seed, site, patient, visit), so the bytes depend neither on the number of workers nor on
how often the run was killed. With `direct` no scan is kept as a file: see `rnfm.insilico.direct`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import model_validator

from rnfm.core import artifact
from rnfm.core.config import Config, Field, positional

if TYPE_CHECKING:
    from rnfm.insilico.plan import Patient
    from rnfm.insilico.workfolder import WorkFolder

SITES = ("site_a", "site_b", "pool")
KIND, VERSION, TRUTH = "insilico", 2, "truth.parquet"
UNHASHED = {"out": ".", "workers": 1, "overwrite": False}  # settings that do not change a byte


class InsilicoConfig(Config):
    """Simulate T1CE scans with radiation necrosis and progression, in real anatomy."""

    out: Path = positional("folder to write")
    pool_subvolumes: int = Field(
        1000, ge=0, description="size of the unlabelled pool, counted in the sub-volumes that will be cut from it"
    )
    subvolumes_per_scan: int = Field(
        5,
        ge=1,
        description="sub-volumes to be cut from one scan of the pool: pool_subvolumes / this = scans, rounded up",
    )
    site_a: int = Field(109, ge=0, description="labelled lesions of the home centre, 40% necrosis")
    site_b: int = Field(28, ge=0, description="labelled lesions of the second centre, 36% necrosis")
    seed: int = Field(0, ge=0, description="seed of everything that is drawn")
    voxel_mm: float = Field(
        1.0, ge=1.0, le=3.0, description="in-plane voxel of the acquisition, and step of the simulation [mm]; 2 is fast"
    )
    visits: int = Field(
        5,
        ge=1,
        le=5,
        description="most scans of one patient of site A: before, soon after, at and after the classified one",
    )
    pool_scanners: int = Field(12, ge=1, description="scanners of the pool, every one drawn at random")
    stripped: list[Literal["site_a", "site_b", "pool"]] = Field(
        [], description="sites whose scans come skull-stripped; the others are whole heads"
    )
    direct: bool = Field(
        False, description="write cohorts and volume archives instead of scan files, where disk is short"
    )
    spacing_mm: float = Field(1.0, ge=0.5, le=8.0, description="with direct: voxel of the volume archives [mm]")
    workers: int = Field(2, ge=1, description="processes; the bytes do not depend on their number")
    overwrite: bool = Field(False, description="replace an artefact made with other settings")

    @model_validator(mode="after")
    def _something(self) -> InsilicoConfig:
        if not self.pool_subvolumes + self.site_a + self.site_b:
            raise ValueError("pool_subvolumes, site_a and site_b are all 0: nothing to simulate")
        return self

    @property
    def pool_scans(self) -> int:
        """Scans of the pool, one a patient."""
        return math.ceil(self.pool_subvolumes / self.subvolumes_per_scan)

    def result_hash(self) -> str:
        """Hash of the settings that change a byte."""
        settings = self.model_copy(update=UNHASHED if self.direct else UNHASHED | {"spacing_mm": 1.0})
        return settings.hash()


@dataclass(frozen=True)
class MakeResult:
    """Where the cohort is, what it holds (site -> patients, scans, lesions, necrosis), and how long it took [s]."""

    path: Path
    sites: dict[str, dict[str, int]]
    seconds: float
    fresh: bool
    resumed: int = 0
    direct: bool = False

    @property
    def scans(self) -> int:
        return sum(counts["scans"] for counts in self.sites.values())

    def summary(self) -> str:
        lines = [f"In-silico cohort {self.path}: {self.scans} scans"]
        if self.fresh:
            lines[0] += f" in {self.seconds:.0f} s ({self.scans / max(self.seconds, 1e-3):.1f} scans/s)"
        else:
            lines[0] += ", up to date"
        if self.resumed:
            lines.append(f"  {self.resumed} scans had been finished by an earlier run")
        present = [site for site in SITES if site in self.sites]
        for site in present:
            counts = self.sites[site]
            text = f"  {site}: {counts['patients']} patients, {counts['scans']} scans, {counts['lesions']} lesions"
            lines.append(text if site == "pool" else f"{text}, {counts['necrosis']} with necrosis")
        lines.append("Simulated: figures made with it are in-silico, never clinical.")
        if self.direct:
            return "\n".join([*lines, f"next: rnfm data qc {self.path / 'volumes' / present[0]}"])
        return "\n".join([*lines, f"next: rnfm data index {self.path / present[0]}"])


def make(config: InsilicoConfig) -> MakeResult:
    """Simulate the cohort and publish it at `config.out`, or find that it stands already.

    Raises ConfigError if something else stands there, the disk is too small or nilearn lacks its template; RnfmError if a
    worker dies. Finished scans of a run that did not come to its end are kept beside `out`, and the next run takes them.
    """
    from rnfm.insilico import template, workfolder

    start = time.monotonic()
    config_hash, inputs = config.result_hash(), {"template": template.digest()}
    target = config.out / "truth" if config.direct else config.out
    standing = artifact.current(target, KIND, config_hash, inputs)
    if standing is not None:
        return MakeResult(config.out, standing.contract["sites"], 0.0, fresh=False, direct=config.direct)
    artifact.require_free(target, config.overwrite)
    plans = _plans(config)
    sites = {site: _counts(patients) for site, patients in plans.items()}
    with ExitStack() as stack:
        work = stack.enter_context(workfolder.opened(config.out, config_hash))
        resumed = _fill(config, work, plans)
        contract = {"seed": config.seed, "voxel_mm": config.voxel_mm, "sites": sites}
        lineage = {"config_hash": config_hash, "inputs": inputs}
        if config.direct:
            with artifact.publish(
                target, KIND, VERSION, contract=contract, lineage=lineage, overwrite=config.overwrite
            ) as draft:
                (work.tree / TRUTH).rename(draft.path / TRUTH)
        else:
            artifact.commit(work.tree, config.out, KIND, VERSION, contract=contract, lineage=lineage)
        work.remove()
    seconds = time.monotonic() - start
    return MakeResult(config.out, sites, seconds, fresh=True, resumed=resumed, direct=config.direct)


def _fill(config: InsilicoConfig, work: WorkFolder, plans: dict[str, list[Patient]]) -> int:
    """All scans and tables in the work folder, and with `direct` the archives; returns how many scans were there already."""
    from rnfm.insilico import direct, making, write

    jobs = write.jobs(
        plans,
        seed=config.seed,
        voxel_mm=config.voxel_mm,
        stripped=config.stripped,
        hollow=config.direct,
        pool_scanners=config.pool_scanners,
    )
    spacing_mm = config.spacing_mm if config.direct else None
    resumed = making.fill(work, jobs, out=config.out, workers=config.workers, direct_spacing_mm=spacing_mm)
    write.tables(work.tree, plans, making.written(work, jobs), seed=config.seed)
    if config.direct:
        direct.archive(config, work.tree, jobs)
    return resumed


def _plans(config: InsilicoConfig) -> dict[str, list[Patient]]:
    """Patients of every site that is wanted."""
    from rnfm.insilico import plan

    plans: dict[str, list[Patient]] = {}
    if config.site_a:
        plans["site_a"] = plan.site_a(config.seed, config.site_a, config.visits)
    if config.site_b:
        plans["site_b"] = plan.site_b(config.seed, config.site_b)
    if config.pool_scans:
        plans["pool"] = plan.pool(config.seed, config.pool_scans)
    return plans


def _counts(patients: Sequence[Patient]) -> dict[str, int]:
    lesions = [lesion for patient in patients for lesion in patient.lesions]
    return {
        "patients": len(patients),
        "scans": sum(len(patient.visits) for patient in patients),
        "lesions": len(lesions),
        "necrosis": sum(lesion.label for lesion in lesions),
    }
