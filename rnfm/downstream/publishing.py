"""What a fine-tuning run leaves: classifier, attention, predictions, and a registered version.

Order matters: the predictions come last, because their presence says that the run is whole.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from rnfm import tracking
from rnfm.core import artifact as artifacts
from rnfm.core.artifact import Artifact
from rnfm.downstream import attention, classifier, predictions
from rnfm.downstream.calibrate import Calibration
from rnfm.downstream.finetune import FinetuneResult

if TYPE_CHECKING:
    from rnfm.downstream.network import Network
    from rnfm.downstream.protocol import Fit
    from rnfm.downstream.session import Session


@dataclass
class Outcome:
    """What one or several seeds left: prediction rows, and of the first seed the hold-out model and its calibration."""

    rows: list[pd.DataFrame] = field(default_factory=list)
    network: Network | None = None
    calibration: Calibration | None = None


def publish(session: Session, outcome: Outcome, frame: pd.DataFrame) -> dict[str, Artifact]:
    """Classifier and attention (if there is a hold-out model), then the predictions, which mark the run as whole.

    The first two may be left over from a run that was cut short, so they are replaced; the predictions only on request.
    """
    config, found, inputs = session.config, dict[str, Artifact](), dict(session.inputs)
    lineage = {"config_hash": session.hash}
    if outcome.network is not None and outcome.calibration is not None:
        fit = session.plan("holdout")[0]
        learned = session.table.iloc[fit.train_rows]
        found["classifier"] = classifier.save_classifier(
            config.out / "classifier",
            outcome.network,
            outcome.calibration,
            input_contract=session.lesions.contract,
            method=config.method_name(),
            foundation=session.foundation.digest if session.foundation else None,
            lesion_volume_mm3=list(learned["volume_mm3"]),
            lineage={**lineage, "inputs": session.inputs, "patients": sorted(set(learned["patient"]))},
            overwrite=True,
        )
        inputs["classifier"] = found["classifier"].digest
        maps = _publish_attention(session, outcome.network, fit, frame, {**lineage, "inputs": inputs})
        found |= {"attention": maps} if maps else {}
    found["predictions"] = predictions.write(
        config.out / "predictions",
        frame,
        contract={"methods": [config.method_name()], "seeds": config.seeds},
        lineage={
            **lineage,
            "inputs": inputs,
            "patients": sorted(set(session.table["patient"])),
            "pretraining_overlap": session.pretraining_overlap(),
        },
        overwrite=config.overwrite,
    )
    return found


def standing(session: Session) -> dict[str, Artifact] | None:
    """The artefacts of an earlier run with the same settings and inputs, if all of them stand intact."""
    config, found, inputs = session.config, dict[str, Artifact](), dict(session.inputs)
    if "holdout" in config.protocols:
        model = artifacts.current(config.out / "classifier", classifier.KIND, session.hash, inputs)
        if model is None:
            return None
        found["classifier"], inputs["classifier"] = model, model.digest
        maps = artifacts.current(config.out / "attention", attention.KIND, session.hash, inputs)
        if maps is not None:
            found["attention"] = maps
    table = artifacts.current(config.out / "predictions", predictions.KIND, session.hash, inputs)
    return None if table is None else {**found, "predictions": table}


def register(
    session: Session, published: dict[str, Artifact], tracked: tracking.Run, auc: dict[str, float]
) -> list[str]:
    """Make the classifier a registered version, linked to its foundation and predictions. A fault is a line, never an error."""
    config = session.config
    if not config.tracking.enabled or "classifier" not in published:
        return []
    tags = {
        "foundation_digest": session.inputs.get("foundation", ""),
        "predictions": str(published["predictions"].path.absolute()),
        "method": config.method_name(),
        **{f"auc/{split}": f"{value:.4f}" for split, value in auc.items()},
    }
    try:
        tracking.register(
            config.tracking.uri, tracking.CLASSIFIER, published["classifier"], run_id=tracked.id, tags=tags
        )
    except Exception as error:  # whatever a store can throw: the results stand, the registry can be filled later
        return [f"warning: the classifier was not registered ({type(error).__name__}: {str(error)[:120]})"]
    return []


def result(
    session: Session,
    published: dict[str, Artifact],
    *,
    fresh: bool,
    run_id: str | None = None,
    more: tuple[str, ...] | list[str] = (),
) -> FinetuneResult:
    """The stage's result, from what stands on disk."""
    paths = {role: artifact.path for role, artifact in published.items()}
    frame = predictions.read(paths["predictions"])
    method = session.config.method_name()
    return FinetuneResult(
        path=session.config.out,
        fresh=fresh,
        method=method,
        lesions=len(session.table),
        predictions=paths["predictions"],
        classifier=paths.get("classifier"),
        attention=paths.get("attention"),
        auc=predictions.aucs(frame).get(method, {}),
        run_id=run_id,
        warnings=(*session.warnings(), *more),
    )


def _publish_attention(
    session: Session, network: Network, fit: Fit, frame: pd.DataFrame, lineage: dict[str, Any]
) -> Artifact | None:
    """Maps of some test lesions; none where the network has no attention, or none are wanted."""
    config = session.config
    rows = attention.draw(session.table, fit.test_rows, config.attention_maps, config.seeds[0])
    if not rows or not network.model.has_tokens:
        return None
    first = frame[(frame["split"] != "cv") & (frame["seed"] == config.seeds[0])].set_index("lesion")["probability"]
    return attention.save_attention(
        config.out / "attention",
        session.lesions,
        session.crops,
        network.model,
        rows,
        probability={row: float(first[session.table["lesion"].iloc[row]]) for row in rows},
        lineage=lineage,
        overwrite=True,
    )
