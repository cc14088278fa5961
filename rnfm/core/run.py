"""The run folder: one place for all that a command that computes for long leaves behind.

run/
+-- config.resolved.yaml    the configuration, every key
+-- env.json                versions, device, git revision, world size
+-- metrics.jsonl           one JSON object a line: {"step", "time_s", name: value, ...}
+-- logs/rank0.log          one file a rank
+-- checkpoints/step-000100/
+-- foundation/             (pre-training)
"""

from __future__ import annotations

import json
import logging
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from rnfm.core import files
from rnfm.core.artifact import code_revision
from rnfm.core.config import Config

PACKAGES = ("torch", "deepspeed", "webdataset", "monai", "nibabel", "ray", "mlflow", "zarr", "numpy")


class RunFolder:
    """Paths and writers of one run. Any rank may log; only rank 0 writes the shared files."""

    def __init__(self, path: Path, rank: int = 0) -> None:
        self.path, self.rank = Path(path), rank
        (self.path / "logs").mkdir(parents=True, exist_ok=True)
        self.checkpoints = self.path / "checkpoints"
        self.foundation = self.path / "foundation"
        self.metrics_file = self.path / "metrics.jsonl"

    def write_head(self, config: Config, **environment: Any) -> None:
        """Write the resolved configuration and the environment (rank 0)."""
        files.write_text(self.path / "config.resolved.yaml", config.as_yaml())
        files.write_json(self.path / "env.json", {**environment_facts(), "config_hash": config.hash(), **environment})

    def log_metrics(self, step: int, values: dict[str, float]) -> None:
        """Append one line; values must be plain numbers."""
        files.append_line(self.metrics_file, json.dumps({"step": step, **values}))

    def read_metrics(self) -> list[dict[str, Any]]:
        """All metrics lines; a torn last line (the process died in it) is left out."""
        if not self.metrics_file.exists():
            return []
        rows = []
        for line in self.metrics_file.read_text().splitlines():
            try:
                rows.append(json.loads(line))
            except ValueError:
                continue
        return rows

    def logger(self, name: str = "rnfm") -> logging.Logger:
        """A logger into logs/rankN.log; rank 0 also speaks on standard error."""
        logger = logging.getLogger(f"{name}.{self.path}.{self.rank}")
        if not logger.handlers:
            logger.setLevel(logging.INFO)
            logger.propagate = False
            targets: list[logging.Handler] = [logging.FileHandler(self.path / "logs" / f"rank{self.rank}.log")]
            targets += [logging.StreamHandler(sys.stderr)] if self.rank == 0 else []
            for target in targets:
                target.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
                logger.addHandler(target)
        return logger


def environment_facts() -> dict[str, Any]:
    """Versions and platform; no host name, no user, no environment variable."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "missing"
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "code": code_revision(),
        "versions": versions,
    }
