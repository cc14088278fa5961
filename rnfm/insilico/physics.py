"""What a voxel of tissue with contrast agent sends back: spoiled gradient echo, and the noise of a magnitude image.

    S(R1, PD) = PD sin(a) (1 - E1) / (1 - cos(a) E1),   E1 = exp(-TR R1),   R1 = 1 / T1 + r1 C

Left out on purpose: T2* decay (echo times of 2-5 ms) and water exchange. Signals are in units of PD; a scanner's gain
makes them numbers. Source: Haacke et al., Magnetic Resonance Imaging (1999), chapter 18.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

RELAXIVITY_PER_MM_S = 4.3  # gadolinium chelate, 1/(mM s)


@dataclass(frozen=True)
class Tissue:
    """Longitudinal relaxation time at 3 T [s] and proton density (water = 1)."""

    t1_s: float
    pd: float


WHITE = Tissue(0.85, 0.70)
GREY = Tissue(1.35, 0.82)
CSF = Tissue(3.8, 1.00)
OEDEMA = Tissue(1.25, 0.88)
NECROSIS = Tissue(2.4, 0.95)
TUMOUR = Tissue(1.3, 0.88)


@dataclass(frozen=True)
class Sequence:
    """A spoiled gradient echo: repetition time [ms], flip angle [deg], and the field's factor on every T1."""

    tr_ms: float
    flip_deg: float
    t1_factor: float = 1.0

    def signal(
        self, t1_s: FloatArray | float, pd: FloatArray | float, contrast_mm: FloatArray | float = 0.0
    ) -> FloatArray:
        """Signal of tissue with T1 [s], proton density and contrast agent [mM]; the arguments broadcast."""
        r1_per_s = 1.0 / (np.asarray(t1_s, np.float32) * np.float32(self.t1_factor))
        r1_per_s = r1_per_s + np.float32(RELAXIVITY_PER_MM_S) * np.asarray(contrast_mm, np.float32)
        e1 = np.exp(np.float32(-self.tr_ms / 1000) * r1_per_s)
        flip = math.radians(self.flip_deg)
        return (
            np.asarray(pd, np.float32) * np.float32(math.sin(flip)) * (1 - e1) / (1 - np.float32(math.cos(flip)) * e1)
        )

    def of(self, tissue: Tissue) -> float:
        """Signal of a plain tissue without contrast agent."""
        return float(self.signal(tissue.t1_s, tissue.pd))


def solve_dose(
    mean_signal: Callable[[float], float], target: float, highest_mm: float = 12.0, steps: int = 18
) -> float:
    """The contrast concentration [mM] at which the rising function `mean_signal` reaches `target`, by bisection.

    A target out of reach gives the nearer end, 0 or `highest_mm`: a scanner cannot do better either.
    """
    low, high = 0.0, highest_mm
    for _ in range(steps):
        middle = (low + high) / 2
        if mean_signal(middle) < target:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def add_rician(signal: FloatArray, sigma: float, rng: np.random.Generator) -> FloatArray:
    """Magnitude of `signal` plus complex Gaussian noise of standard deviation `sigma` in each channel."""
    real = rng.standard_normal(signal.shape, dtype=np.float32)
    imaginary = rng.standard_normal(signal.shape, dtype=np.float32)
    real *= np.float32(sigma)
    imaginary *= np.float32(sigma)
    real += signal
    return np.hypot(real, imaginary)
