"""The classifier artefact: a fine-tuned model that can be applied to a new scan.

    model.safetensors    weights of `create_model(**architecture)`
    contract             architecture, input (InputContract of two channels), method, threshold, calibration, foundation,
                         lesion_volume_mm3 (smallest and largest it learned from)
    lineage              config_hash, inputs, patients (all used for fitting)

`calibration` maps the raw logit of the model: probability = sigmoid(slope * logit + intercept); `threshold` is on that probability.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rnfm.core import artifact as artifacts
from rnfm.core.artifact import Artifact
from rnfm.core.contract import InputContract
from rnfm.core.errors import IntegrityError
from rnfm.downstream.calibrate import Calibration

if TYPE_CHECKING:
    from rnfm.downstream.network import Network
    from rnfm.model import Backbone

KIND, VERSION, FILE = "classifier", 1, "model.safetensors"
CHANNELS = ("t1ce", "lesion_mask")


@dataclass(frozen=True)
class Classifier:
    """A loaded classifier; `model` is in evaluation mode."""

    artifact: Artifact
    model: Backbone
    input: InputContract
    calibration: Calibration
    method: str
    lesion_volume_mm3: tuple[float, float]

    def probability(self, x_12DHW: Any) -> float:
        """Calibrated probability of label 1 for one input (1, 2, D, H, W) float32."""
        import torch

        with torch.inference_mode():
            logit = float(self.model(x_12DHW)[0, 0])
        return float(self.calibration.probability(np.array([logit]))[0])


def save_classifier(
    path: Path,
    network: Network,
    calibration: Calibration,
    *,
    input_contract: InputContract,
    method: str,
    foundation: str | None,
    lesion_volume_mm3: Sequence[float],
    lineage: Mapping[str, Any],
    overwrite: bool,
) -> Artifact:
    """Publish a fitted network. `calibration` was fitted on logits without the class weight; it is written for raw ones."""
    from safetensors.torch import save_file

    architecture = network.model.architecture
    contract = {
        "architecture": architecture,
        "input": input_contract.model_copy(update={"channels": CHANNELS, "crop": tuple(network.model.crop)}).as_dict(),
        "method": method,
        "threshold": calibration.threshold,
        "calibration": {
            "slope": calibration.slope,
            "intercept": calibration.intercept + calibration.slope * network.shift,
        },
        "foundation": foundation,
        "lesion_volume_mm3": [float(min(lesion_volume_mm3)), float(max(lesion_volume_mm3))],
    }
    with artifacts.publish(path, KIND, VERSION, contract=contract, lineage=lineage, overwrite=overwrite) as draft:
        state = {name: tensor.cpu().contiguous() for name, tensor in network.model.state_dict().items()}
        save_file(state, draft.path / FILE)
    return Artifact.open(path, KIND, VERSION)


def load_classifier(path: Path) -> Classifier:
    """Read a classifier (or that of a run folder), every byte checked against its digest. Raises ConfigError or IntegrityError."""
    from rnfm import foundation

    if (path / KIND / "digests.json").is_file():
        path = path / KIND
    model, report = foundation.load(path, kind="classifier")
    artifact = Artifact.open(path, KIND, VERSION)
    contract = artifact.contract
    try:
        calibration = Calibration(threshold=contract["threshold"], **contract["calibration"])
        low, high = contract["lesion_volume_mm3"]
        method = contract["method"]
    except (KeyError, TypeError, ValueError) as error:
        raise IntegrityError(path, f"its contract is not whole ({error})", "Fine-tune again") from None
    return Classifier(artifact, model, report.contract, calibration, method, (low, high))
