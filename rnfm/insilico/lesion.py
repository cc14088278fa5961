"""The lesion as fields on a cube of fine voxels: where it is, how much contrast agent it takes up, where it is dead.

    depth > 0 inside            tissue 0..1       share of the voxel that is lesion (1 deep inside, feathered at the edge)
      |<- rim ->|  core         uptake 0..~1.5    contrast agent relative to the rim
    --+---------+--------->     oedema 0..1       swelling of white matter around it
      border    necrosis        drawn, dead       what an annotator outlines, and the non-enhancing part of that

All randomness is keyed by (seed, site, lesion, part), and cubes have a size that depends on the lesion alone: the same
lesion looks the same at every visit. Lengths in mm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rnfm.core import keyed
from rnfm.insilico.physics import FloatArray
from rnfm.insilico.traits import Traits

EDGE_MM = 0.45  # softness of borders inside the lesion
DEAD_BELOW = 0.3  # an annotator calls uptake below this share of the rim's necrotic
CORE_FLOOR = 0.5  # uptake of the core between its walls and blobs, over that of these
CANDIDATES = 10
NEAR_CENTRE = 0.45  # the deepest nodules and holes lie at this share of the way to the rim
OEDEMA_EDGE_MM = 1.8
OEDEMA_TAPER_MM = 3.0  # over which oedema ends where the cube does, so that cubes leave no edges


@dataclass(frozen=True)
class Fields:
    """Fields of one lesion, all (N, N, N)."""

    tissue: FloatArray
    uptake: FloatArray
    oedema: FloatArray
    drawn: NDArray[np.bool_]
    dead: NDArray[np.bool_]


@dataclass(frozen=True)
class Cube:
    """A cube of fine voxels around a lesion's centre: voxel offsets from the centre along one axis [mm], and its key."""

    offsets_mm: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
    step_mm: float
    seed: int
    key: tuple[str | int, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        a, b, c = (len(axis) for axis in self.offsets_mm)
        return a, b, c

    def rng(self, part: str) -> np.random.Generator:
        return keyed.rng(self.seed, *self.key, part)

    def taper(self, width_mm: float) -> FloatArray:
        """1 inside the largest ball in the cube, falling to 0 over its last `width_mm`."""
        x, y, z = np.meshgrid(*self.offsets_mm, indexing="ij", sparse=True)
        edge_mm = min(float(min(-axis[0], axis[-1])) for axis in self.offsets_mm)
        return np.clip((np.float32(edge_mm) - np.sqrt(x**2 + y**2 + z**2)) / np.float32(width_mm), 0, 1)

    def noise(self, part: str, scale_mm: float) -> FloatArray:
        """A smooth random field of unit variance; `scale_mm` is about the width of its blobs."""
        from scipy import fft

        white = self.rng(part).standard_normal(self.shape, dtype=np.float32)
        sigma_vox = scale_mm / 2.2 / self.step_mm
        spectrum = fft.rfftn(white)
        for axis, size in enumerate(self.shape):
            frequency = fft.rfftfreq(size) if axis == 2 else fft.fftfreq(size)
            low_pass = np.exp(-2 * (np.pi * sigma_vox * frequency) ** 2).astype(np.float32)
            spectrum *= low_pass.reshape([-1 if other == axis else 1 for other in range(3)])
        field = fft.irfftn(spectrum, s=self.shape, overwrite_x=True)
        field -= field.mean()
        return field / (field.std() + np.float32(1e-6))


def reach_mm(traits: Traits) -> float:
    """How far from its centre a lesion of these traits is felt, oedema included [mm]."""
    nuisances = traits.nuisances
    return 1.05 * max(nuisances.elongation) * (1 + 1.5 * nuisances.border_amplitude) * traits.radius_mm + (
        0.8 * nuisances.oedema_mm + 3.0
    )


def build(traits: Traits, cube: Cube) -> Fields:
    """The fields of one lesion."""
    place = _ellipsoid(traits, cube)
    radius_mm = traits.radius_mm
    seen, nuisances = traits.visible, traits.nuisances
    distance = np.sqrt((place**2).sum(axis=0))
    rough = cube.noise("border", seen.border_scale_mm) * np.float32(nuisances.border_amplitude * radius_mm)
    signed = distance + rough
    signed -= _level(signed, volume=traits.volume_cc * 1000 / cube.step_mm**3)
    tissue = _step(-signed, seen.feather_mm)
    # The inner side of the rim follows the border only half-way, as real rims do.
    depth = np.float32(radius_mm) - distance - np.float32(0.5) * rough
    uptake = _uptake(traits, cube, place=place, depth=depth)
    spread = np.float32(nuisances.oedema_mm) * (1 + np.float32(0.4) * cube.noise("oedema", 9.0))
    oedema = _step(spread - signed, OEDEMA_EDGE_MM) * cube.taper(OEDEMA_TAPER_MM)
    drawn = _largest(signed < nuisances.annotator_mm)
    dead = drawn & (uptake < DEAD_BELOW) & (signed < -0.8)
    return Fields(tissue, uptake, oedema, drawn, dead)


def _ellipsoid(traits: Traits, cube: Cube) -> FloatArray:
    """Offsets (3, N, N, N) in the lesion's own turned and stretched axes: its border is a sphere there."""
    from scipy.spatial.transform import Rotation

    turn = Rotation.random(rng=cube.rng("turn")).as_matrix() / np.array(traits.nuisances.elongation)[:, None]
    turn = turn.astype(np.float32)
    x, y, z = np.meshgrid(*cube.offsets_mm, indexing="ij", sparse=True)
    return np.stack([row[0] * x + row[1] * y + row[2] * z for row in turn])


def _largest(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest connected part: nobody outlines the specks that a ragged border throws off."""
    from scipy import ndimage

    parts, count = ndimage.label(inside)
    if count < 2:
        return inside
    return parts == 1 + np.bincount(parts.ravel())[1:].argmax()


def _level(field: FloatArray, volume: float) -> np.float32:
    """The value below which `volume` voxels of `field` lie."""
    count = int(np.clip(round(volume), 1, field.size - 1))
    return np.partition(field.ravel(), count)[count]


def _uptake(traits: Traits, cube: Cube, *, place: FloatArray, depth: FloatArray) -> FloatArray:
    """Contrast agent relative to the rim: rim, core texture, mural nodules, minus holes, times slow variation."""
    seen, nuisances, radius_mm = traits.visible, traits.nuisances, traits.radius_mm
    rim_mm = min(seen.rim_mm * nuisances.rim_factor, 0.6 * radius_mm)
    texture = cube.noise("texture", nuisances.texture_scale_share * radius_mm)
    # Both fill about 30% of the core: the share of enhancing core tells nothing, its pattern does.
    walls = np.exp(-((texture / np.float32(0.45)) ** 2))
    blobs = _step(texture - np.float32(0.52), 0.12)
    share = np.float32(seen.wall_share)
    core = np.float32(nuisances.core_uptake) * (
        np.float32(CORE_FLOOR) + np.float32(1 - CORE_FLOOR) * (share * walls + (1 - share) * blobs)
    )
    uptake = np.maximum(core, _step(np.float32(rim_mm) - depth, EDGE_MM))
    rng = cube.rng("parts")
    hole_mm = max(nuisances.hole_radius_share * radius_mm, 0.9)
    for direction in _directions(rng, nuisances.holes):
        centre = direction * _from_centre_mm(radius_mm, rim_mm, hole_mm, seen.hole_depth_share)
        uptake = _ball(uptake, place, centre=centre, radius_mm=hole_mm, value=0.0)
    nodule_mm = nuisances.nodule_radius_share * radius_mm
    for direction in _directions(rng, nuisances.nodules):
        centre = direction * _from_centre_mm(radius_mm, rim_mm, nodule_mm, seen.nodule_depth_share)
        uptake = _ball(uptake, place, centre=centre, radius_mm=nodule_mm, value=1.0)
    return uptake * np.exp(np.float32(nuisances.heterogeneity) * cube.noise("variation", 5.0))


def _from_centre_mm(radius_mm: float, rim_mm: float, ball_mm: float, depth_share: float) -> float:
    """How far from the lesion's centre a ball lies: from touching the rim (share 0) to NEAR_CENTRE of that (share 1).

    The ball is as large and as bright wherever it lies, so that its place is all that tells the classes.
    """
    outermost_mm = max(radius_mm - rim_mm - ball_mm, 0.3 * radius_mm)
    return outermost_mm * (1 - (1 - NEAR_CENTRE) * depth_share)


def _ball(
    uptake: FloatArray, place: FloatArray, *, centre: NDArray[np.float64], radius_mm: float, value: float
) -> FloatArray:
    """`uptake` blended to `value` inside one ball."""
    away = place - centre.astype(np.float32).reshape(3, 1, 1, 1)
    inside = _step(np.float32(radius_mm) - np.sqrt((away**2).sum(axis=0)), EDGE_MM)
    return uptake + inside * (np.maximum(uptake, np.float32(value)) - uptake if value else -uptake)


def _directions(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """`count` unit vectors that keep away from each other: of CANDIDATES random ones the loneliest is taken, again and again.

    Balls that overlap would be fewer bright or dark voxels the deeper they lie, and any histogram would see that.
    """
    drawn = rng.standard_normal((count, CANDIDATES, 3))
    drawn /= np.linalg.norm(drawn, axis=2, keepdims=True)
    chosen = drawn[0, :1]
    for candidates in drawn[1:]:
        nearest = (candidates @ chosen.T).max(axis=1)
        chosen = np.concatenate([chosen, candidates[[nearest.argmin()]]])
    return chosen


def _step(value: FloatArray, softness_mm: float) -> FloatArray:
    """A soft step from 0 (value << 0) to 1 (value >> 0)."""
    return np.float32(0.5) + np.float32(0.5) * np.tanh(value * np.float32(0.5 / softness_mm))
