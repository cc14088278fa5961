"""`rnfm doctor`: what a bug report needs, and what is missing, in one page."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from rnfm.core.config import Config, Field

REQUIRED = (
    "torch",
    "deepspeed",
    "webdataset",
    "monai",
    "nibabel",
    "ray",
    "mlflow",
    "zarr",
    "SimpleITK",
    "radiomics",
    "nilearn",
)
TOOLS = {
    "torchrun": "multi-process launches",
    "deepspeed": "hostfile launches",
    "pdsh": "deepspeed over several hosts",
    "srun": "SLURM",
    "chromium": "browser tests and `make shots`",
}


class DoctorConfig(Config):
    """Look at this machine: versions, devices, disk, shared memory, ports, and what is missing."""

    folder: Path = Field(Path("."), description="folder whose free disk matters")
    port: int = Field(29500, ge=1, le=65535, description="torchrun's port, tried on loopback")


@dataclass(frozen=True)
class DoctorResult:
    lines: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        return 2 if self.missing else 0

    def summary(self) -> str:
        end = (
            f"missing: {', '.join(self.missing)}; run `make setup`"
            if self.missing
            else "nothing that rnfm needs is missing"
        )
        return "\n".join([*self.lines, end])


def doctor(config: DoctorConfig) -> DoctorResult:
    """Gather facts; changes nothing."""
    from rnfm.core.run import environment_facts

    facts = environment_facts()
    missing = tuple(name for name in REQUIRED if importlib.util.find_spec(name) is None)
    lines = [
        f"python     {facts['python']} on {facts['system']} {facts['machine']}, rnfm code {facts['code'][:12]}",
        "versions   " + ", ".join(f"{name} {version}" for name, version in facts["versions"].items()),
        f"devices    {_devices()}",
        f"cores      {os.cpu_count()}, memory {_gib(_memory())}",
        f"disk       {_gib(shutil.disk_usage(config.folder).free)} free here, shared memory {_gib(_free('/dev/shm'))}",
        f"port       {config.port} is {'free' if _port_free(config.port) else 'taken: pass another --master-port to torchrun'}",
        f"tracking   {os.environ.get('MLFLOW_TRACKING_URI') or 'sqlite:///./mlflow.db (default)'}",
        "tools      " + ", ".join(f"{name} {'yes' if _which(name) else f'no ({use})'}" for name, use in TOOLS.items()),
    ]
    return DoctorResult(tuple(lines), missing)


def _devices() -> str:
    if importlib.util.find_spec("torch") is None:
        return "unknown without torch"
    import torch

    if not torch.cuda.is_available():
        return "no GPU; training runs on the CPU over gloo"
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return f"{len(names)} GPU: {', '.join(names)}"


def _which(name: str) -> bool:
    return shutil.which(name) is not None or (Path(sys.executable).parent / name).exists()


def _memory() -> int:
    import psutil

    return psutil.virtual_memory().total


def _free(path: str) -> int:
    return shutil.disk_usage(path).free if Path(path).exists() else 0


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"


def _port_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
