"""Laying a lesion into a scan: its change of the signal, its dose of contrast agent, and the annotator's outline.

A lesion is computed on a cube of fine voxels (about 1 mm or less) that are whole parts of the grid's voxels, and only its
change of the signal is averaged into the grid. Two lesions may overlap: changes add up, outlines go to the first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rnfm.insilico import lesion, physics
from rnfm.insilico.acquire import Sampling
from rnfm.insilico.lesion import Cube, Fields
from rnfm.insilico.physics import FloatArray
from rnfm.insilico.scene import Placed, Scene
from rnfm.insilico.traits import Traits

FINE_MM = 1.0
ENHANCING, NECROTIC = 1, 2


def add_lesion(
    scene: Scene,
    item: Placed,
    lesion_key: tuple[int, tuple[str | int, ...]],
    signal: FloatArray,
    sampled: Sampling,
    mask: NDArray[np.uint16],
) -> float:
    """Change `signal` by one lesion and draw it into `mask`, both in place.

    Returns the contrast agent of its rim [mM]; 0 if the lesion lies outside the grid. `lesion_key` is (seed, key).
    """
    start, count, factor = _cube_place(scene, item)
    target, source = _overlap(start, count, signal.shape)
    if any(part.start == part.stop for part in target):
        return 0.0
    axes_mm = [
        grid_mm[0] + scene.voxel_mm * (first + (np.arange(count * factor) + 0.5) / factor - 0.5)
        for grid_mm, first in zip(scene.grid_mm, start, strict=True)
    ]
    offsets = [(axis - centre).astype(np.float32) for axis, centre in zip(axes_mm, item.centre_mm, strict=True)]
    seed, key = lesion_key
    cube = Cube((offsets[0], offsets[1], offsets[2]), scene.voxel_mm / factor, seed, key)
    fields = lesion.build(item.traits, cube)
    index = scene.template.index(scene.head.to_template(axes_mm))
    inside = scene.template.inside(index)
    seen = _seen_as(fields.drawn & inside, sampled, scene.voxel_mm / factor)
    change, dose_mm = _lesion_change(scene, item.traits, fields, index=index, inside=inside, seen=seen)
    signal[target] += _block_mean(change, factor)[source]
    drawn, dead = (
        _block_mean((part & inside).astype(np.float32), factor)[source] for part in (fields.drawn, fields.dead)
    )
    _draw(mask, sampled, (drawn, dead), (target[0].start, target[1].start, target[2].start), item.number)
    return dose_mm


def _cube_place(scene: Scene, item: Placed) -> tuple[tuple[int, int, int], int, int]:
    """First grid voxel of a lesion's cube along each axis, its size in grid voxels, and fine voxels a grid voxel."""
    from scipy import fft

    half = int(np.ceil(item.reach_mm / scene.voxel_mm))
    count = fft.next_fast_len(2 * half, real=True)
    centre = [
        round(float((at - grid_mm[0]) / scene.voxel_mm))
        for at, grid_mm in zip(item.centre_mm, scene.grid_mm, strict=True)
    ]
    factor = max(1, round(scene.voxel_mm / FINE_MM))
    return (centre[0] - count // 2, centre[1] - count // 2, centre[2] - count // 2), count, factor


def _lesion_change(
    scene: Scene,
    own: Traits,
    fields: Fields,
    *,
    index: FloatArray,
    inside: NDArray[np.bool_],
    seen: FloatArray,
) -> tuple[FloatArray, float]:
    """Signal with the lesion minus signal without, on its cube; the dose is solved for the mean signal weighted by `seen`."""
    felt = inside & ((fields.tissue > 0.005) | (fields.oedema > 0.02))
    sequence = scene.sequence
    plain, swells = scene.with_swelling(index[:, felt])
    swollen = plain + fields.oedema[felt] * swells * (np.float32(sequence.of(physics.OEDEMA)) - plain)
    tissue, uptake = fields.tissue[felt], fields.uptake[felt]
    alive = np.clip(uptake * 2, 0, 1).astype(np.float32)
    t1_s = np.reciprocal(
        alive / np.float32(physics.TUMOUR.t1_s) + (1 - alive) / np.float32(physics.NECROSIS.t1_s), dtype=np.float32
    )
    pd = alive * np.float32(physics.TUMOUR.pd) + (1 - alive) * np.float32(physics.NECROSIS.pd)

    def with_dose(dose_mm: float, where: NDArray[np.bool_] | slice = slice(None)) -> FloatArray:
        own_signal = sequence.signal(t1_s[where], pd[where], np.float32(dose_mm) * uptake[where])
        return swollen[where] + tissue[where] * (own_signal - swollen[where])

    weight = seen[felt]
    counts = weight > 0.02
    weight = weight[counts] / max(float(weight[counts].sum()), 1e-6)
    target = own.nuisances.brightness * sequence.of(physics.WHITE)
    dose_mm = physics.solve_dose(lambda dose: float((with_dose(dose, counts) * weight).sum()), target)
    change = np.zeros(inside.shape, np.float32)
    change[felt] = with_dose(dose_mm) - plain
    return change, dose_mm


def _seen_as(drawn: NDArray[np.bool_], sampled: Sampling, step_mm: float) -> FloatArray:
    """How much each fine voxel counts in the mean of the outlined voxels of the scan: the outline, blurred as the scan is.

    Without it a ragged or feathered border would lower the measured mean, and the mean would tell the class.
    """
    from scipy import ndimage

    sigmas = [blur_mm / step_mm for blur_mm in sampled.blurs_mm]
    return ndimage.gaussian_filter(drawn.astype(np.float32), sigmas, truncate=2.5, mode="constant")


def _overlap(
    start: tuple[int, int, int], count: int, shape: tuple[int, ...]
) -> tuple[tuple[slice, slice, slice], tuple[slice, slice, slice]]:
    """The part of a cube that lies in the grid: its slices in the grid and in the cube."""
    target, source = [], []
    for first, size in zip(start, shape, strict=True):
        low, high = min(max(first, 0), size), min(max(first + count, 0), size)
        target.append(slice(low, high))
        source.append(slice(low - first, high - first))
    return (target[0], target[1], target[2]), (source[0], source[1], source[2])


def _draw(
    mask: NDArray[np.uint16],
    sampled: Sampling,
    parts: tuple[FloatArray, FloatArray],
    start: tuple[int, int, int],
    number: int,
) -> None:
    """The annotator's outline: voxels at least half covered, or the fullest ones of a lesion too thin for that."""
    (drawn, window), (dead, _) = (sampled.apply_part(part, start) for part in parts)
    if not drawn.size or not drawn.any():
        return
    outline = drawn >= min(0.5, float(drawn.max()))
    necrotic = outline & (dead > 0.5 * drawn)
    part = mask[window]
    free = outline & (part == 0)
    part[free] = number * 10 + ENHANCING
    part[free & necrotic] = number * 10 + NECROTIC


def _block_mean(fine: FloatArray, factor: int) -> FloatArray:
    if factor == 1:
        return fine
    a, b, c = (size // factor for size in fine.shape)
    return fine.reshape(a, factor, b, factor, c, factor).mean(axis=(1, 3, 5), dtype=np.float32)
