"""What lies outside the brain, as layers on the distance from its hull, with thicknesses of the patient's own.

    hull |CSF|dura|inner table|  marrow  |outer table|muscle|  fat  |skin| air
         dark enhances  dark      bright      dark     grey   bright  grey  dark
    and along the upper midline the sagittal sinus, full of contrast agent

Layers are a function of one number, the distance [mm], so a head is one look-up a voxel. The hull is the brain with its
folds closed. Below the template's field of view it is continued downwards: there is no face and no skull base.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rnfm.insilico.physics import CSF, FloatArray, Sequence, Tissue

DURA, BLOOD, MUSCLE, SKIN = Tissue(1.3, 0.75), Tissue(1.6, 0.85), Tissue(1.2, 0.75), Tissue(1.0, 0.55)
BONE, MARROW, FAT = Tissue(0.5, 0.06), Tissue(0.45, 0.42), Tissue(0.38, 0.62)
DURA_DOSE_MM, BLOOD_DOSE_MM, SKIN_DOSE_MM = 0.25, 0.45, 0.1
DURA_MM, TABLE_MM, SKIN_MM = 1.0, 1.7, 1.6
SINUS_HALF_MM, SINUS_DEEP_MM = 4.0, 6.0
CLOSING_MM = 12.0  # folds of the brain narrower than twice this are inside the hull
REACH_MM = 30.0  # beyond this distance everything is air
STEP_MM = 0.1


@dataclass(frozen=True)
class Skull:
    """Thicknesses of one patient [mm]."""

    csf_mm: float
    marrow_mm: float
    muscle_mm: float
    fat_mm: float

    @property
    def reach_mm(self) -> float:
        """Where the skin ends."""
        return float(self._ends_mm()[-1])

    def _ends_mm(self) -> NDArray[np.float64]:
        parts = (self.csf_mm, DURA_MM, TABLE_MM, self.marrow_mm, TABLE_MM, self.muscle_mm, self.fat_mm, SKIN_MM)
        return np.cumsum(parts)

    def profile(self, sequence: Sequence, softness_mm: float) -> FloatArray:
        """Signal at distances 0, STEP_MM, ... REACH_MM, averaged over `softness_mm` as a voxel of that size would."""
        layers = [
            sequence.of(CSF),
            float(sequence.signal(DURA.t1_s, DURA.pd, DURA_DOSE_MM)),
            sequence.of(BONE),
            sequence.of(MARROW),
            sequence.of(BONE),
            sequence.of(MUSCLE),
            sequence.of(FAT),
            float(sequence.signal(SKIN.t1_s, SKIN.pd, SKIN_DOSE_MM)),
            0.0,
        ]
        width = max(1, round(softness_mm / STEP_MM))
        away_mm = np.arange(-width, REACH_MM / STEP_MM + width + 1) * STEP_MM
        sharp = np.array(layers)[np.searchsorted(self._ends_mm(), away_mm, side="right")]
        soft = np.convolve(sharp, np.full(width, 1 / width), mode="same")
        return soft[width : width + round(REACH_MM / STEP_MM) + 1].astype(np.float32)

    def signal(
        self, sequence: Sequence, outside_mm: FloatArray, sinus: NDArray[np.bool_], softness_mm: float
    ) -> FloatArray:
        """Signal of points at `outside_mm` (n,) from the hull; the sagittal sinus replaces what would be there."""
        profile = self.profile(sequence, softness_mm)
        at = np.rint(np.clip(outside_mm, 0, REACH_MM) * np.float32(1 / STEP_MM)).astype(np.int32)
        out = profile[at]
        out[sinus] = sequence.signal(BLOOD.t1_s, BLOOD.pd, BLOOD_DOSE_MM)
        return out


def draw_skull(rng: np.random.Generator, atrophy: float) -> Skull:
    """A patient's skull and scalp; the wider space under the skull is what atrophy leaves."""
    return Skull(
        csf_mm=float(rng.uniform(0.8, 1.8) + 6 * atrophy),
        marrow_mm=float(np.exp(rng.normal(np.log(2.8), 0.3))),
        muscle_mm=float(rng.uniform(1.0, 2.5)),
        fat_mm=float(np.clip(np.exp(rng.normal(np.log(4.0), 0.35)), 1.5, 9.0)),
    )


def outside_of(brain: NDArray[np.bool_], step_mm: float) -> FloatArray:
    """Distance from the hull of a brain [mm], 0 inside; same shape. The brain goes on below the array as it ends in it."""
    from scipy import ndimage

    width = int(np.ceil(2 * CLOSING_MM / step_mm))
    sides = [(width, width), (width, width), (0, width)]
    padded = np.pad(np.pad(brain, sides), [(0, 0), (0, 0), (width, 0)], mode="edge")
    grown = ndimage.distance_transform_edt(~padded) * step_mm <= CLOSING_MM
    hull = ndimage.distance_transform_edt(grown) * step_mm > CLOSING_MM
    # Half a voxel less: a border lies between voxels, not at the first voxel's centre.
    away_mm = np.maximum(ndimage.distance_transform_edt(~(hull | padded)) * step_mm - step_mm / 2, 0)
    smooth = ndimage.gaussian_filter(away_mm.astype(np.float32), 1.0)
    return np.ascontiguousarray(smooth[tuple(slice(width, width + size) for size in brain.shape)])


def sinus_of(outside_mm: FloatArray, points_mm: tuple[FloatArray, FloatArray, FloatArray]) -> NDArray[np.bool_]:
    """Where the superior sagittal sinus runs: a wedge on the midline, above and behind. `points_mm` broadcast to x, y, z."""
    x, y, z = points_mm
    above = (z > 30) | ((y < -60) & (z > -5))
    wedge = np.abs(x) < SINUS_HALF_MM * (1 - (outside_mm - 1) / SINUS_DEEP_MM)
    return above & wedge & (outside_mm > 0)
