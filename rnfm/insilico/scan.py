"""One visit of one patient as voxels: anatomy, lesions, signal, acquisition, noise, and the annotator's mask.

    template --Head--> tissue fractions --Sequence--> signal on the grid (voxel_mm)
    each lesion (inlay): its change of the signal, from fine voxels near it, is added to the grid
    grid --coil, blur, slice profile, sampling--> scan --Rician noise, skull stripped if asked--> int16

Work at fine resolution is thus done near lesions only. Grid and scan arrays have axes R, A, S until they are stored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rnfm.core import keyed
from rnfm.insilico import acquire, physics, template
from rnfm.insilico.anatomy import HEAD_HIGH_MM, HEAD_LOW_MM, Head
from rnfm.insilico.inlay import add_lesion
from rnfm.insilico.physics import FloatArray
from rnfm.insilico.scanners import Scanner
from rnfm.insilico.scene import Placed, Scene

MARGIN_MM = 6.0
SLAB = 24  # planes of the grid computed at once
Box = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class Scan:
    """Voxels in R, A, S order: `image` int16, `mask` uint16 (lesion number * 10 + segment, 1 enhancing, 2 necrotic)."""

    image: NDArray[np.int16]
    mask: NDArray[np.uint16]
    sampled: acquire.Sampling
    dose_mm: dict[int, float]  # contrast agent in the rim, a lesion number [mM]


def simulate(
    head: Head,
    placed: list[Placed],
    scanner: Scanner,
    *,
    voxel_mm: float,
    seed: int,
    key: tuple[str | int, ...],
    lesion_key: tuple[str | int, ...],
    box_mm: Box | None = None,
    stripped: bool = False,
    hollow: bool = False,
) -> Scan:
    """Simulate one scan. `key` names the visit, `lesion_key` + (lesion index,) a lesion.

    `box_mm` cuts a part of the head; `stripped` sets everything but the brain to 0, as skull-stripped data sets come;
    `hollow` leaves the image empty and makes all the rest as it will be, in a tenth of the time.
    """
    brain = template.for_voxel(voxel_mm)
    corners = box_mm or head.bounds_mm(brain, MARGIN_MM, whole=not stripped)
    scene = Scene(head, brain, scanner.sequence, _grid(corners, voxel_mm), voxel_mm)
    signal = np.zeros([len(axis) for axis in scene.grid_mm], np.float32) if hollow else _head_signal(scene)
    sampled = acquire.sampling(scene.grid_mm, scanner, voxel_mm)
    mask, dose_mm = np.zeros(sampled.shape, np.uint16), {}
    for item in placed:
        dose_mm[item.number] = add_lesion(scene, item, (seed, (*lesion_key, item.index)), signal, sampled, mask)
    outside = ~_brain(scene, sampled) if stripped else np.zeros((), bool)
    mask[np.broadcast_to(outside, mask.shape)] = 0
    if hollow:
        return Scan(np.zeros(sampled.shape, np.int16), mask, sampled, dose_mm)
    full_mm = (np.array(HEAD_LOW_MM), np.array(HEAD_HIGH_MM))
    signal *= acquire.coil(scene.grid_mm, scanner, keyed.rng(seed, *key, "coil"), full_mm)
    measured = sampled.apply(signal)
    white = scene.sequence.of(physics.WHITE)
    measured = physics.add_rician(measured, scanner.noise * white, keyed.rng(seed, *key, "noise"))
    measured *= np.float32(scanner.gain / white)
    measured[np.broadcast_to(outside, measured.shape)] = 0
    image = np.rint(np.minimum(measured, np.iinfo(np.int16).max)).astype(np.int16)
    return Scan(image, mask, sampled, dose_mm)


def _grid(corners: Box, voxel_mm: float) -> list[NDArray[np.float64]]:
    """Evenly spaced positions along R, A, S, beginning at the low corner [mm]."""
    return [
        low + voxel_mm * np.arange(int(np.ceil((high - low) / voxel_mm - 1e-6)) + 1)
        for low, high in zip(*corners, strict=True)
    ]


def _head_signal(scene: Scene) -> FloatArray:
    """The head without lesions on the grid, slab by slab: indices of all of it at once would take ten times its memory."""
    x, y, z = scene.grid_mm
    out = np.empty((len(x), len(y), len(z)), np.float32)
    for index, rows in scene.head.slabs([x, y, z], SLAB):
        out[rows] = scene.signal(scene.template.index(index))
    return out


def _brain(scene: Scene, sampled: acquire.Sampling) -> NDArray[np.bool_]:
    """Where the brain is, at the scan's voxels."""
    return scene.template.inside(scene.template.index(scene.head.to_template(list(sampled.centres_mm))))
