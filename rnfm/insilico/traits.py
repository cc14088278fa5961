"""What a lesion is like: one hidden trait, six visible traits that it drives, and nuisances that know nothing of it.

    label -> t ~ N(+-d/2, 1) -> z_k = w_k t + sqrt(1 - w_k^2) noise (k = 1..6) -> what is seen (positive z: necrosis)
    no label -> nuisances: the functions that draw them are not given the label, so that they cannot follow it

label 1 = radiation necrosis, 0 = progression. Volume is the one exception: its logarithm is shifted a little.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from rnfm.core import keyed

SEPARATION = 2.2  # d: distance of the two classes in the hidden trait [sd]; AUC of the trait itself is 0.94
MEDIAN_CC, LOG_SD, LOG_SHIFT = 3.0, 0.62, 0.22  # volume: log-normal; distance of the classes in log-volume
# Texture statistics read border, rim, septa and feather, so these say little; where nodules and holes lie they cannot
# read, so that says much. Experiment 001 holds the figures that these weights were set by.
LOADINGS = {"border": 0.3, "rim": 0.3, "nodules": 0.82, "septa": 0.5, "holes": 0.82, "feather": 0.15}
VISIBLE = tuple(LOADINGS)


@dataclass(frozen=True)
class Visible:
    """The six visible traits as lengths and shares; see `visible` for their directions."""

    border_scale_mm: float
    rim_mm: float
    nodule_depth_share: float  # 0: nodules on the inner side of the rim, 1: islands near the centre
    wall_share: float  # 1: septa are walls (soap bubble), 0: blobs
    hole_depth_share: float  # 0: holes just under the rim, 1: near the centre
    feather_mm: float


@dataclass(frozen=True)
class Nuisances:
    """What differs between lesions with one law for both classes."""

    border_amplitude: float  # share of the radius
    rim_factor: float  # on the rim's thickness: a thick rim alone proves nothing
    core_uptake: float  # of the rim's
    texture_scale_share: float  # share of the radius
    nodules: int
    nodule_radius_share: float  # share of the radius
    holes: int
    hole_radius_share: float  # share of the radius
    heterogeneity: float  # sd of the logarithm of uptake
    annotator_mm: float  # the annotator draws this much outside (+) or inside (-) the border
    brightness: float  # mean signal of the lesion over that of white matter
    oedema_mm: float
    elongation: tuple[float, float, float]  # axes of the ellipsoid, product 1
    regrowth: float  # volume at radiosurgery over volume at the classified scan


@dataclass(frozen=True)
class Traits:
    """All of one lesion. `z` in the order of `VISIBLE`."""

    hidden: float
    z: tuple[float, ...]
    visible: Visible
    nuisances: Nuisances
    volume_cc: float

    @property
    def radius_mm(self) -> float:
        """Radius of the sphere of the lesion's volume."""
        return (self.volume_cc * 1000 * 3 / (4 * math.pi)) ** (1 / 3)


def draw(seed: int, site: str, lesion: int, label: int) -> Traits:
    """The traits of one lesion of a site."""
    hidden, z = draw_hidden(keyed.rng(seed, site, "lesion", lesion, "trait"), label)
    nuisances = draw_nuisances(keyed.rng(seed, site, "lesion", lesion, "nuisances"))
    volume_cc = draw_volume_cc(keyed.rng(seed, site, "lesion", lesion, "volume"), label)
    return Traits(hidden, z, visible(z), nuisances, volume_cc)


def before_the_turn(traits: Traits, seed: int, site: str, lesion: int) -> Traits:
    """The same lesion before its classified scan: a viable tumour, whatever became of it later."""
    hidden, z = draw_hidden(keyed.rng(seed, site, "lesion", lesion, "trait before"), label=0)
    return replace(traits, hidden=hidden, z=z, visible=visible(z))


def draw_hidden(rng: np.random.Generator, label: int) -> tuple[float, tuple[float, ...]]:
    """The hidden trait and the six visible traits' scores."""
    hidden = rng.normal((label - 0.5) * SEPARATION, 1.0)
    noises = rng.standard_normal(len(VISIBLE))
    return float(hidden), tuple(
        float(weight * hidden + math.sqrt(1 - weight**2) * noise)
        for weight, noise in zip(LOADINGS.values(), noises, strict=True)
    )


def draw_volume_cc(rng: np.random.Generator, label: int) -> float:
    """Volume [cc]; necrosis is a little larger."""
    log_volume = math.log(MEDIAN_CC) + (label - 0.5) * LOG_SHIFT + LOG_SD * rng.standard_normal()
    return float(np.clip(math.exp(log_volume), 0.4, 16.0))


def visible(z: tuple[float, ...]) -> Visible:
    """Scores as lengths. Necrosis: fine border, thin rim, islands off the rim, walls, deep holes, feathered edge."""
    border, rim, nodules, septa, holes, feather = z
    return Visible(
        border_scale_mm=_between(3.2 * math.exp(-0.28 * border), 1.4, 8.0),
        rim_mm=_between(2.4 * math.exp(-0.18 * rim), 1.1, 4.5),
        nodule_depth_share=_logistic(1.8 * nodules),
        wall_share=_logistic(1.5 * septa),
        hole_depth_share=_logistic(1.8 * holes),
        feather_mm=_between(0.6 * math.exp(0.35 * feather), 0.2, 2.0),
    )


def draw_nuisances(rng: np.random.Generator) -> Nuisances:
    """Everything that is drawn without knowing the label."""
    axes = np.exp(rng.normal(0.0, 0.13, size=3))
    axes /= np.cbrt(axes.prod())
    return Nuisances(
        border_amplitude=float(rng.uniform(0.05, 0.22)),
        rim_factor=float(np.exp(rng.normal(0.0, 0.35))),
        core_uptake=float(rng.uniform(0.4, 0.7)),
        texture_scale_share=float(rng.uniform(0.27, 0.42)),
        nodules=int(rng.integers(2, 5)),
        nodule_radius_share=float(rng.uniform(0.16, 0.24)),
        holes=int(rng.integers(3, 8)),
        hole_radius_share=float(rng.uniform(0.15, 0.23)),
        heterogeneity=float(rng.uniform(0.08, 0.25)),
        annotator_mm=float(rng.normal(0.0, 0.35)),
        brightness=float(rng.normal(1.30, 0.10)),
        oedema_mm=float(rng.uniform(2.0, 11.0)),
        elongation=(float(axes[0]), float(axes[1]), float(axes[2])),
        regrowth=float(rng.uniform(0.3, 0.75)),
    )


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def _between(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
