"""Each patient has a brain of their own: a smooth one-to-one deformation of the template, atrophy, tissue of their own.

    scan frame x (its axes are the slices')  --pose (rigid, each scan)-->  patient frame p  --anatomy (each patient)-->  template u   [all mm, RAS]

Lesions live in the patient frame, so that two scans of a patient show the same lesion in the same place.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rnfm.core import keyed
from rnfm.insilico.skull import Skull, draw_skull
from rnfm.insilico.spline import Lattice, covering
from rnfm.insilico.template import Template

Points = NDArray[np.float64]

WARP_SPACING_MM = 40.0
WARP_SD_MM = 6.5
# A cubic B-spline displacement is one-to-one if no coefficient exceeds 1/2.48 of the spacing (Choi and Lee 2000); a fifth
# leaves room for the ventricles' growth on top.
WARP_LIMIT_MM = WARP_SPACING_MM / 5
HEAD_LOW_MM, HEAD_HIGH_MM = (-112.0, -150.0, -96.0), (112.0, 116.0, 122.0)
VENTRICLES_MM = np.array([[-14.0, -18.0, 16.0], [14.0, -18.0, 16.0]])
VENTRICLE_SIGMA_MM = 20.0
MAP_SPACING_MM = 12.0
MAX_STEPS, NEAR_MM = 40, 0.01


@dataclass(frozen=True)
class Anatomy:
    """How one patient differs from the template."""

    scale: Points  # (3,) template mm per patient mm
    warp_mm: Points  # (3, n, n, n) spline coefficients
    ventricle_growth: float
    atrophy: float  # tissue fraction that has become CSF where tissue and CSF mix
    white_t1: float  # factors on the tissues' T1
    grey_t1: float
    skull: Skull

    def to_template(self, patient_mm: Points) -> Points:
        """Patient positions (3, ...) to template positions (3, ...) [mm]."""
        from scipy import ndimage

        flat = patient_mm.reshape(3, -1)
        lattice = _head_lattice()
        index = (flat - np.array(lattice.start_mm)[:, None]) / lattice.spacing_mm
        out = flat * self.scale[:, None]
        for axis in range(3):
            out[axis] += ndimage.map_coordinates(self.warp_mm[axis], index, order=3, mode="nearest", prefilter=False)
        for centre_mm in VENTRICLES_MM[:, :, None]:
            away = flat - centre_mm
            out -= self.ventricle_growth * away * np.exp(-(away**2).sum(axis=0) / (2 * VENTRICLE_SIGMA_MM**2))
        return out.reshape(patient_mm.shape)

    def to_patient(self, template_mm: Points) -> Points:
        """The inverse for one position (3,), by fixed-point iteration."""
        guess = template_mm / self.scale
        for _ in range(MAX_STEPS):
            miss_mm = template_mm - self.to_template(guess[:, None])[:, 0]
            guess = guess + 0.8 * miss_mm
            if np.abs(miss_mm).max() < NEAR_MM:
                break
        return guess


@dataclass(frozen=True)
class Pose:
    """How the head lies in one scan: patient = rotation @ scan + shift [mm]."""

    rotation: Points
    shift_mm: Points

    def to_patient(self, scan_mm: Points) -> Points:
        """Scan positions (3, ...) to patient positions (3, ...)."""
        return np.tensordot(self.rotation, scan_mm, axes=1) + self.shift_mm.reshape((3,) + (1,) * (scan_mm.ndim - 1))

    def to_scan(self, patient_mm: Points) -> Points:
        """The inverse, for one position (3,)."""
        return self.rotation.T @ (patient_mm - self.shift_mm)

    def tilted(self, turn: Points) -> Pose:
        """The same head seen from axes turned by the rotation `turn`: oblique slices."""
        return Pose(self.rotation @ turn, self.shift_mm)


@dataclass(frozen=True)
class Head:
    """One patient in one pose: the map from the scan frame to the template, kept on a coarse lattice."""

    anatomy: Anatomy
    pose: Pose

    @cached_property
    def lattice(self) -> Lattice:
        return covering(HEAD_LOW_MM, HEAD_HIGH_MM, MAP_SPACING_MM)

    @cached_property
    def _template_mm(self) -> Points:
        return self.anatomy.to_template(self.pose.to_patient(self.lattice.points_mm()))

    def to_template(self, axes_mm: list[Points]) -> NDArray[np.float32]:
        """Template positions (3, n0, n1, n2) of the grid spanned by three scan-frame axes [mm]."""
        return np.stack([self.lattice.evaluate(component, axes_mm) for component in self._template_mm])

    def slabs(self, axes_mm: list[Points], planes: int) -> Iterator[tuple[NDArray[np.float32], slice]]:
        """`to_template` in parts of up to `planes` planes of the first axis, and which planes these are."""
        parts = [self.lattice.evaluate_last_two(component, axes_mm) for component in self._template_mm]
        for start in range(0, len(axes_mm[0]), planes):
            rows = slice(start, start + planes)
            yield np.stack([self.lattice.evaluate_first(part, axes_mm[0][rows]) for part in parts]), rows

    def bounds_mm(self, template: Template, margin_mm: float, *, whole: bool) -> tuple[Points, Points]:
        """The corners of the scan-frame box that holds the brain (or the `whole` head) and a margin [mm].

        The template ends in the brain stem, and what lies below goes on downwards; so the box ends `margin_mm` under the brain.
        """
        axes = [np.arange(low, high, 6.0) for low, high in zip(HEAD_LOW_MM, HEAD_HIGH_MM, strict=True)]
        index = template.index(self.to_template(axes))
        brain = template.inside(index)
        low, high = _corners(axes, brain)
        if whole:
            head_low, head_high = _corners(axes, template.within(index, self.anatomy.skull.reach_mm))
            low, high = np.append(head_low[:2], low[2]), head_high
        return low - margin_mm, high + margin_mm


def _corners(axes: list[Points], found: NDArray[np.bool_]) -> tuple[Points, Points]:
    """The lowest and highest positions along three axes at which a field on their grid is true."""
    at = np.argwhere(found)
    low, high = (
        np.array([axis[i] for axis, i in zip(axes, corner, strict=True)]) for corner in (at.min(axis=0), at.max(axis=0))
    )
    return low, high


def draw_anatomy(rng: np.random.Generator) -> Anatomy:
    """A patient's anatomy; one law for everybody."""
    lattice = _head_lattice()
    warp = rng.normal(0.0, WARP_SD_MM, size=(3, *lattice.shape))
    atrophy = float(rng.uniform(0.0, 0.25))
    return Anatomy(
        scale=1 / rng.normal(1.0, 0.03, size=3).clip(0.92, 1.08),
        warp_mm=warp.clip(-WARP_LIMIT_MM, WARP_LIMIT_MM),
        ventricle_growth=float(rng.uniform(-0.15, 0.4)),
        atrophy=atrophy,
        white_t1=float(rng.normal(1.0, 0.03)),
        grey_t1=float(rng.normal(1.0, 0.03)),
        skull=draw_skull(rng, atrophy),
    )


def draw_pose(rng: np.random.Generator, max_angle_deg: float = 7.0, max_shift_mm: float = 4.0) -> Pose:
    """How a head is laid down for one scan."""
    rotation = rotation_of(rng.uniform(-max_angle_deg, max_angle_deg, size=3))
    return Pose(rotation, rng.uniform(-max_shift_mm, max_shift_mm, size=3))


def rotation_of(angles_deg: Points | tuple[float, float, float]) -> Points:
    """Turns about R, A and S, multiplied in this order: 3x3."""
    x, y, z = np.radians(angles_deg)
    return _turn(0, x) @ _turn(1, y) @ _turn(2, z)


def anatomy_of(seed: int, site: str, patient: int) -> Anatomy:
    return draw_anatomy(keyed.rng(seed, site, "patient", patient, "anatomy"))


def _head_lattice() -> Lattice:
    return covering(HEAD_LOW_MM, HEAD_HIGH_MM, WARP_SPACING_MM)


def _turn(axis: int, angle: float) -> Points:
    """Rotation by `angle` [rad] about one axis."""
    rotation = np.eye(3)
    a, b = [other for other in range(3) if other != axis]
    rotation[a, a] = rotation[b, b] = math.cos(angle)
    rotation[a, b], rotation[b, a] = -math.sin(angle), math.sin(angle)
    return rotation
