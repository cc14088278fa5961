"""What a cohort will cost, said before it is made: scans, bytes, time at the rate of the first scan, free disk.

Bytes are counted from what is fixed (size of a head, voxels of the scanner) and two measured figures: noise does not
compress, so an image in .nii.gz keeps three quarters of its bytes, and a mask next to nothing.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rnfm.core.errors import ConfigError
from rnfm.insilico import scanners
from rnfm.insilico.write import Job

HEAD_MM = (202.0, 232.0, 182.0)  # field of view of a whole head: the 90th percentile over 200 patients
BRAIN_MM = (160.0, 192.0, 168.0)
BYTES_A_VOXEL = {"plain": 4.0, "gzip": 1.7, "volumes": 1.2}
SPARE = 1.05


@dataclass(frozen=True)
class Bill:
    """What `scans` will take on the disk of `out`."""

    out: Path
    scans: int
    bytes: int
    free: int

    def require_space(self) -> None:
        """Raises ConfigError if the disk is too small."""
        if self.bytes > self.free:
            raise ConfigError(
                self.out,
                f"{self.scans} scans need about {gigabytes(self.bytes)} and {gigabytes(self.free)} are free on its disk",
                "Free some space, choose another out, a coarser voxel_mm, or --direct with a coarse spacing_mm",
            )

    def line(self, seconds_a_scan: float | None, workers: int) -> str:
        """One line for people; `seconds_a_scan` of one process, None where nothing was measured yet."""
        text = f"{self.scans} scans to make, about {gigabytes(self.bytes)} of {gigabytes(self.free)} free"
        if seconds_a_scan is None:
            return text
        return f"{text}, about {seconds_a_scan * self.scans / workers / 60:.0f} min ({seconds_a_scan:.2f} s a scan and process)"


def bill(out: Path, jobs: Sequence[Job], *, direct_spacing_mm: float | None) -> Bill:
    """The bill of these scans as files, or as a volume archive of that spacing [mm]."""
    there = next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())
    needed = sum(bytes_of(job, direct_spacing_mm) for job in jobs)
    return Bill(out, len(jobs), int(needed * SPARE), shutil.disk_usage(there).free)


def bytes_of(job: Job, direct_spacing_mm: float | None) -> float:
    """About how many bytes one scan takes with its mask."""
    extent_mm3 = float(np.prod(BRAIN_MM if job.stripped else HEAD_MM))
    if direct_spacing_mm is not None:
        return extent_mm3 / direct_spacing_mm**3 * BYTES_A_VOXEL["volumes"]
    person = job.patient
    scanner = scanners.of_visit(job.seed, person.site, person.index, job.visit.number, job.pool_scanners)
    kind = "plain" if person.site == "site_a" else "gzip"
    return extent_mm3 / float(np.prod(scanner.steps_mm(job.voxel_mm))) * BYTES_A_VOXEL[kind]


def gigabytes(size: int) -> str:
    return f"{size / 1e9:.3g} GB" if size >= 1e9 else f"{size / 1e6:.3g} MB"
