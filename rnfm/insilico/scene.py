"""What every step of one scan needs to know: the head, the template, the pulse sequence and the simulated grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rnfm.insilico import physics
from rnfm.insilico.anatomy import Head
from rnfm.insilico.physics import FloatArray, Sequence
from rnfm.insilico.template import Template
from rnfm.insilico.traits import Traits

SWELLING_OF_GREY = 0.3  # oedema follows white matter; grey matter swells this much of it


@dataclass(frozen=True)
class Placed:
    """A lesion at one visit: its traits then, the reach of its cube, and where its centre lies in the scan frame [mm]."""

    index: int
    number: int
    traits: Traits
    reach_mm: float
    centre_mm: NDArray[np.float64]


@dataclass(frozen=True)
class Scene:
    """What every step of one scan needs to know."""

    head: Head
    template: Template
    sequence: Sequence
    grid_mm: list[NDArray[np.float64]]
    voxel_mm: float

    def tissue(self, index: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Signal without contrast agent, and the share of matter that can swell, at template indices (3, n)."""
        from scipy import ndimage

        white, grey, detail = (
            ndimage.map_coordinates(volume, index, order=1, mode="nearest", output=np.float32)
            for volume in (self.template.white, self.template.grey, self.template.detail)
        )
        anatomy, sequence = self.head.anatomy, self.sequence
        matter = white + grey
        # Atrophy: where tissue and CSF share a voxel, CSF gains.
        left = np.clip((matter - anatomy.atrophy) / (1 - anatomy.atrophy), 0, 1) / np.maximum(matter, np.float32(1e-3))
        white, grey = white * left, grey * left
        matter = white + grey
        signal = (
            white * sequence.signal(physics.WHITE.t1_s * anatomy.white_t1, physics.WHITE.pd)
            + grey * sequence.signal(physics.GREY.t1_s * anatomy.grey_t1, physics.GREY.pd)
            + (1 - matter) * np.float32(sequence.of(physics.CSF))
        )
        return signal * (1 + detail * matter), white + np.float32(SWELLING_OF_GREY) * grey
