"""One job is one scan: simulate it, write it in its site's layout, and say what was done. Then the tables of all.

pool/images/pool-00001.nii.gz, pool/masks/pool-00001.nii.gz     1 = any lesion
truth.parquet   site, patient, lesion, index, scan, day, kind, before_srs, label, trait, z_border ... z_feather, volume_cc,
                mask_cc, contrast_mm, scanner, age_years, sex, primary, wbrt, immunotherapy, srs_dose_gy, months_since_srs
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rnfm.insilico import bids, molab, morphology, stage
from rnfm.insilico.nifti import write_pair
from rnfm.insilico.patient import Examination, examine
from rnfm.insilico.plan import Lesion, Patient, Visit
from rnfm.insilico.scanners import POOL_SCANNERS
from rnfm.insilico.traits import VISIBLE


@dataclass(frozen=True)
class Job:
    """Simulate one visit and write it. `stripped`: without skull; `hollow`: an empty image, all else as it will be."""

    patient: Patient
    visit: Visit
    seed: int
    voxel_mm: float
    stripped: bool = False
    hollow: bool = False
    pool_scanners: int = POOL_SCANNERS


@dataclass(frozen=True)
class Written:
    """The files of one scan (relative names) and the rows it adds to the tables, in plain JSON types."""

    files: list[str]
    truth: list[dict[str, Any]] = field(default_factory=list)
    morphology: list[list[Any]] = field(default_factory=list)


def jobs(
    plans: dict[str, list[Patient]],
    *,
    seed: int,
    voxel_mm: float,
    stripped: Collection[str] = (),
    hollow: bool = False,
    pool_scanners: int = POOL_SCANNERS,
) -> list[Job]:
    """All scans, in the order of sites, patients and visits; the sites `stripped` come without skull."""
    return [
        Job(patient, visit, seed, voxel_mm, patient.site in stripped, hollow, pool_scanners)
        for patients in plans.values()
        for patient in patients
        for visit in patient.visits
    ]


def work(job: Job, root: Path) -> Written:
    """Simulate one scan and write it under `root`.

    Runs in any process; linear algebra keeps to one thread, the workers are the parallelism.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        examined = examine(
            job.patient,
            job.visit,
            seed=job.seed,
            voxel_mm=job.voxel_mm,
            stripped=job.stripped,
            hollow=job.hollow,
            pool_scanners=job.pool_scanners,
        )
        names = [path.relative_to(root).as_posix() for path in _write_scan(job, examined, root)]
        return _rows(job, examined, names)


def paths(job: Job, root: Path) -> tuple[Path, Path]:
    """Image and mask of a scan under `root`."""
    site = root / job.patient.site
    if job.patient.site == "site_a":
        return molab.paths(site, job.patient, job.visit)
    if job.patient.site == "site_b":
        return bids.paths(site, job.patient)
    name = f"{job.patient.identity}.nii.gz"
    return site / "images" / name, site / "masks" / name


def tables(root: Path, plans: dict[str, list[Patient]], written: list[Written], *, seed: int) -> None:
    """Clinical tables of the sites, and the truth."""
    import pandas as pd

    if "site_a" in plans:
        molab.write_clinical(root / "site_a", plans["site_a"], seed)
        molab.write_morphology(root / "site_a", [row for item in written for row in item.morphology])
    if "site_b" in plans:
        bids.write_tables(root / "site_b", plans["site_b"])
    pd.DataFrame([row for item in written for row in item.truth]).to_parquet(root / stage.TRUTH, index=False)


def _write_scan(job: Job, examined: Examination, root: Path) -> list[Path]:
    """All files of the scan; image and mask come first in the list."""
    image, mask = paths(job, root)
    values = examined.scan.mask if job.patient.site == "site_a" else (examined.scan.mask > 0).astype(np.uint16)
    write_pair(examined, image, mask, values)
    if job.patient.site != "site_b":
        return [image, mask]
    slice_mm = examined.scan.sampled.steps_mm[examined.scanner.slice_axis]
    return [image, mask, bids.write_sidecar(image, examined.scanner, slice_mm)]


def _rows(job: Job, examined: Examination, names: list[str]) -> Written:
    out = Written(names)
    spacing_mm = examined.scan.sampled.steps_mm
    for lesion, placed in zip(job.patient.lesions, examined.placed, strict=True):
        segments = np.where(examined.scan.mask // 10 == lesion.number, examined.scan.mask % 10, 0)
        measures = morphology.measure(segments, spacing_mm) if segments.any() else None
        truth = _truth(job, lesion, names[0])
        truth |= {"trait": placed.traits.hidden, "volume_cc": placed.traits.volume_cc}
        truth |= {f"z_{name}": score for name, score in zip(VISIBLE, placed.traits.z, strict=True)}
        truth |= {"mask_cc": measures.total_cc if measures else 0.0, "scanner": examined.scanner.name}
        out.truth.append(truth | {"contrast_mm": examined.scan.dose_mm[lesion.number]})
        if measures and job.patient.site == "site_a":
            row = molab.morphology_row(
                job.patient, job.visit, examined.scanner, lesion=lesion.number, spacing_mm=spacing_mm, measures=measures
            )
            out.morphology.append(row)
    return out


def _truth(job: Job, lesion: Lesion, image: str) -> dict[str, Any]:
    return {
        "site": job.patient.site,
        "patient": job.patient.identity,
        "lesion": lesion.number,
        "index": lesion.index,
        "scan": image,
        "day": job.visit.day,
        "kind": job.visit.kind,
        "before_srs": job.visit.before_srs,
        "label": lesion.label,
        **asdict(job.patient.clinical),
        **asdict(lesion.clinical),
    }
