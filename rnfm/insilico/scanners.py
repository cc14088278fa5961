"""Scanners: what differs between centres. Site A mixes two protocols, site B has two others, the pool draws its own."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rnfm.core import keyed
from rnfm.insilico.physics import WHITE, Sequence

T1_AT_1_5_T = 0.8  # T1 at 1.5 T over T1 at 3 T
POOL_SCANNERS = 12
MAX_TILT_DEG = (20.0, 5.0, 5.0)  # people tilt slices along the skull base, seldom otherwise
THICK_FROM_MM = 4.0
SLICE_SD = 0.12  # softness of a slice's edges over its thickness


@dataclass(frozen=True)
class Scanner:
    """One machine with its protocol. Lengths in voxels where they follow the acquisition, in mm where they do not."""

    name: str
    vendor: str
    field_t: float
    tr_ms: float
    te_ms: float
    flip_deg: float
    in_plane_vox: float  # in-plane voxel over the configured one
    slice_mm: float  # slice thickness and distance, if coarser than a voxel
    blur_vox: float  # sd of the in-plane point spread
    noise: float  # sd of the noise over the signal of white matter
    bias: float  # sd of the logarithm of the coil's sensitivity
    gain: float  # number that white matter comes out as
    axcodes: str  # directions in which the stored axes run
    slice_axis: int  # anatomical axis across the slices: 0 R, 1 A, 2 S
    tilts_deg: tuple[float, float, float]  # how far the slices are turned about R, A, S: 0 = straight, else oblique

    @property
    def sequence(self) -> Sequence:
        return Sequence(self.tr_ms, self.flip_deg, T1_AT_1_5_T if self.field_t < 2 else 1.0)

    def steps_mm(self, voxel_mm: float) -> tuple[float, float, float]:
        """Voxel size along R, A, S for a configured in-plane voxel [mm]."""
        in_plane = self.in_plane_vox * voxel_mm
        steps = [in_plane] * 3
        steps[self.slice_axis] = max(self.slice_mm, in_plane)
        return steps[0], steps[1], steps[2]

    def softness_mm(self, voxel_mm: float) -> tuple[float, float, float]:
        """Sd of the Gaussian that softens a voxel's box along R, A, S [mm]: point spread in plane, slice edges across."""
        soft = [self.blur_vox * step for step in self.steps_mm(voxel_mm)]
        soft[self.slice_axis] = SLICE_SD * self.steps_mm(voxel_mm)[self.slice_axis]
        return soft[0], soft[1], soft[2]


SITE_A = (
    Scanner(
        "A1", "GE MEDICAL SYSTEMS", 1.5, 8.2, 3.2, 20.0, 1.0, 1.0, 0.42, 0.030, 0.08, 620.0, "LPS", 2, (0.0, 0.0, 0.0)
    ),
    Scanner("A2", "SIEMENS", 3.0, 7.0, 2.6, 15.0, 1.0, 1.2, 0.38, 0.022, 0.11, 310.0, "RAS", 2, (-12.0, 0.0, 0.0)),
)
SITE_B = (
    Scanner(
        "B1",
        "Philips Medical Systems",
        3.0,
        9.5,
        4.1,
        17.0,
        1.1,
        2.4,
        0.50,
        0.045,
        0.16,
        940.0,
        "LAS",
        2,
        (-16.0, 2.0, 3.0),
    ),
    Scanner("B2", "SIEMENS", 1.5, 12.0, 4.8, 25.0, 1.1, 2.8, 0.50, 0.052, 0.14, 1150.0, "LPS", 2, (0.0, 0.0, 0.0)),
)
VENDORS = ("GE MEDICAL SYSTEMS", "SIEMENS", "Philips Medical Systems")


def of_visit(seed: int, site: str, patient: int, visit: int, pool_scanners: int = POOL_SCANNERS) -> Scanner:
    """The scanner of one visit, the pool having `pool_scanners`. It depends on who comes when, never on what the lesion is."""
    if site == "pool":
        return pool_scanner(seed, patient % pool_scanners)
    fleet = SITE_A if site == "site_a" else SITE_B
    return fleet[int(keyed.rng(seed, site, "patient", patient, "visit", visit, "scanner").integers(len(fleet)))]


def pool_scanner(seed: int, number: int) -> Scanner:
    """The `number`-th scanner of the pool; every fourth has thick slices, every second is oblique."""
    rng = keyed.rng(seed, "pool", "scanner", number)
    field_t = float(rng.choice((1.5, 3.0)))
    tr_ms = float(np.exp(rng.uniform(math.log(5), math.log(28))))
    thick = number % 4 == 3
    slice_axis = int(rng.choice((2, 2, 0, 1)))
    return Scanner(
        name=f"P{number + 1:02d}",
        vendor=str(rng.choice(VENDORS)),
        field_t=field_t,
        tr_ms=round(tr_ms, 2),
        te_ms=round(float(rng.uniform(2, 5)), 2),
        flip_deg=round(_t1_weighted_flip_deg(tr_ms, field_t) * float(rng.uniform(0.85, 1.2)), 1),
        in_plane_vox=float(rng.choice((1.0, 1.0, 1.1, 1.25))),
        slice_mm=round(float(rng.uniform(THICK_FROM_MM, 6.0) if thick else rng.uniform(1.0, 3.0)), 2),
        blur_vox=float(rng.uniform(0.32, 0.55)),
        noise=float(rng.uniform(0.02, 0.06)),
        bias=float(rng.uniform(0.06, 0.22)),
        gain=round(float(np.exp(rng.uniform(math.log(150), math.log(1500)))), 1),
        axcodes=_slices_last(("RAS", "LPS", "LAS")[number % 3], slice_axis),
        slice_axis=slice_axis,
        tilts_deg=_tilts_deg(rng) if number % 2 else (0.0, 0.0, 0.0),
    )


def _tilts_deg(rng: np.random.Generator) -> tuple[float, float, float]:
    x, y, z = (round(float(rng.uniform(-most, most)), 1) for most in MAX_TILT_DEG)
    return x, y, z


def _slices_last(axcodes: str, slice_axis: int) -> str:
    """Storage as scanners do it: the axis across the slices is the last one ("LPS" cut sagittally is "PSL")."""
    return axcodes[:slice_axis] + axcodes[slice_axis + 1 :] + axcodes[slice_axis]


def _t1_weighted_flip_deg(tr_ms: float, field_t: float) -> float:
    """A flip angle well above white matter's Ernst angle, where T1 makes the contrast; 10 to 30 deg."""
    t1_s = WHITE.t1_s * (T1_AT_1_5_T if field_t < 2 else 1.0)
    ernst_deg = math.degrees(math.acos(math.exp(-tr_ms / 1000 / t1_s)))
    return min(max(1.7 * ernst_deg, 10.0), 28.0)
