"""The input contract: what a voxel array means. Made by `rnfm data prepare`, carried by every artefact after it.

A model that learned on z-scored RAS volumes of 1 mm must never be fed something else in silence; two contracts are
therefore compared field by field, and the differences are sentences.
"""

from __future__ import annotations

from typing import Literal

from rnfm.core.config import Config, Field


class IntensityRule(Config):
    """How raw scanner values became numbers. The per-scan parameters stand in the volume archive's scan table."""

    rule: Literal["zscore", "percentile", "none"] = Field(
        "zscore",
        description="zscore: (x - mean) / sd over the foreground, clipped; percentile: low..high to 0..1, clipped; none: raw",
    )
    low: float = Field(
        0.5,
        ge=0,
        lt=50,
        description="lower percentile of the foreground: the floor of `percentile`, and of the robust mean and sd of `zscore` [%]",
    )
    high: float = Field(99.5, gt=50, le=100, description="upper percentile of the foreground [%]")
    clip: float = Field(5.0, gt=0, description="`zscore` values are clipped to -clip..clip [sd]")


class InputContract(Config):
    """Axis order, spacing, intensity rule and channels of an input array (C, D, H, W)."""

    axes: Literal["RAS"] = Field(
        "RAS", description="array axes D, H, W point to the patient's right, anterior, superior"
    )
    spacing_mm: tuple[float, float, float] = Field((1.0, 1.0, 1.0), description="voxel size along D, H, W [mm]")
    intensity: IntensityRule = Field(default=IntensityRule(), description="intensity rule of the image channels")
    channels: tuple[str, ...] = Field(("t1ce",), description="meaning of each input channel, in order")
    crop: tuple[int, int, int] | None = Field(
        None, description="size of one input along D, H, W [voxel]; none for whole volumes"
    )

    def differences(self, other: InputContract) -> list[str]:
        """Sentences on what differs in geometry or intensity; channels and crop are adapted by surgery, not refused here."""
        found = []
        for name in ("axes", "spacing_mm", "intensity"):
            ours, theirs = getattr(self, name), getattr(other, name)
            if ours != theirs:
                found.append(f"{name} is {_show(theirs)}, expected {_show(ours)}")
        return found


def _show(value: object) -> str:
    return str(value.as_dict()) if isinstance(value, Config) else str(value)
