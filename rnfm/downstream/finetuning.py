"""How `rnfm finetune` goes: open and check, fit by fit through the protocol, calibrate, publish, register.

             inner folds (role train) -> out-of-fold logits -> threshold, calibration
seed by seed                                                        |
             hold-out fit -> holdout + external logits -> calibrated probabilities -> predictions, classifier, attention
             cv fits      -> out-of-fold probabilities (class weight taken out, no calibration: it would need another level)
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from rnfm import tracking
from rnfm.core import artifact as artifacts
from rnfm.core import progress
from rnfm.core.run import RunFolder
from rnfm.downstream import predictions, protocol
from rnfm.downstream.calibrate import Calibration, fit_calibration, sigmoid
from rnfm.downstream.crops import Crops
from rnfm.downstream.finetune import FinetuneConfig, FinetuneResult
from rnfm.downstream.network import Network, learn
from rnfm.downstream.publishing import Outcome, publish, register, result, standing
from rnfm.downstream.session import Session

if TYPE_CHECKING:
    from rnfm.downstream.protocol import Fit


def run(config: FinetuneConfig) -> FinetuneResult:
    """See `rnfm.downstream.finetune.finetune`."""
    session = Session(config)
    earlier = standing(session)
    if earlier is not None:
        return result(session, earlier, fresh=False)
    artifacts.require_free(config.out / "predictions", config.overwrite)
    outer = session.plan(*config.protocols)
    inner = session.plan("inner") if "holdout" in config.protocols else []
    with _threads(config.threads):
        session.cut()
        folder = RunFolder(config.out)
        folder.metrics_file.unlink(missing_ok=True)
        folder.write_head(config)
        tags = {"method": config.method_name(), "foundation_digest": session.inputs.get("foundation", "")}
        with tracking.start(
            config.tracking,
            stage="finetune",
            name=config.method_name(),
            params=config.as_dict(),
            tags=tags,
            folder=config.out,
        ) as tracked:
            outcome = _fit_all(session, outer, inner, folder, tracked)
            frame = pd.concat(outcome.rows, ignore_index=True)
            published = publish(session, outcome, frame)
            auc = predictions.aucs(frame).get(config.method_name(), {})
            tracked.log_metrics({f"auc/{name}": value for name, value in auc.items()})
            failure = register(session, published, tracked, auc)
            run_id = tracked.peek_id()
    return result(session, published, fresh=True, run_id=run_id, more=failure)


def out_of_fold_auc(config: FinetuneConfig, name: str) -> float:
    """AUC of the out-of-fold predictions of protocol `name`; each lesion's are averaged over seeds and repeats."""
    session = Session(config)
    fits = session.plan(name)
    rows = []
    with _threads(config.threads):
        session.cut()
        for seed in config.seeds:
            for fit, _, logit in _fits(session, fits, seed):
                rows.append(
                    protocol.rows_of(session.table, fit, sigmoid(logit), method=config.method_name(), seed=seed)
                )
    return predictions.aucs(pd.concat(rows, ignore_index=True))[config.method_name()][name]


def _fit_all(session: Session, outer: list[Fit], inner: list[Fit], folder: RunFolder, tracked: tracking.Run) -> Outcome:
    """Every fit of every seed. The calibration of a seed comes first, because the hold-out predictions use it."""
    config, outcome = session.config, Outcome()
    label = session.table["label"].to_numpy(np.int64)
    for seed in config.seeds:
        calibration = Calibration()
        if inner:
            tested = np.concatenate([fit.test_rows for fit in inner])
            calibration = fit_calibration(_out_of_fold(session, inner, seed)[tested], label[tested])
        for fit, network, logit in _fits(session, outer, seed):
            if fit.protocol == "holdout":
                probability = calibration.probability(logit)
                if outcome.network is None:
                    outcome.network, outcome.calibration = network, calibration
                    for epoch, loss in enumerate(network.losses):
                        folder.log_metrics(epoch, {"seed": seed, "train/loss": loss})
                        tracked.log_metrics({"train/loss": loss}, step=epoch)
            else:
                probability = sigmoid(logit)
            rows = protocol.rows_of(session.table, fit, probability, method=config.method_name(), seed=seed)
            outcome.rows.append(rows)
    return outcome


def _fits(session: Session, fits: list[Fit], seed: int) -> Iterator[tuple[Fit, Network, np.ndarray]]:
    """(fit, network, logits of its test rows), each network learned behind the guard."""
    learned: list[Network] = []

    def learn_one(crops: Crops, fit: Fit) -> Callable[[Crops], np.ndarray]:
        learned.append(learn(session.config, session.make, crops, fit, seed))
        return learned[-1].logits

    label = f"{session.config.method_name()} seed {seed} {fits[0].protocol}"
    for fit, logit in progress.track(protocol.run(fits, session.guarded, learn_one), len(fits), label, "fits"):
        yield fit, learned.pop(), logit


def _out_of_fold(session: Session, fits: list[Fit], seed: int) -> np.ndarray:
    """Logits by row of the table; NaN where no fit tested the row."""
    out = np.full(len(session.table), np.nan)
    for fit, _, logit in _fits(session, fits, seed):
        out[fit.test_rows] = logit
    return out


@contextlib.contextmanager
def _threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
