"""The processes of a run: one alone, or those that torchrun, the deepspeed launcher or SLURM started.

Imports DeepSpeed with its compiled extensions switched off where a plain implementation does the same mathematics: a first
start would otherwise compile for a minute on every node.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from rnfm.core.errors import ConfigError, RnfmError

if TYPE_CHECKING:
    import torch

T = TypeVar("T")


@dataclass(frozen=True)
class Cluster:
    """This process' place among all."""

    rank: int
    world_size: int
    device: torch.device

    def sum(self, values: list[float]) -> list[float]:
        """The sums over all ranks (float64), the same list on each."""
        import torch
        import torch.distributed as dist

        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        if self.world_size > 1:
            dist.all_reduce(total)
        return total.tolist()

    def broadcast(self, value: Any) -> Any:
        """Rank 0's value, on every rank."""
        import torch.distributed as dist

        if self.world_size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def on_first(self, work: Callable[[], T]) -> T:
        """Run `work` on rank 0 and give its result (plain JSON types) to all; an RnfmError there is raised on every rank."""
        result: Any = None
        fault: tuple[Any, ...] | None = None
        if self.rank == 0:
            try:
                result = work()
            except RnfmError as error:
                fault = error.__reduce__()
        result, fault = self.broadcast((result, fault))
        if fault is not None:
            kind, arguments = fault
            raise kind(*arguments)
        return result

    def barrier(self) -> None:
        import torch.distributed as dist

        if self.world_size > 1:
            dist.barrier()


def join(*, threads: int, timeout_s: float) -> Cluster:
    """Join (or be) the process group. Raises ConfigError if the launcher's variables contradict one another."""
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    local = int(os.environ.get("LOCAL_RANK", 0))
    if not 0 <= rank < world:
        raise ConfigError(
            f"RANK={rank}, WORLD_SIZE={world}", "this is no rank of that world", "Start with torchrun or deepspeed"
        )
    import torch

    use_cuda = torch.cuda.is_available()
    if not use_cuda:
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    torch.set_num_threads(threads or max(1, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", world))))
    device = torch.device("cuda", local) if use_cuda else torch.device("cpu")
    _start_group(rank, world, local, "nccl" if use_cuda else "gloo", timedelta(seconds=timeout_s))
    return Cluster(rank, world, device)


def _start_group(rank: int, world: int, local: int, backend: str, timeout: timedelta) -> None:
    import torch.distributed as dist

    quiet_deepspeed()
    if not dist.is_initialized():
        if world == 1 and "MASTER_PORT" not in os.environ:
            # Alone, no port is opened: several runs on one machine cannot collide.
            os.environ.update(RANK="0", LOCAL_RANK="0", WORLD_SIZE="1")
            dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1, timeout=timeout)
        else:
            os.environ.setdefault("LOCAL_RANK", str(local))
            dist.init_process_group(backend, timeout=timeout)
    import deepspeed

    deepspeed.init_distributed(dist_backend=backend, timeout=timeout, dist_init_required=False)


def quiet_deepspeed() -> None:
    """Import DeepSpeed without compiling its shared-memory operator (used by inference only) and without its chatter."""
    import logging

    import deepspeed
    import deepspeed.ops
    from deepspeed.utils import logger

    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    logger.setLevel(logging.ERROR)


def leave(cluster: Cluster) -> None:
    """Leave the process group of several ranks, so that none waits for this one.

    A process alone keeps its group: DeepSpeed caches it, and a second run in the same process goes on with it.
    """
    import torch.distributed as dist

    if cluster.world_size > 1 and dist.is_initialized():
        dist.destroy_process_group()
