"""The search space, checked against the target's schema before anything starts. Pure: no Ray here.

    [a, b, c]                     Choices    each value as the target's configuration reads it
    {low, high, step: N}          Choices    low, low + N, ... up to high
    {low, high}                   Interval   evenly spread; whole numbers where the key is one
    {low, high, log: true}        Interval   evenly spread on a log scale

Every listed value and both ends of every interval are put into the base configuration and validated, one at a time; all
faults of all keys are reported at once. A combination that only fails together is a failed trial, not a fault here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import model_validator

from rnfm.core.config import Config, Field, from_dict, with_overrides
from rnfm.core.errors import ConfigError

UNSCORED = ("out", "overwrite", "tracking", "workers")
"""Keys of a stage that change no score; sweeping one would compare a result with itself."""


@dataclass(frozen=True)
class Choices:
    """A finite axis; `values` are plain JSON values, all different."""

    values: tuple[Any, ...]


@dataclass(frozen=True)
class Interval:
    """A continuous axis from `low` to `high`, both included; `whole` keeps to integers."""

    low: float
    high: float
    log: bool = False
    whole: bool = False


Space = dict[str, Choices | Interval]


class Range(Config):
    """How an interval or a stepped list is written."""

    low: float = Field(description="smallest value")
    high: float = Field(description="largest value")
    log: bool = Field(False, description="spread evenly on a log scale")
    step: float | None = Field(None, gt=0, description="distance between values")

    @model_validator(mode="after")
    def _sound(self) -> Range:
        if not self.low < self.high:
            raise ValueError("low must be smaller than high")
        if self.log and self.low <= 0:
            raise ValueError("a log scale needs low above 0")
        if self.log and self.step is not None:
            raise ValueError("log and step exclude each other")
        return self

    def stepped(self) -> list[float]:
        """low, low + step, ... up to high; a hair of slack so that 0.1 + 2 * 0.1 still reaches 0.3."""
        assert self.step is not None
        return [self.low + i * self.step for i in range(math.floor((self.high - self.low) / self.step + 1e-9) + 1)]


def resolve(base: Config, space: Mapping[str, Any], *, fixed: Collection[str] = ()) -> Space:
    """Check `space` against the schema of `base` and give each dotted key its axis.

    Raises ConfigError with all faults, among them keys that are `fixed` too.
    """
    faults: list[str] = []
    axes: Space = {}
    for key, written in flat(space):
        if key.split(".")[0] in UNSCORED:
            faults.append(f"{key!r} changes no score")
        elif key in fixed:
            faults.append(f"{key!r} is fixed, so it cannot be searched")
        elif isinstance(written, list):
            axes[key] = _choices(base, key, written, faults)
        elif isinstance(written, dict):
            axes[key] = _ranged(base, key, written, faults)
        else:
            faults.append(f"{key}: neither a list of choices nor {{low, high}}, got {written!r}")
    if not axes and not faults:
        faults.append("it holds no key")
    if faults:
        count = f"{len(faults)} fault{'s' if len(faults) > 1 else ''} in the space"
        raise ConfigError("sweep space", f"{count}: {'; '.join(faults)}", "Mend the keys named and run again")
    return axes


def points(space: Space) -> int | None:
    """Number of points of a finite space, None if an axis is continuous."""
    if any(isinstance(axis, Interval) for axis in space.values()):
        return None
    return math.prod(len(axis.values) for axis in space.values() if isinstance(axis, Choices))


def flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys; a mapping that is no range is a level of the tree (`--space.optim.lr` on the command line gives one)."""
    for key, value in tree.items():
        if isinstance(value, dict) and value and not set(value) & {"low", "high"}:
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _choices(base: Config, key: str, values: list[Any], faults: list[str]) -> Choices:
    read = [_as_read(base, key, value, faults) for value in values]
    if not values:
        faults.append(f"{key}: the list of choices is empty")
    texts = [json.dumps(value, sort_keys=True) for value in read]
    repeated = sorted({text for text in texts if texts.count(text) > 1 and text != "null"})
    faults += [f"{key}: lists {text} twice" for text in repeated]
    return Choices(tuple(read))


def _ranged(base: Config, key: str, written: dict[str, Any], faults: list[str]) -> Choices | Interval:
    try:
        span = from_dict(Range, written)
    except ConfigError as error:
        faults.append(f"{key}: {_bare(error)}")
        return Choices(())
    if span.step is not None:
        return _choices(base, key, [_tidy(value) for value in span.stepped()], faults)
    before = len(faults)
    ends = [_as_read(base, key, _tidy(value), faults) for value in (span.low, span.high)]
    if len(faults) == before and any(isinstance(end, bool) or not isinstance(end, int | float) for end in ends):
        faults.append(f"{key}: takes no numbers, so it has no range; list its choices")
    return Interval(span.low, span.high, span.log, whole=all(isinstance(end, int) for end in ends))


def _as_read(base: Config, key: str, value: Any, faults: list[str]) -> Any:
    """`value` as the target's configuration reads it (`'1e-4'` of a YAML file is a number there)."""
    try:
        tree: Any = with_overrides(base, {key: value}).as_dict()
    except ConfigError as error:
        faults += [fault for fault in [_bare(error)] if fault not in faults]
        return None
    for part in key.split("."):
        tree = tree[part]
    return tree


def _tidy(value: float) -> float | int:
    """Whole numbers as integers, and 0.30000000000000004 as 0.3."""
    return int(value) if value == int(value) else float(f"{value:.12g}")


def _bare(error: ConfigError) -> str:
    """The faults of a configuration error without the count before them."""
    return error.cause.partition(": ")[2] or error.cause
