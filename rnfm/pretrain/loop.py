"""The training loop, top to bottom. All that a resume restores is `Progress` plus the engine's canonical state."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from rnfm.core.errors import RnfmError
from rnfm.pretrain import engine as engines
from rnfm.pretrain.cluster import Cluster
from rnfm.pretrain.config import PretrainConfig
from rnfm.pretrain.schedule import warmup_cosine
from rnfm.pretrain.validation import validate

if TYPE_CHECKING:
    import torch

    from rnfm.archive import Archive
    from rnfm.core.run import RunFolder
    from rnfm.tracking import Run


@dataclass(frozen=True)
class Progress:
    """Where a run stands: `step` optimiser steps are done, `stream` is the data state of the next one."""

    step: int
    stream: Any
    samples: int = 0
    seconds: float = 0.0
    best: float | None = None

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "stream": asdict(self.stream)}


class StopFlag:
    """Set by SIGTERM, SIGUSR1 (SLURM's warning) or SIGINT; only read at step boundaries, so a save is never cut in two."""

    def __init__(self) -> None:
        self.raised = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopFlag:
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
            try:
                self._before[number] = signal.signal(number, self._raise)
            except ValueError:  # not the main thread (a sweep's trial): whoever runs us handles signals
                return self
        return self

    def _raise(self, number: int, frame: object) -> None:
        self.raised = True

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


@dataclass
class Recorder:
    """Rank 0's metrics: the run folder, MLflow and the progress line. Steps recorded by an earlier start are not repeated."""

    run: RunFolder
    tracked: Run
    logger: logging.Logger
    recorded: set[tuple[int, str]]

    @staticmethod
    def steps_recorded(run: RunFolder) -> set[tuple[int, str]]:
        """(step, kind of metrics) that an earlier start wrote; the values of a repeated step are equal anyway."""
        return {(row["step"], key.split("/")[0]) for row in run.read_metrics() for key in row if "/" in key}

    def write(self, step: int, metrics: dict[str, float]) -> None:
        """One line of training or validation metrics."""
        kind = next(iter(metrics)).split("/")[0]
        if (step, kind) not in self.recorded:
            self.run.log_metrics(step, metrics)
            self.tracked.log_metrics(metrics, step)


def train(
    config: PretrainConfig, *, engine: Any, objective: Any, train_set: Archive, val_set: Archive | None, cluster: Cluster, start: Progress,
    steps: int, steps_per_epoch: int, recorder: Recorder | None, save: Callable[[Progress], None],
) -> tuple[Progress, bool]:  # fmt: skip
    """Train from `start` to `steps`. Returns (progress, finished); unfinished means a stop was asked for and agreed on.

    Raises RnfmError before any rank updates a weight if the loss of any rank is not finite.
    """
    progress, last_stop = start, start.step + (config.max_steps or steps)
    batches = train_set.stream(start.stream, cluster.rank, cluster.world_size)
    window = Window()
    with StopFlag() as stop:
        while progress.step < steps:
            if progress.step % config.validate_every == 0 and progress.step == start.step == 0:
                _validate(config, engine, objective, val_set, cluster, recorder, progress)
            lr = warmup_cosine(
                progress.step, steps=steps, peak=config.optim.lr, floor=config.optim.min_lr, warmup=config.optim.warmup
            )
            engines.set_lr(engine, lr)

            loss, parts, wait_s, keys = accumulate(config, engine, objective, batches, cluster)
            mean_loss, stopping, waited = cluster.sum(
                [loss / cluster.world_size, float(stop.raised), wait_s / cluster.world_size]
            )
            if mean_loss != mean_loss or mean_loss in (float("inf"), float("-inf")):
                raise not_finite(progress, keys, loss)
            engine.step()

            window.add(config.global_batch, waited)
            progress = replace(
                progress,
                step=progress.step + 1,
                stream=progress.stream.advance(steps_per_epoch),
                samples=progress.samples + config.global_batch,
            )
            last, due = progress.step == steps, progress.step % config.checkpoint_every == 0
            stopping = bool(stopping) or (progress.step >= last_stop and not last)
            if progress.step % config.log_every == 0 or last or progress.step == start.step + 1:
                several = parts if len(parts) > 1 else {}  # a single part is the loss itself
                shared = cluster.sum([value / cluster.world_size for value in several.values()])
                metrics = {
                    "train/loss": mean_loss,
                    "lr": lr,
                    "epoch": progress.step / steps_per_epoch,
                    **window.rates(),
                    "time_s": progress.seconds + window.total_s(),
                }
                metrics |= {f"train/{name}": value for name, value in zip(several, shared, strict=True)}
                _record(recorder, progress.step, steps, metrics)
                window.restart()
            if progress.step % config.validate_every == 0 or last:
                value = _validate(config, engine, objective, val_set, cluster, recorder, progress)
                progress = replace(progress, best=value if progress.best is None else min(progress.best, value))
            if due or last or stopping:
                save(replace(progress, seconds=start.seconds + window.total_s()))
            if stopping and not last:
                return progress, False
    return progress, True


def accumulate(
    config: PretrainConfig, engine: Any, objective: Any, batches: Iterator[Any], cluster: Cluster
) -> tuple[float, dict[str, float], float, list[str]]:
    """Forward and backward of this rank's share of one global batch, in micro-batches; the optimiser does not step.

    Returns the mean loss, the mean of its parts, the seconds waited for data and the sample keys.
    """
    import torch

    from rnfm.augment import augment

    batch = next(batches)
    x_BCDHW = torch.from_numpy(batch.image_BCDHW).to(cluster.device, non_blocking=True)
    index_B = torch.from_numpy(batch.index_B)
    x_BCDHW = augment(x_BCDHW, index_B, seed=config.seed, epoch=batch.state.epoch, config=config.augment)
    size = len(index_B) // config.accumulation
    total = 0.0
    parts: dict[str, float] = {}
    for i in range(config.accumulation):
        part = slice(i * size, (i + 1) * size)
        views = objective.views(
            {"x_BCDHW": x_BCDHW[part], "index_B": index_B[part]}, seed=config.seed, epoch=batch.state.epoch
        )
        losses = engine(in_precision(views, engine))
        engine.set_gradient_accumulation_boundary(i == config.accumulation - 1)
        engine.backward(losses.total)
        if i < config.accumulation - 1:
            engine.step()
        total += float(losses.total.detach()) / config.accumulation
        for name, value in losses.parts.items():
            parts[name] = parts.get(name, 0.0) + float(value.detach()) / config.accumulation
    return total, parts, batch.wait_s, batch.keys


def in_precision(views: dict[str, torch.Tensor], engine: Any) -> dict[str, torch.Tensor]:
    """Floating-point views in the arithmetic of the module (bf16 runs hold their weights in bf16)."""
    import torch

    if not engine.bfloat16_enabled():
        return views
    return {key: view.to(torch.bfloat16) if view.is_floating_point() else view for key, view in views.items()}


def not_finite(progress: Progress, keys: list[str], loss: float) -> RnfmError:
    here = (
        f"samples {', '.join(keys[:4])}{' ...' if len(keys) > 4 else ''} of this rank"
        if loss != loss
        else "another rank's samples"
    )
    return RnfmError(
        f"step {progress.step + 1}",
        f"the loss is not finite ({here}); no rank has updated its weights",
        "Look at those samples with `rnfm data show`, or lower --optim.lr; the last checkpoint stands",
    )


def _validate(
    config: PretrainConfig,
    engine: Any,
    objective: Any,
    val_set: Archive | None,
    cluster: Cluster,
    recorder: Recorder | None,
    progress: Progress,
) -> float:
    if val_set is None or len(val_set) == 0:
        return float("inf")
    micro = engines.micro_batch(config.global_batch, config.accumulation, cluster.world_size)
    values = validate(
        engine, objective, val_set, cluster, samples=config.validation_samples, batch=micro, seed=config.seed
    )
    if recorder is not None:
        recorder.write(progress.step, values)
    return values["val/loss"]


def _record(recorder: Recorder | None, step: int, steps: int, metrics: dict[str, float]) -> None:
    if recorder is None:
        return
    recorder.write(step, metrics)
    recorder.logger.info(
        "step %d/%d  loss %.4f  lr %.2e  %.1f samples/s  waiting for data %.0f%%",
        step, steps, metrics["train/loss"], metrics["lr"], metrics["samples_per_s"], 100 * metrics["data_wait_share"],
    )  # fmt: skip


class Window:
    """Throughput since the last line: samples a second and the share of the time spent waiting for data."""

    def __init__(self) -> None:
        self._begin = time.monotonic()
        self.restart()

    def restart(self) -> None:
        self._since, self._samples, self._waited = time.monotonic(), 0, 0.0

    def add(self, samples: int, waited_s: float) -> None:
        self._samples, self._waited = self._samples + samples, self._waited + waited_s

    def rates(self) -> dict[str, float]:
        elapsed = max(1e-9, time.monotonic() - self._since)
        return {"samples_per_s": self._samples / elapsed, "data_wait_share": min(1.0, self._waited / elapsed)}

    def total_s(self) -> float:
        return time.monotonic() - self._begin
