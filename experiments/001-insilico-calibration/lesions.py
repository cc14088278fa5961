"""Simulated lesions for the calibration: rendered once, measured once, kept in chunks, so that a killed run goes on.

    cache/KEY/site_a-0/features-000000.npz      100 lesions: columns, radiomics and CNN crops
    cache/KEY/site_a-0/crops-002000.npz         100 lesions: label and CNN crops only

KEY is the digest of two rendered lesions: other physics is another cache. A crop is CROP_VOX^3 voxels over CROP_RADII radii
of the lesion (of the sphere of its outlined volume), channels image and outline, float16: every lesion fills it alike.
"""

from __future__ import annotations

import hashlib
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnfm.core import progress
from rnfm.insilico import Patch, render_patch

CHUNK = 100
SIZE_VOX = 48  # of the rendered cube at 1 mm: holds the largest lesion
CROP_VOX, CROP_RADII = 24, 3.0


@dataclass(frozen=True)
class Job:
    """Lesions `first ... first + count - 1` of a site; `features`: all that readers need, else label and crop."""

    folder: Path
    site: str
    seed: int
    first: int
    count: int
    features: bool

    @property
    def file(self) -> Path:
        short = "" if self.count == CHUNK else f"-{self.count}"
        return self.folder / f"{'features' if self.features else 'crops'}-{self.first:06d}{short}.npz"


def physics_key() -> str:
    """12 hex digits that change when a rendered lesion changes."""
    digest = hashlib.sha256()
    for site in ("site_a", "site_b"):
        patch = render_patch(0, site, 0, size_vox=SIZE_VOX)
        digest.update(patch.image_DHW.tobytes() + patch.mask_DHW.tobytes())
    return digest.hexdigest()[:12]


def gather(
    cache: Path, site: str, seed: int, *, start: int = 0, count: int, features: bool, workers: int
) -> dict[str, NDArray[Any]]:
    """Columns of lesions `start ... start + count - 1` of a site; `features` adds all that the readers need."""
    folder = cache / f"{site}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    stop = start + count
    jobs = [Job(folder, site, seed, first, min(CHUNK, stop - first), features) for first in range(start, stop, CHUNK)]
    missing = [job for job in jobs if not job.file.exists()]
    for _ in progress.track(_run(missing, workers), len(missing), f"{site} seed {seed}", f"times {CHUNK} lesions"):
        pass
    parts = [dict(np.load(job.file)) for job in jobs]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _run(jobs: list[Job], workers: int) -> Iterator[None]:
    if workers == 1:
        yield from map(render_chunk, jobs)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(render_chunk, jobs)


def render_chunk(job: Job) -> None:
    """Render and measure one chunk; the file appears whole or not at all."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        rows = [
            measure(render_patch(job.seed, job.site, index, size_vox=SIZE_VOX), job.features)
            for index in range(job.first, job.first + job.count)
        ]
    temporary = job.file.with_suffix(".tmp.npz")
    np.savez(temporary, **{name: np.array([row[name] for row in rows]) for name in rows[0]})
    temporary.rename(job.file)


def measure(patch: Patch, features: bool) -> dict[str, Any]:
    """What readers see of one lesion. Intensities are in units of the scanner's white matter, as a good normalisation gives."""
    image, outlined = (patch.image_DHW / patch.scanner.gain).astype(np.float32), patch.mask_DHW > 0
    row: dict[str, Any] = {"label": patch.label, "crop": crop(image, outlined, patch.spacing_mm)}
    if features:
        row["oracle"] = patch.traits.hidden
        row["visible"] = patch.traits.z
        row["volume"] = np.log(outlined.sum() * np.prod(patch.spacing_mm))
        row["mean"] = image[outlined].mean(dtype=np.float64)
        row["clinical"] = list(patch.clinical.values())
        row["radiomics"] = radiomics(image, outlined, patch.spacing_mm)
    return row


def radiomics(image: NDArray[np.float32], outlined: NDArray[np.bool_], spacing_mm: tuple[float, ...]) -> list[float]:
    """The 107 features of the radiomics baseline, computed by its own code; names sorted."""
    from rnfm.downstream.baselines import radiomics as baseline

    where = np.argwhere(outlined)
    low, high = np.maximum(where.min(axis=0) - 1, 0), where.max(axis=0) + 2
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    found = baseline._extract(_extractor(), image[box], outlined[box], spacing_mm)
    values = [found[name] for name in sorted(found)]
    return [np.nan if value is None else value for value in values]


@lru_cache(maxsize=1)
def _extractor() -> Any:
    from rnfm.downstream.baselines import radiomics as baseline

    return baseline._extractor()


def crop(image: NDArray[np.float32], outlined: NDArray[np.bool_], spacing_mm: tuple[float, ...]) -> NDArray[np.float16]:
    """(2, CROP_VOX, CROP_VOX, CROP_VOX): the image standardised over the outlined lesion, and the outline."""
    from scipy import ndimage

    volume_mm3 = outlined.sum() * np.prod(spacing_mm)
    step_mm = CROP_RADII * (volume_mm3 * 3 / (4 * np.pi)) ** (1 / 3) / CROP_VOX
    axes = [
        (np.arange(CROP_VOX) - (CROP_VOX - 1) / 2) * step_mm / spacing + centre
        for spacing, centre in zip(spacing_mm, ndimage.center_of_mass(outlined), strict=True)
    ]
    index = np.stack(np.meshgrid(*axes, indexing="ij"))
    seen = ndimage.map_coordinates(image, index, order=1, mode="nearest")
    inside = ndimage.map_coordinates(outlined.astype(np.float32), index, order=1)
    lesion = seen[inside > 0.5]
    standard = np.clip((seen - lesion.mean()) / (lesion.std() + 1e-6), -4, 4)
    return np.stack([standard, inside]).astype(np.float16)
