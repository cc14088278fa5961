"""A stage that costs nothing, for sweeps: its score has a known best, and it writes down when it ran.

Imported by name in the trials' own processes, as the real targets are.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import psutil

from rnfm.core.config import Config, Field


class HeadConfig(Config):
    """A part of the toy's configuration."""

    lr: float = Field(1e-3, gt=0, lt=1, description="best at 0.01")
    depth: int = Field(2, ge=1, le=8, description="best at 3")


class ToyConfig(Config):
    """The toy's configuration."""

    journal: Path = Field(description="folder for one file a trial")
    out: Path = Field(Path("toy"), description="not used")
    overwrite: bool = Field(False, description="not used")
    head: HeadConfig = Field(HeadConfig(), description="a nested part")
    pooling: str = Field("mean", pattern="^(mean|token)$", description="a choice")
    flag: bool = Field(False, description="a switch")
    options: dict[str, float] = Field({}, description="free keys")
    seconds: float = Field(0.0, ge=0, description="time that a score takes [s]")


def listening() -> list[str]:
    """Addresses on which this process, those above it and their children wait for connections."""
    family = {process for parent in psutil.Process().parents()[:2] for process in (parent, *parent.children())}
    return [
        connection.laddr.ip
        for process in family
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    ]


def score(config: ToyConfig) -> float:
    """1 at depth 3 and less beside it; depth 4 cannot be scored, depth 7 loses its process."""
    began = time.time()
    time.sleep(config.seconds)
    if config.head.depth == 4:
        raise ValueError("depth 4 does not fit")
    if config.head.depth == 7:
        os._exit(3)  # as if killed for its memory
    note = {"began": began, "ended": time.time(), "listening": listening()}
    (config.journal / f"depth-{config.head.depth}.json").write_text(json.dumps(note))
    return 1.0 - abs(config.head.depth - 3) / 10
