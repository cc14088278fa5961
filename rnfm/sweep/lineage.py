"""What a sweep's result depends on: its settings, and the content of all that the target's configuration points to.

Two sweeps with equal hash and equal inputs would give the same trials. How many run at once, where Ray stands, where
results go, and the paths at which inputs lie change nothing and stay out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rnfm.core import files
from rnfm.core.artifact import Artifact
from rnfm.core.config import Config
from rnfm.sweep.config import SweepConfig
from rnfm.sweep.space import UNSCORED, Choices, Interval, Space


def inputs_of(base: Config, space: Space) -> dict[str, str]:
    """{dotted key: digest} of every artefact and file named in the base or among the choices.

    Raises IntegrityError for a damaged one. A path where nothing lies is no input: the first trial that needs it says so.
    """
    found = {}
    for key, value in _named(base, space):
        path = Path(value) if isinstance(value, str) else None
        if path is not None and (path / "digests.json").is_file():
            found[key] = Artifact.open(path).digest
        elif path is not None and path.is_file():
            found[key] = files.sha256(path)
    return found


def config_hash(config: SweepConfig, base: Config, space: Space, inputs: Mapping[str, str]) -> str:
    """sha256 over target, search and every setting, with the digest of an input in the place of its path."""
    values = {key: inputs.get(key, value) for key, value in _named(base, space)}
    ranges = {key: asdict(axis) for key, axis in space.items() if isinstance(axis, Interval)}
    told = [config.target, config.trials, config.search, config.seed, values, sorted(space), ranges]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _named(base: Config, space: Space) -> Iterator[tuple[str, Any]]:
    """Every scored value of the base under its dotted key, and every choice under `space.<key>.<number>`."""
    for key, value in _leaves(base.as_dict()):
        if key.split(".")[0] not in UNSCORED:
            yield key, value
    for key, axis in space.items():
        if isinstance(axis, Choices):
            yield from _leaves({f"space.{key}": list(axis.values)})


def _leaves(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list) and value:
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(inner, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, value
