"""How `rnfm predict` goes: the scan through the same preparation as the training cohort, one crop, one model.

scan, mask --prepare_one (contract of the classifier)--> canonical image + mask --crop around the lesion--> model
  --calibration--> probability;   attention rollout --into the canonical grid, then the scan's own--> attention.nii.gz
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rnfm.core import files
from rnfm.core.errors import ConfigError, DataError
from rnfm.core.ledger import Reason
from rnfm.downstream.attention import attention_maps, into_canonical, save_map
from rnfm.downstream.classifier import Classifier, load_classifier
from rnfm.downstream.crops import Crops
from rnfm.downstream.predict import DISCLAIMER, PredictConfig, Prediction
from rnfm.downstream.windows import bounding_box, crop_start, cut

if TYPE_CHECKING:
    from rnfm.volume.single import PreparedScan

FAR = 4.0
"""A lesion this many times larger or smaller than all that the model learned from is refused."""
JSON, MAP = "prediction.json", "attention.nii.gz"
IMPLAUSIBLE = (Reason.SPACING_IMPLAUSIBLE, Reason.NO_CONTRAST)
"""Findings under which a probability would mean nothing: no head, or no contrast agent. The others are warnings."""


def predict_one(config: PredictConfig) -> Prediction:
    """See `rnfm.downstream.predict.predict`."""
    _require_free(config)
    model = load_classifier(config.classifier)
    from rnfm.volume import prepare_one
    from rnfm.volume.brain import of_one_scan

    find_brain = of_one_scan(config.brain_mask, config.brain_command)
    prepared = prepare_one(config.scan, config.mask, model.input, find_brain=find_brain)
    warnings = _judge_findings(config, prepared)
    mask_DHW = target_mask(prepared, config)
    start_vox, stop_vox = bounding_box(mask_DHW) or ((0, 0, 0), (0, 0, 0))
    size = model.model.crop
    if any(high - low > length for low, high, length in zip(start_vox, stop_vox, size, strict=True)):
        warnings.append(f"the lesion is larger than the {size[0]} x {size[1]} x {size[2]} voxels that the model sees")
    volume_mm3 = float(mask_DHW.sum()) * float(np.prod(model.input.spacing_mm))
    warnings += _judge_volume(config, volume_mm3, model)
    start = crop_start(start_vox, stop_vox, size)
    crop = Crops(
        # float16, as the volume archive holds what the model learned from
        image_NDHW=cut(prepared.image, start, size, prepared.background).astype(np.float16)[None],
        mask_NDHW=cut(mask_DHW, start, size, False)[None],
        label_N=np.array([-1]),
        patient_N=np.array([""]),
        margin=0,
    )
    x_12DHW = crop.batch(np.array([0]))
    prediction = Prediction(
        probability=model.probability(x_12DHW),
        threshold=model.calibration.threshold,
        method=model.method,
        lesion_volume_mm3=volume_mm3,
        warnings=tuple(warnings),
    )
    if config.out is None:
        return prediction
    map_DHW = None
    if model.model.has_tokens:
        map_DHW = into_canonical(attention_maps(model.model, x_12DHW)[0], start, prepared.image.shape)
    return _write(config.out, prediction, model, prepared, map_DHW)


def target_mask(prepared: PreparedScan, config: PredictConfig) -> np.ndarray:
    """The target lesion's voxels. Raises DataError if the mask does not say which lesion is meant."""
    from scipy import ndimage

    assert prepared.mask is not None
    values = [int(value) for value in np.unique(prepared.mask) if value > 0]
    if config.lesion is not None:
        if config.lesion not in values:
            raise DataError(
                config.mask, f"has no voxel of value {config.lesion} (it has {values})", "Give one of these"
            )
        return np.asarray(prepared.mask == config.lesion)
    pieces, count = ndimage.label(prepared.mask > 0, np.ones((3, 3, 3)))
    sizes = np.bincount(pieces.ravel())[1:]
    if count > 1 and (sizes >= 0.05 * sizes.max()).sum() > 1:  # crumbs of one contour are no second lesion
        raise DataError(
            config.mask,
            f"holds {int((sizes >= 0.05 * sizes.max()).sum())} separate lesions (mask values {values})",
            "Say which with --lesion VALUE, or give a mask of one lesion",
        )
    return np.asarray(prepared.mask > 0)


def _judge_findings(config: PredictConfig, prepared: PreparedScan) -> list[str]:
    grave = [finding for finding in prepared.findings if finding.reason in IMPLAUSIBLE]
    if grave and not config.force:
        reasons = "; ".join(f"{finding.reason}: {finding.detail}" for finding in grave)
        raise DataError(
            config.scan,
            f"does not look like a contrast-enhanced T1 scan of a head ({reasons})",
            "Give another scan, or pass --force if a person has checked this one",
        )
    return [f"{finding.reason}: {finding.detail}" for finding in prepared.findings]


def _judge_volume(config: PredictConfig, volume_mm3: float, model: Classifier) -> list[str]:
    """A warning outside the volumes that the model learned from; a refusal far outside."""
    low, high = model.lesion_volume_mm3
    if low <= volume_mm3 <= high:
        return []
    said = f"{volume_mm3:.0f} mm3 lie outside the {low:.0f} to {high:.0f} mm3 that the model learned from"
    if not low / FAR <= volume_mm3 <= high * FAR and not config.force:
        raise DataError(config.mask, f"its {said}", "Give the mask of one lesion, or pass --force if it is one")
    return [f"the lesion's {said}"]


def _require_free(config: PredictConfig) -> None:
    if config.out is None or config.overwrite:
        return
    for name in (JSON, MAP):
        if (config.out / name).exists():
            raise ConfigError(config.out / name, "exists already", "Choose another --out, or pass --overwrite")


def _write(
    out: Path, prediction: Prediction, model: Classifier, prepared: PreparedScan, map_DHW: np.ndarray | None
) -> Prediction:
    out.mkdir(parents=True, exist_ok=True)
    if map_DHW is not None:
        save_map(out / MAP, map_DHW, prepared.affine, (prepared.source_shape, prepared.source_affine))
    files.write_json(
        out / JSON,
        {
            "probability": prediction.probability,
            "threshold": prediction.threshold,
            "finding": prediction.finding,
            "method": prediction.method,
            "classifier": model.artifact.digest,
            "scan_voxels_sha256": prepared.voxels_sha256,
            "lesion_volume_mm3": prediction.lesion_volume_mm3,
            "warnings": list(prediction.warnings),
            "notice": DISCLAIMER,
        },
    )
    return Prediction(**{**prediction.__dict__, "path": out / JSON, "map": out / MAP if map_DHW is not None else None})
