"""Real anatomy: the MNI ICBM152 (2009a, symmetric) brain that nilearn carries inside its package, as tissue fractions.

Nothing is downloaded and nilearn is not imported: only three of its files are read. Arrays have axes R, A, S; a template
point is a position in MNI millimetres.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rnfm.core.errors import ConfigError
from rnfm.insilico import skull
from rnfm.insilico.physics import FloatArray
from rnfm.insilico.spline import along

FILES = {kind: f"mni_icbm152_{kind}_tal_nlin_sym_09a_converted.nii.gz" for kind in ("t1", "gm", "wm")}
COARSE_FROM_MM = 1.75  # acquisitions at least this coarse are simulated on the 2 mm template
MIDLINE_MM = 12.0  # no lesion is centred nearer to the midline: corpus callosum, third ventricle, brain stem
VENTRICLES_BELOW_MM = 24.0  # CSF this deep is not a sulcus
HULL_STEP = 2  # the hull is found on blocks of this many voxels
CANDIDATE_STEP = 5  # every fifth voxel of 2 mm is choice enough


@dataclass(frozen=True)
class Template:
    """Fractions of white and grey matter, and relative detail within tissue (0 = none); `brain` is where there is tissue or CSF.

    `outside_mm` is the distance from the brain's hull, 0 within it; `sinus` is where the sagittal sinus runs.
    """

    white: FloatArray
    grey: FloatArray
    detail: FloatArray
    brain: NDArray[np.bool_]
    outside_mm: FloatArray
    sinus: NDArray[np.bool_]
    origin_mm: NDArray[np.float64]
    step_mm: float

    def index(self, template_mm: FloatArray) -> FloatArray:
        """Template positions (3, ...) [mm] as fractional voxel indices."""
        origin = self.origin_mm.astype(np.float32).reshape((3,) + (1,) * (template_mm.ndim - 1))
        return (template_mm - origin) / np.float32(self.step_mm)

    def inside(self, index: FloatArray) -> NDArray[np.bool_]:
        """Whether the nearest voxel of each fractional index (3, ...) lies in the brain; False outside the array."""
        flat, valid = self._nearest(index)
        return self.brain.ravel()[flat] & valid

    def within(self, index: FloatArray, reach_mm: float) -> NDArray[np.bool_]:
        """Whether each fractional index (3, ...) lies nearer than `reach_mm` to the brain's hull; False outside the array."""
        flat, valid = self._nearest(index)
        return (self.outside_mm.ravel()[flat] < reach_mm) & valid

    def _nearest(self, index: FloatArray) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Flat position of the nearest voxel of each index, and whether it lies in the array."""
        nearest = np.rint(index).astype(np.int32)
        bounds = np.array(self.brain.shape, np.int32).reshape((3,) + (1,) * (index.ndim - 1))
        valid: NDArray[np.bool_] = np.all((nearest >= 0) & (nearest < bounds), axis=0)
        np.clip(nearest, 0, bounds - 1, out=nearest)
        flat: NDArray[np.int32] = (nearest[0] * self.brain.shape[1] + nearest[1]) * self.brain.shape[2] + nearest[2]
        return flat, valid


@dataclass(frozen=True)
class Candidates:
    """Where a lesion may be centred: positions (n, 3) [mm], depth under the brain's surface and distance to deep CSF [mm]."""

    position_mm: NDArray[np.float64]
    depth_mm: NDArray[np.float64]
    to_ventricle_mm: NDArray[np.float64]


def folder() -> Path:
    """Where nilearn keeps its template. Raises ConfigError if it is not there."""
    spec = find_spec("nilearn")
    places = list(spec.submodule_search_locations or ()) if spec else []
    found = Path(places[0]) / "datasets" / "data" if places else Path("nilearn")
    missing = [name for name in FILES.values() if not (found / name).is_file()]
    if missing:
        raise ConfigError(
            "nilearn", f"the MNI152 template file {missing[0]} is not in the package", "Install nilearn 0.12 or newer"
        )
    return found


@lru_cache(maxsize=1)
def digest() -> str:
    """sha256 over the three template files: the simulation's only input."""
    place = folder()
    return hashlib.sha256(b"".join((place / FILES[kind]).read_bytes() for kind in sorted(FILES))).hexdigest()


def for_voxel(voxel_mm: float) -> Template:
    """The template for an acquisition with this in-plane voxel size [mm]."""
    return load(2 if voxel_mm >= COARSE_FROM_MM else 1)


@lru_cache(maxsize=2)
def load(step: int) -> Template:
    """The template at 1 mm (`step` 1), or averaged over blocks of two voxels (`step` 2)."""
    t1, grey, white, origin_mm = _read()
    total = np.maximum(grey + white, 1.0)
    grey, white = grey / total, white / total
    brain = t1 > 0
    detail = _detail(t1, grey, white, brain)
    coarse = _block_mean(brain.astype(np.float32), HULL_STEP) > 0.5
    outside_mm = skull.outside_of(coarse, float(HULL_STEP))
    if step == 1:
        outside_mm = _refined(outside_mm, brain.shape)
    else:
        white, grey, detail = (_block_mean(array, step) for array in (white, grey, detail))
        brain = coarse
    origin_mm = origin_mm + (step - 1) / 2
    axes = [
        (first + step * np.arange(size)).astype(np.float32) for first, size in zip(origin_mm, brain.shape, strict=True)
    ]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    sinus = skull.sinus_of(outside_mm, (x, y, z)) & ~brain
    return Template(white, grey, detail, brain, outside_mm, sinus, origin_mm, float(step))


@lru_cache(maxsize=1)
def candidates() -> Candidates:
    """Lesion centres: parenchyma off the midline, with its distances from the surface and from the ventricles."""
    from scipy import ndimage

    coarse = load(2)
    # The template's field of view ends inside the brain stem: a rim of background makes that end a surface too.
    brain = np.pad(coarse.brain, 1)
    tissue = np.pad(coarse.white + coarse.grey, 1)
    depth_mm = ndimage.distance_transform_edt(brain) * coarse.step_mm
    ventricle = brain & (tissue < 0.3) & (depth_mm > VENTRICLES_BELOW_MM)
    to_ventricle_mm = ndimage.distance_transform_edt(~ventricle) * coarse.step_mm
    index = np.argwhere(brain & (tissue > 0.85))[::CANDIDATE_STEP]
    position_mm = (index - 1) * coarse.step_mm + coarse.origin_mm
    keep = np.abs(position_mm[:, 0]) > MIDLINE_MM
    where = tuple(index[keep].T)
    return Candidates(position_mm[keep], depth_mm[where], to_ventricle_mm[where])


def _read() -> tuple[FloatArray, FloatArray, FloatArray, NDArray[np.float64]]:
    import nibabel

    place = folder()
    images = [nibabel.nifti1.load(place / FILES[kind]) for kind in ("t1", "gm", "wm")]
    # NIfTI voxels come in Fortran order; all that follows walks them in C order.
    t1, grey, white = (np.array(image.dataobj, dtype=np.float32, order="C") / np.float32(255) for image in images)
    return t1, grey, white, np.asarray(images[0].affine)[:3, 3].copy()


def _detail(t1: FloatArray, grey: FloatArray, white: FloatArray, brain: NDArray[np.bool_]) -> FloatArray:
    """What the template's T1-weighted picture shows beyond its tissue maps: deep nuclei, tracts; relative, within +-0.2."""
    parts = np.stack([grey[brain], white[brain], 1 - grey[brain] - white[brain]], axis=1)
    # Normal equations in double: three numbers from two million voxels.
    weights = np.linalg.solve(parts.T.astype(np.float64) @ parts, parts.T.astype(np.float64) @ t1[brain])
    detail = np.zeros_like(t1)
    detail[brain] = np.clip(t1[brain] / (parts @ weights.astype(np.float32)) - 1, -0.2, 0.2)
    return detail


def _refined(coarse: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """A smooth field on blocks of HULL_STEP voxels as one on voxels: the hull is found eight times faster on blocks."""
    from scipy import sparse

    for axis, size in enumerate(shape):
        at = (np.arange(size) - (HULL_STEP - 1) / 2) / HULL_STEP
        low = np.clip(np.floor(at).astype(int), 0, coarse.shape[axis] - 2)
        part = np.clip(at - low, 0, 1).astype(np.float32)
        rows, columns = np.tile(np.arange(size), 2), np.concatenate([low, low + 1])
        matrix = sparse.csr_matrix((np.concatenate([1 - part, part]), (rows, columns)), (size, coarse.shape[axis]))
        coarse = along(matrix, coarse, axis)
    return coarse


def _block_mean(array: FloatArray, step: int) -> FloatArray:
    """Means over blocks of step^3 voxels; the incomplete last block is filled with zeros."""
    padded = np.pad(array, [(0, -size % step) for size in array.shape])
    blocks = padded.reshape(*(part for size in padded.shape for part in (size // step, step)))
    return blocks.mean(axis=(1, 3, 5), dtype=np.float32)
