"""The input contract: what a voxel array means. Made by `rnfm data prepare`, carried by every artefact after it.

A model that learned on z-scored RAS volumes of 1 mm must never be fed something else in silence; two contracts are
therefore compared field by field, and the differences are sentences. Every field has a default that means "as before
this field existed", so that artefacts of older releases load and compare.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from pydantic import model_validator

from rnfm.core.config import Config, Field

LANDMARKS = 11  # low, the nine deciles, high


class IntensityRule(Config):
    """How raw scanner values became numbers. The per-scan parameters stand in the volume archive's scan table."""

    rule: Literal["zscore", "percentile", "nyul", "none"] = Field(
        "zscore",
        description="zscore: (x - mean) / sd over the foreground, clipped; percentile: low..high to 0..1, clipped; nyul: "
        "the foreground's percentiles to fitted landmarks in 0..1, straight lines between, clipped; none: raw",
    )
    low: float = Field(
        0.5,
        ge=0,
        lt=50,
        description="lower percentile of the foreground: the floor of `percentile` and `nyul`, and of the robust mean and sd of `zscore` [%]",
    )
    high: float = Field(99.5, gt=50, le=100, description="upper percentile of the foreground [%]")
    clip: float = Field(5.0, gt=0, description="`zscore` values are clipped to -clip..clip [sd]")
    landmarks: tuple[float, ...] = Field(
        (),
        description="`nyul` only, fitted and never set by hand: where the percentiles low, 10, 20, ..., 90, high of a scan go",
    )

    @model_validator(mode="after")
    def _consistent(self) -> IntensityRule:
        if self.landmarks and self.rule != "nyul":
            raise ValueError(f"landmarks belong to rule nyul, not to {self.rule}")
        if self.landmarks and (len(self.landmarks) != LANDMARKS or any(a >= b for a, b in pairwise(self.landmarks))):
            raise ValueError(f"the landmarks must be {LANDMARKS} rising numbers")
        if self.rule == "nyul" and not (self.low < 10 and self.high > 90):
            raise ValueError("rule nyul needs low below 10 and high above 90, for its other landmarks are the deciles")
        return self


class BiasRule(Config):
    """Correction of the slow change of brightness over a scan, before the intensity rule."""

    rule: Literal["none", "n4"] = Field(
        "none", description="n4: N4ITK over the foreground (Tustison et al., IEEE TMI 2010)"
    )
    shrink: int = Field(4, ge=1, le=16, description="the field is sought on a grid thinned out by this [voxel]")
    levels: int = Field(4, ge=1, le=8, description="resolutions of the B-spline field, each twice as fine as the last")
    iterations: int = Field(50, ge=1, le=1000, description="iterations a level at most")
    convergence: float = Field(0.001, ge=0, le=1, description="a level ends when the field changes by less than this")


class BrainRule(Config):
    """What lies outside the brain: left as it is, or blanked (raw 0) by a brain mask."""

    rule: Literal["none", "mask", "command"] = Field(
        "none", description="none: whole head, or as the source came; mask: supplied masks; command: another program's"
    )
    program: str = Field("", description="name of the program that found the brain (rule command)")


class InputContract(Config):
    """Axis order, spacing, intensity rule and channels of an input array (C, D, H, W)."""

    axes: Literal["RAS"] = Field(
        "RAS", description="array axes D, H, W point to the patient's right, anterior, superior"
    )
    spacing_mm: tuple[float, float, float] = Field((1.0, 1.0, 1.0), description="voxel size along D, H, W [mm]")
    brain: BrainRule = Field(default=BrainRule(), description="what became of everything outside the brain")
    bias: BiasRule = Field(default=BiasRule(), description="correction of the bias field of the image channels")
    intensity: IntensityRule = Field(default=IntensityRule(), description="intensity rule of the image channels")
    channels: tuple[str, ...] = Field(("t1ce",), description="meaning of each input channel, in order")
    crop: tuple[int, int, int] | None = Field(
        None, description="size of one input along D, H, W [voxel]; none for whole volumes"
    )

    def differences(self, other: InputContract) -> list[str]:
        """Sentences on what differs in geometry or intensity; channels and crop are adapted by surgery, not refused here."""
        found = []
        for name in ("axes", "spacing_mm", "brain", "bias", "intensity"):
            ours, theirs = getattr(self, name), getattr(other, name)
            if ours != theirs:
                found.append(f"{name} is {_show(theirs)}, expected {_show(ours)}")
        return found


def _show(value: object) -> str:
    return str(value.as_dict()) if isinstance(value, Config) else str(value)
