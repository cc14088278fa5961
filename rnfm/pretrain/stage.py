"""`rnfm pretrain`: from a shard archive to a foundation, alone or under a launcher, fresh or resumed."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnfm import foundation as foundations
from rnfm import objective as objectives
from rnfm import tracking
from rnfm.core import artifact, files
from rnfm.core.config import from_dict
from rnfm.core.contract import InputContract
from rnfm.core.errors import ConfigError, DataError, StoppedEarly
from rnfm.core.run import RunFolder
from rnfm.pretrain import checkpoint
from rnfm.pretrain.config import PretrainConfig

if TYPE_CHECKING:
    from rnfm.archive import Archive
    from rnfm.pretrain.cluster import Cluster
    from rnfm.pretrain.loop import Progress, Recorder


@dataclass(frozen=True)
class PretrainResult:
    """A finished run."""

    path: Path
    foundation: Path
    steps: int
    metrics: dict[str, float]
    run_id: str | None
    fresh: bool = True

    def summary(self) -> str:
        if not self.fresh:
            return f"{self.path} is up to date: foundation {self.foundation} stands"
        lines = [f"{self.steps} steps done; foundation {self.foundation}"]
        if "val/loss" in self.metrics:
            trivial = {
                key.removeprefix("val/"): value
                for key, value in self.metrics.items()
                if key.startswith("val/") and key != "val/loss"
            }
            beside = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in trivial.items())
            lines.append(
                f"loss on held-out subjects {self.metrics['val/loss']:.4f} (predictors that learned nothing: {beside})"
            )
            if trivial and self.metrics["val/loss"] >= min(trivial.values()):
                lines.append(
                    "warning: it does not beat the best of those yet; train longer before using this foundation"
                )
        lines.append(f"next: rnfm embed {self.foundation} --volumes VOLUMES")
        return "\n".join(lines)


def run(config: PretrainConfig) -> PretrainResult:
    """Pre-train. Raises ConfigError, IntegrityError, NoCheckpointError (5), StoppedEarly (75)."""
    from rnfm.archive import open as open_archive

    objective_class = objectives.get(config.objective).OBJECTIVE_CONFIG
    objective_config = from_dict(
        objective_class, config.objective_options
    )  # refuse wrong options before anything heavy
    train_set = open_archive(config.shards, subset="train")
    done = artifact.current(config.out / "foundation", "foundation", config.result_hash(), {"shards": train_set.digest})
    if done is not None and not config.overwrite:
        return PretrainResult(
            config.out, done.path, done.lineage["steps"], done.lineage["metrics"], done.lineage["run_id"], fresh=False
        )
    if len(train_set) < config.global_batch:
        raise DataError(
            config.shards,
            f"holds {len(train_set)} training samples, fewer than one global batch of {config.global_batch}",
            "Cut more sub-volumes, or lower --global-batch",
        )

    from rnfm.pretrain import cluster as clusters

    cluster = clusters.join(threads=config.engine.threads, timeout_s=config.engine.timeout_s)
    try:
        return _run(config, objective_config, train_set, open_archive(config.shards, subset="val"), cluster)
    finally:
        clusters.leave(cluster)


def _run(
    config: PretrainConfig, objective_config: Any, train_set: Archive, val_set: Archive, cluster: Cluster
) -> PretrainResult:
    from rnfm.archive.order import steps_per_epoch
    from rnfm.pretrain import engine, loop

    module = build_module(config, objective_config, train_set.contract)
    engine.micro_batch(
        config.global_batch, config.accumulation, cluster.world_size
    )  # refuse a world that does not divide, early
    per_epoch = steps_per_epoch(len(train_set), config.global_batch)
    steps = config.steps or config.epochs * per_epoch
    found = cluster.on_first(lambda: _prepare_folder(config))
    resumed_from = Path(found) if found else None
    folder = RunFolder(config.out, cluster.rank)
    head = checkpoint.read_head(resumed_from) if resumed_from else None
    _require_same_result(config, head, train_set.digest, resumed_from)

    deepspeed_engine = engine.build(config, module, cluster.world_size)
    if cluster.rank == 0:
        folder.write_head(config, world_size=cluster.world_size, device=str(cluster.device), shards=train_set.digest)
        files.write_json(folder.path / "deepspeed.json", engine.deepspeed_json(config, cluster.world_size))
    start = loop.Progress(0, train_set.first_state(seed=config.seed, global_batch=config.global_batch))
    if resumed_from is not None:
        start = _progress_of(checkpoint.load(deepspeed_engine, cluster, resumed_from), start)

    name = f"{config.objective}-{config.model.name}-{config.out.name}"
    tags = {
        "config_hash": config.result_hash(),
        "shards": train_set.digest,
        "world_size": cluster.world_size,
        "device": str(cluster.device),
    }
    with tracking.start(
        config.tracking, stage="pretrain", name=name, params=config.as_dict(), tags=tags, folder=folder.path, rank=cluster.rank,
        run_id=(head["run_id"] or tracking.known_id(folder.path)) if head else None,
    ) as tracked:  # fmt: skip
        recorder = _recorder(folder, tracked, cluster, resumed_from, steps)

        def save(progress: Progress) -> None:
            state = {
                **progress.as_dict(),
                "config": config.as_dict(),
                "shards": train_set.digest,
                "run_id": tracked.peek_id(),
            }
            checkpoint.save(deepspeed_engine, cluster, folder.checkpoints, state, config.keep)

        progress, finished = loop.train(
            config, engine=deepspeed_engine, objective=module, train_set=train_set, val_set=val_set, cluster=cluster, start=start,
            steps=steps, steps_per_epoch=per_epoch, recorder=recorder, save=save,
        )  # fmt: skip
        if not finished:
            raise StoppedEarly(
                config.out,
                f"stopped at step {progress.step} of {steps} with a checkpoint saved",
                "Run the same command again to go on",
            )
        weights = engine.read_weights(deepspeed_engine)
        metrics = _last_metrics(folder) if cluster.rank == 0 else {}
        if cluster.rank == 0:
            lineage = {"config_hash": config.result_hash(), "inputs": {"shards": train_set.digest}, "patients": train_set.patients, "steps": steps,
                       "objective": config.objective, "metrics": metrics, "run_id": tracked.id}  # fmt: skip
            save_foundation(config, objective_config, weights, train_set.contract, folder.foundation, lineage)
            _register(config, tracked, folder.foundation, metrics)
        cluster.barrier()
        return PretrainResult(config.out, folder.foundation, steps, metrics, tracked.peek_id())


def build_module(config: PretrainConfig, objective_config: Any, contract: InputContract) -> Any:
    """The objective around a fresh backbone; initial weights depend on the seed only, on every rank alike."""
    import torch

    from rnfm.core.keyed import seed64
    from rnfm.model import create_model

    if contract.crop is None or any(size % config.model.patch for size in contract.crop):
        raise ConfigError(
            "model.patch",
            f"{config.model.patch} does not divide the crop {contract.crop} of the shards",
            "Choose a divisor of every edge",
        )
    torch.manual_seed(seed64(config.seed, "weights"))
    backbone = create_model(
        config.model.name,
        in_channels=len(contract.channels),
        crop=contract.crop,
        patch=config.model.patch,
        **config.model.options,
    )
    return objectives.get(config.objective).build(objective_config, backbone)


def save_foundation(
    config: PretrainConfig,
    objective_config: Any,
    weights: dict[str, Any],
    contract: InputContract,
    path: Path,
    lineage: dict[str, Any],
) -> None:
    """Publish the backbone with its input contract; the objective's other parts (a decoder) are left behind."""
    module = build_module(config, objective_config, contract)
    module.load_state_dict({**module.state_dict(), **weights}, strict=True)
    facts = {"objective": config.objective, "steps": lineage["steps"], "global_batch": config.global_batch, "model": config.model.name,
             "patients": len(lineage["patients"]), **lineage["metrics"]}  # fmt: skip
    foundations.save(
        path, module.backbone, input_contract=contract, lineage=lineage, card_facts=facts, overwrite=path.exists()
    )


def _prepare_folder(config: PretrainConfig) -> str | None:
    """Rank 0's part before training: clear the folder if asked to, and find the checkpoint to resume from."""
    if config.overwrite and config.out.exists():
        if not (config.out / "config.resolved.yaml").exists():
            raise ConfigError(
                config.out, "is no run folder, so it is not replaced", "Choose another --out, or remove it yourself"
            )
        shutil.rmtree(config.out)
    folder = RunFolder(config.out)
    if config.resume not in ("auto", "never"):
        fault = checkpoint.fault_of(Path(config.resume))
        if fault:
            raise ConfigError("resume", fault, "Give a checkpoint folder, or --resume auto")
        return config.resume
    path, faults = checkpoint.newest(folder.checkpoints)
    if path is not None and config.resume == "never":
        raise ConfigError(
            config.out, f"holds {path.name} and --resume never was given", "Choose another --out, or pass --overwrite"
        )
    for fault in faults:
        folder.logger().warning("passed over %s", fault)
    return str(path) if path else None


def _require_same_result(config: PretrainConfig, head: dict[str, Any] | None, shards: str, path: Path | None) -> None:
    if head is None:
        return
    changed = config.changed_results(head["config"])
    if head["shards"] != shards:
        changed.append("shards (other content)")
    if changed:
        raise ConfigError(
            path,
            f"was made with other settings that change the result: {', '.join(changed)}",
            "Give them as they were, or choose another --out",
        )


def _progress_of(state: dict[str, Any], fresh: Progress) -> Progress:
    stream = type(fresh.stream)(**state["stream"])
    return type(fresh)(state["step"], stream, state["samples"], state["seconds"], state["best"])


def _recorder(
    folder: RunFolder, tracked: tracking.Run, cluster: Cluster, resumed_from: Path | None, steps: int
) -> Recorder | None:
    from rnfm.pretrain.loop import Recorder

    logger = folder.logger()
    logger.info(
        "%s, %d steps, %d ranks on %s",
        f"resumed from {resumed_from.name}" if resumed_from else "started",
        steps,
        cluster.world_size,
        cluster.device,
    )
    if cluster.rank != 0:
        return None
    return Recorder(folder, tracked, logger, Recorder.steps_recorded(folder))


def _last_metrics(folder: RunFolder) -> dict[str, float]:
    """The last value of each loss, and the first of the validation loss."""
    rows = folder.read_metrics()
    last = {key: value for row in rows for key, value in row.items() if key.startswith(("val/", "train/loss"))}
    first = next((row["val/loss"] for row in rows if "val/loss" in row), None)
    return {**last, **({"first_val/loss": first} if first is not None else {})}


def _register(config: PretrainConfig, tracked: tracking.Run, path: Path, metrics: dict[str, float]) -> None:
    """Register the foundation. A store that is away costs the registration, never the run; `rnfm track sync` sends the rest."""
    if tracked.id is None:
        return
    try:
        tags = {key: f"{value:.6g}" for key, value in metrics.items()}
        tracking.register(
            config.tracking.uri, tracking.FOUNDATION, artifact.Artifact.open(path), run_id=tracked.id, tags=tags
        )
    except Exception as error:
        RunFolder(config.out).logger().warning("the foundation was not registered in MLflow: %s", error)
