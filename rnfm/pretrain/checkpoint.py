"""Checkpoints: canonical per-parameter state, published only when every rank's share is on disk and hashed.

    checkpoints/
    +-- step-00000100/                 kind "checkpoint": the artefact's heads, and
        +-- rank00000.safetensors      this rank's share of parameters: weight/NAME, exp_avg/NAME, exp_avg_sq/NAME, rng
        +-- state.json                 step, stream, configuration, tracker run id, best value, samples seen, seconds used

There is no `latest` file: the newest folder that verifies (deep) is the one that is resumed. If some exist and none
verifies, the run stops with exit code 5 and touches nothing.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnfm.core import artifact, files
from rnfm.core.artifact import Artifact
from rnfm.core.errors import ConfigError, IntegrityError, NoCheckpointError
from rnfm.pretrain import engine as engines
from rnfm.pretrain.cluster import Cluster

if TYPE_CHECKING:
    import torch

KIND, VERSION = "checkpoint", 1


def save(engine: Any, cluster: Cluster, folder: Path, state: dict[str, Any], keep: int) -> Path:
    """Publish a checkpoint of `state["step"]`; then drop the oldest beyond `keep`. Collective."""
    import torch
    from safetensors.torch import save_file

    target = folder / f"step-{state['step']:08d}"
    temporary = Path(cluster.broadcast(str(artifact.begin(target)) if cluster.rank == 0 else None))
    share: dict[str, torch.Tensor] = {"rng/torch": torch.get_rng_state()}
    for i, (name, tensors) in enumerate(engines.read_state(engine)):
        if i % cluster.world_size == cluster.rank:
            share |= {f"{key}/{name}": tensor for key, tensor in tensors.items()}
    path = temporary / f"rank{cluster.rank:05d}.safetensors"
    save_file(share, path)
    path.chmod(0o644)  # safetensors makes it readable by its owner only
    files.sync_file(path)
    cluster.barrier()
    if cluster.rank == 0:
        _publish(temporary, target, state, cluster.world_size)
        _retain(folder, keep)
    cluster.barrier()
    return target


def _publish(temporary: Path, target: Path, state: dict[str, Any], world_size: int) -> None:
    expected = {f"rank{rank:05d}.safetensors" for rank in range(world_size)}
    found = {path.name for path in temporary.glob("rank*")}
    if found != expected:
        raise IntegrityError(
            target, f"shares of ranks are missing: {sorted(expected - found)}", "The checkpoint before it stands"
        )
    files.write_json(temporary / "state.json", {**state, "world_size": world_size})
    artifact.commit(temporary, target, KIND, VERSION, contract={"step": state["step"]}, lineage={})


def _retain(folder: Path, keep: int) -> None:
    """Delete the oldest checkpoints. The new one has just been published, so a verified one always stays."""
    for old in _all(folder)[:-keep]:
        shutil.rmtree(old)
    for leftover in folder.glob(
        f"{files.TEMPORARY}*step-*"
    ):  # of starts that were killed while saving, whatever their step
        shutil.rmtree(leftover, ignore_errors=True)


def newest(folder: Path) -> tuple[Path | None, list[str]]:
    """(the newest checkpoint that verifies, what was wrong with newer ones); (None, []) if there are none.

    Raises NoCheckpointError if some exist and none verifies.
    """
    faults: list[str] = []
    for path in reversed(_all(folder)):
        fault = fault_of(path)
        if fault is None:
            return path, faults
        faults.append(fault)
    if faults:
        raise NoCheckpointError(
            folder,
            f"none of {len(faults)} checkpoints verifies ({faults[0]})",
            "Restore one, or start anew in another --out",
        )
    return None, []


def fault_of(path: Path) -> str | None:
    """What is wrong with a checkpoint, every byte checked; None if it can be trusted."""
    try:
        Artifact.open(path, KIND, VERSION).require_intact(deep=True)
    except (ConfigError, IntegrityError) as error:
        return f"{path.name}: {error.cause}"
    return None


def read_head(path: Path) -> dict[str, Any]:
    """state.json of a checkpoint."""
    return json.loads((path / "state.json").read_text())


def load(engine: Any, cluster: Cluster, path: Path) -> dict[str, Any]:
    """Put a checkpoint into a fresh engine, whatever world size and ZeRO stage wrote it. Returns its state. Collective."""
    import torch
    from safetensors import safe_open

    state = read_head(path)
    parameters: dict[str, dict[str, torch.Tensor]] = {}
    for share in sorted(path.glob("rank*.safetensors")):
        with safe_open(share, framework="pt") as tensors:
            for key in tensors.keys():  # noqa: SIM118 - a safetensors handle is not iterable
                kind, name = key.split("/", 1)
                if kind != "rng":
                    parameters.setdefault(name, {})[kind] = tensors.get_tensor(key)
                elif state["world_size"] == cluster.world_size and share.stem == f"rank{cluster.rank:05d}":
                    torch.set_rng_state(tensors.get_tensor(key))
    names = {name for name, parameter in engine.module.named_parameters() if parameter.requires_grad}
    if names != set(parameters):
        raise IntegrityError(
            path,
            f"holds {len(parameters)} parameters, the model has {len(names)}",
            "Resume with the configuration it was made with",
        )
    engines.write_state(engine, parameters, state["step"])
    cluster.barrier()
    return state


def _all(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"))
