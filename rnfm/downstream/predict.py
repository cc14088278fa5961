"""One new scan: a calibrated probability and an attention map, or a refusal with its reason. For research use only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rnfm.core.config import Config, Field, positional

DISCLAIMER = "For research use only; not a medical device."


class PredictConfig(Config):
    """Classify one lesion of one contrast-enhanced T1 scan."""

    scan: Path = positional("T1CE scan (.nii or .nii.gz)")
    mask: Path = Field(description="mask of the lesion on the same grid, values > 0")
    classifier: Path = Field(description="classifier, or the run folder of `rnfm finetune` that holds it")
    lesion: int | None = Field(None, ge=1, description="mask value of the lesion, where the mask holds several")
    out: Path | None = Field(None, description="folder for prediction.json and attention.nii.gz; none: print only")
    brain_mask: Path | None = Field(None, description="brain mask on the scan's grid, if the model saw brains only")
    brain_command: str | None = Field(
        None,
        description="or the program that finds the brain, such as 'mri_synthstrip -i {input} -o {output} -m {mask}'",
    )
    force: bool = Field(False, description="predict although scan or lesion look unlike all that the model can know")
    overwrite: bool = Field(False, description="replace what lies in `out`")


@dataclass(frozen=True)
class Prediction:
    """`probability` is that of radiation necrosis, calibrated; `threshold` was fixed on training data."""

    probability: float
    threshold: float
    method: str
    lesion_volume_mm3: float
    path: Path | None = None
    map: Path | None = None
    warnings: tuple[str, ...] = ()

    @property
    def finding(self) -> str:
        return "radiation necrosis" if self.probability >= self.threshold else "tumour progression"

    def summary(self) -> str:
        """Probability, side of the threshold, warnings, where the map lies."""
        lines = [
            f"probability of radiation necrosis: {self.probability:.3f} ({self.method})",
            f"more like {self.finding} (threshold {self.threshold:.3f}, fixed on training data)",
            f"lesion volume: {self.lesion_volume_mm3 / 1000:.2f} cm3",
            *(f"warning: {line}" for line in self.warnings),
        ]
        lines += [f"attention map: {self.map}"] if self.map else []
        return "\n".join([*lines, DISCLAIMER])


def predict(config: PredictConfig) -> Prediction:
    """Classify, or refuse with DataError: unreadable scan or mask, another grid, no orientation, an empty mask, several
    lesions without `lesion`, and without `force` a scan that does not look like T1CE of a head or a lesion far larger or
    smaller than all that the model learned from.

    Raises ConfigError for a missing classifier or an `out` that is taken, before anything is read.
    """
    from rnfm.downstream.predicting import predict_one

    return predict_one(config)
