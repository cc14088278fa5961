"""Settings of masked autoencoding."""

from __future__ import annotations

from rnfm.core.config import Field
from rnfm.objective.config import ObjectiveConfig


class MaeConfig(ObjectiveConfig):
    """Hide most of a volume, show the encoder the rest, restore what was hidden."""

    mask_ratio: float = Field(0.75, gt=0, lt=1, description="share of the tokens that is hidden from the encoder")
    normalise: bool = Field(
        False, description="restore voxels normalised within each patch (contrast, not brightness) instead of raw ones"
    )
    decoder_dim: int | None = Field(
        None, ge=6, description="width of the decoder; none: half of the encoder's, a multiple of decoder_heads"
    )
    decoder_depth: int = Field(2, ge=1, description="blocks of the decoder")
    decoder_heads: int = Field(4, ge=1, description="attention heads of the decoder")
