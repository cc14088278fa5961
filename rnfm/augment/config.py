"""How strongly samples are changed. 0, or an empty list, switches a change off."""

from __future__ import annotations

from typing import Literal

from rnfm.core.config import Config, Field


class AugmentConfig(Config):
    """Strength of each change; every draw is uniform within the range given."""

    scale: float = Field(0.1, ge=0, lt=1, description="values are multiplied by 1 - scale to 1 + scale")
    shift: float = Field(0.1, ge=0, description="values are moved by up to this [unit of the intensity rule]")
    gamma: float = Field(
        0.0,
        ge=0,
        description="exponent 1 / (1 + gamma) to 1 + gamma on the sample's own range, uniform in its logarithm",
    )
    noise: float = Field(
        0.0, ge=0, description="Gaussian noise of standard deviation 0 to this [unit of the intensity rule]"
    )
    flip: tuple[Literal["right", "anterior", "superior"], ...] = Field(
        (), description="axes that are mirrored in every second sample; anatomy is not symmetric, so none by default"
    )
    move_vox: int = Field(
        0, ge=0, description="moves by whole voxels up to this along each axis; the edge is repeated [voxel]"
    )
