"""One lesion in a small cube of its head, without simulating the rest: for calibration, tests and quick looks.

The cube is what the whole scan would show there (same anatomy, physics and noise law), in R, A, S order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rnfm.core import keyed
from rnfm.insilico import patient as patients
from rnfm.insilico.clinical import draw_lesion, draw_patient
from rnfm.insilico.plan import PREVALENCE, Lesion, Patient, Visit
from rnfm.insilico.scanners import Scanner
from rnfm.insilico.traits import Traits

WIDE_VOX = 2  # simulated around the cube, so that blur and thick slices have neighbours


@dataclass(frozen=True)
class Patch:
    """`image_DHW` float32 in scanner units, `mask_DHW` uint8 (0, 1 enhancing, 2 necrotic), spacing, and the truth behind them."""

    image_DHW: NDArray[np.float32]
    mask_DHW: NDArray[np.uint8]
    spacing_mm: tuple[float, float, float]
    label: int
    traits: Traits
    clinical: dict[str, float]
    scanner: Scanner


def render_patch(seed: int, site: str, index: int, *, size_vox: int = 48, voxel_mm: float = 1.0) -> Patch:
    """The lesion `index` of an endless site (`site_a`, `site_b` or `pool`), one a patient, at its classified visit.

    The cube holds size_vox * voxel_mm millimetres along each axis; where the site's scanner has coarser voxels it holds
    fewer of them. Labels are drawn one by one with the site's prevalence.
    """
    label = int(keyed.rng(seed, site, "patch", index, "label").random() < PREVALENCE[site])
    person, own = draw_patient(seed, site, index, float(label)), draw_lesion(seed, site, index, label)
    lesion = Lesion(index, 1, label, own, srs_day=0, rn_day=None)
    patient = Patient(site, index, f"patch-{index}", (lesion,), (), person)
    examined = patients.examine(
        patient,
        Visit("classified", 0),
        seed=seed,
        voxel_mm=voxel_mm,
        patch_mm=(size_vox + 2 * WIDE_VOX) * voxel_mm,
    )
    scan = examined.scan
    cut = _centred(scan.image.shape, scan.sampled.steps_mm, size_vox * voxel_mm)
    clinical = {
        "age_years": float(person.age_years),
        "srs_dose_gy": own.srs_dose_gy,
        "log_months_since_srs": math.log(own.months_since_srs),
        "wbrt": float(person.wbrt),
        "immunotherapy": float(person.immunotherapy),
    }
    return Patch(
        scan.image[cut].astype(np.float32),
        (scan.mask[cut] % 10).astype(np.uint8),
        scan.sampled.steps_mm,
        label,
        examined.placed[0].traits,
        clinical,
        examined.scanner,
    )


def _centred(shape: tuple[int, ...], steps_mm: tuple[float, ...], edge_mm: float) -> tuple[slice, ...]:
    """The middle of an array, `edge_mm` long along each axis, or all of it."""
    cuts = []
    for size, step_mm in zip(shape, steps_mm, strict=True):
        count = min(int(edge_mm / step_mm + 1e-6), size)
        cuts.append(slice((size - count) // 2, (size - count) // 2 + count))
    return tuple(cuts)
