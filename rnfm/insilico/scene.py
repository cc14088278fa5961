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

    def signal(self, index: FloatArray) -> FloatArray:
        """Signal of the head without lesions and contrast in the brain at template indices (3, ...)."""
        box, corner = self._box(index)
        return self._at(self._template_signal(box), index - corner)

    def with_swelling(self, index: FloatArray) -> tuple[FloatArray, FloatArray]:
        """`signal`, and the share of matter that can swell, at template indices (3, n)."""
        box, corner = self._box(index)
        near = index - corner
        matter = self.template.white[box] + np.float32(SWELLING_OF_GREY) * self.template.grey[box]
        return self._at(self._template_signal(box), near), self._at(matter, near)

    def _box(self, index: FloatArray) -> tuple[tuple[slice, slice, slice], FloatArray]:
        """The part of the template that indices (3, ...) need, and its first corner as (3, 1, ...)."""
        slices = []
        for axis, size in enumerate(self.template.brain.shape):
            low = int(np.clip(np.floor(index[axis].min()), 0, size - 2))
            slices.append(slice(low, int(np.clip(np.floor(index[axis].max()) + 2, low + 2, size))))
        corner = np.array([part.start for part in slices], np.float32)
        return (slices[0], slices[1], slices[2]), corner.reshape((3,) + (1,) * (index.ndim - 1))

    @staticmethod
    def _at(volume: FloatArray, index: FloatArray) -> FloatArray:
        from scipy import ndimage

        return ndimage.map_coordinates(volume, index, order=1, mode="nearest", output=np.float32)

    def _template_signal(self, box: tuple[slice, slice, slice]) -> FloatArray:
        """Signal on a part of the template's own grid: mixing is linear, so it is interpolated once, not tissue by tissue."""
        template = self.template
        brain, outside_mm = template.brain[box], template.outside_mm[box]
        out = np.zeros(brain.shape, np.float32)
        out[brain] = self._brain_signal(
            template.white[box][brain], template.grey[box][brain], template.detail[box][brain]
        )
        head = ~brain & (outside_mm < self.head.anatomy.skull.reach_mm + template.step_mm)
        out[head] = self.head.anatomy.skull.signal(
            self.sequence, outside_mm[head], template.sinus[box][head], template.step_mm
        )
        return out

    def _brain_signal(self, white: FloatArray, grey: FloatArray, detail: FloatArray) -> FloatArray:
        anatomy, sequence = self.head.anatomy, self.sequence
        matter = white + grey
        # Atrophy: where tissue and CSF share a voxel, CSF gains.
        atrophy = np.float32(anatomy.atrophy)
        left = np.clip((matter - atrophy) / (1 - atrophy), 0, 1) / np.maximum(matter, np.float32(1e-3))
        white, grey = white * left, grey * left
        matter = white + grey
        signal = (
            white * sequence.signal(physics.WHITE.t1_s * anatomy.white_t1, physics.WHITE.pd)
            + grey * sequence.signal(physics.GREY.t1_s * anatomy.grey_t1, physics.GREY.pd)
            + (1 - matter) * np.float32(sequence.of(physics.CSF))
        )
        return signal * (1 + detail * matter)
