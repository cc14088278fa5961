"""`rnfm insilico make --direct`: cohort and volume archive without a NIfTI file ever lying around.

    out/
    +-- keys.csv                     key table of all sites
    +-- cohorts/site_a ...           as `rnfm data index` makes them
    +-- volumes/site_a ...           as `rnfm data prepare` makes them
    +-- truth/                       artefact "insilico": truth.parquet

First every scan is made hollow: real headers, masks, sidecars and tables, an image without content (a tenth of the time, a
hundredth of the bytes). `index` reads that tree. Then `prepare` is given a recipe a scan, and each worker simulates, prepares
and forgets one scan at a time. Both are the product's own stages, so the archive is the one that files would give.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rnfm.core.errors import IntegrityError
from rnfm.insilico import write
from rnfm.insilico.write import Job

if TYPE_CHECKING:
    from rnfm.insilico.stage import InsilicoConfig

KEYS = "keys.csv"


@dataclass(frozen=True)
class ScanRecipe:
    """Writes one scan into a folder (`rnfm.volume.prepare`'s recipes): picklable, the same bytes every time."""

    job: Job

    def __call__(self, folder: Path) -> tuple[Path, Path | None]:
        write.work(self.job, folder)
        return write.paths(self.job, folder)


def archive(config: InsilicoConfig, tree: Path, jobs: Sequence[Job]) -> None:
    """Index the hollow `tree` and prepare its scans from recipes, site by site. Both stages skip what they have done."""
    from rnfm import cohort, volume

    for site in dict.fromkeys(job.patient.site for job in jobs):
        pool = site == "pool"
        index = cohort.IndexConfig(
            source=tree / site / "images" if pool else tree / site,
            masks=tree / site / "masks" if pool else None,
            out=config.out / "cohorts" / site,
            keys=config.out / KEYS,
            namespace=site,
            site=site,
        )
        cohort.index(index)
        own = [job for job in jobs if job.patient.site == site]
        prepare = volume.PrepareConfig(
            cohort=index.out,
            keys=config.out / KEYS,
            out=config.out / "volumes" / site,
            spacing_mm=(config.spacing_mm,) * 3,
            workers=config.workers,
        )
        volume.prepare(prepare, recipes=recipes(config.out / KEYS, tree, own))


def recipes(keys: Path, tree: Path, jobs: Sequence[Job]) -> Mapping[str, ScanRecipe]:
    """Scan code -> recipe, found by the place of its hollow image. Raises IntegrityError if a scan has no code."""
    from rnfm.cohort.keys import KeyTable

    code_of = {key.image: code for code, key in KeyTable.open(keys).scans().items()}
    images = [write.paths(job, tree)[0].absolute() for job in jobs]
    if missing := [image for image in images if image not in code_of]:
        raise IntegrityError(
            keys, f"{len(missing)} simulated scans have no code in it", "Remove the folder and run again"
        )
    return {code_of[image]: ScanRecipe(replace(job, hollow=False)) for image, job in zip(images, jobs, strict=True)}
