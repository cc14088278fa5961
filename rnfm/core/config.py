"""Configuration: frozen pydantic models, YAML files and dotted overrides, checked in one place.

    rnfm pretrain --config run.yaml --optim.lr 3e-4 steps=200

A stage's configuration is one `Config` subclass. A file and the command line are merged into one plain tree, and pydantic
alone judges the tree, so that every fault is reported at once and in one style. No value is ever executed or imported.
"""

from __future__ import annotations

import hashlib
import json
import types
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from rnfm.core.errors import ConfigError, nearest


class Config(BaseModel):
    """Base of all configurations: frozen, unknown keys refused, defaults checked like given values."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, arbitrary_types_allowed=False)

    def hash(self) -> str:
        """sha256 over the resolved values; the same for the same settings however they were given."""
        return hashlib.sha256(json.dumps(self.as_dict(), sort_keys=True).encode()).hexdigest()

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types only (paths as strings)."""
        return self.model_dump(mode="json")

    def as_yaml(self) -> str:
        return yaml.safe_dump(self.as_dict(), sort_keys=False)


ConfigT = TypeVar("ConfigT", bound=Config)


def positional(description: str) -> Any:
    """A required field that the command line also takes without its name."""
    return Field(description=description, json_schema_extra={"positional": True})


def load(cls: type[ConfigT], file: Path | None = None, overrides: Sequence[str] = ()) -> ConfigT:
    """Merge `file` and `overrides` (command-line words) and validate. Raises ConfigError naming every fault."""
    tree = read_yaml(file) if file else {}
    faults: list[str] = []
    for key, text in _words(cls, overrides, faults):
        _set(tree, key, text)
    return _build(cls, tree, faults)


def from_dict(cls: type[ConfigT], tree: dict[str, Any]) -> ConfigT:
    """Validate a plain tree; raises ConfigError naming every fault."""
    return _build(cls, tree, [])


def with_overrides(config: ConfigT, overrides: dict[str, Any]) -> ConfigT:
    """A copy of `config` with values replaced by dotted key, validated again."""
    tree = config.model_dump(mode="json")
    for key, value in overrides.items():
        _set(tree, key, value)
    return _build(type(config), tree, [])


def read_yaml(file: Path) -> dict[str, Any]:
    """A YAML mapping, read with the safe loader."""
    try:
        tree = yaml.safe_load(Path(file).read_text())
    except FileNotFoundError:
        raise ConfigError(file, "no such configuration file", "Give the path of an existing YAML file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(file, f"is not plain YAML: {' '.join(str(error).split())}", "Mend the file") from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(file, "holds no mapping of keys to values", "Write it as `key: value` lines")
    return tree


def fields(cls: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every leaf field with its dotted key, in the order written."""
    for name, info in cls.model_fields.items():
        inner = _model_of(info.annotation)
        if inner is not None:
            yield from fields(inner, f"{prefix}{name}.")
        else:
            yield prefix + name, info


def _build(cls: type[ConfigT], tree: dict[str, Any], faults: list[str]) -> ConfigT:
    try:
        config = cls.model_validate(tree)
    except ValidationError as error:
        faults = faults + [_explain(cls, fault) for fault in error.errors()]
    if faults:
        name = cls.__name__.removesuffix("Config").lower() or "configuration"
        count = f"{len(faults)} fault{'s' if len(faults) > 1 else ''} in the configuration"
        raise ConfigError(f"{name} configuration", f"{count}: {'; '.join(faults)}", "Mend the keys named and run again")
    return config


def _explain(cls: type[BaseModel], fault: Any) -> str:
    """One pydantic error as a phrase with its dotted key, the value it got, and the nearest known key."""
    key = ".".join(str(part) for part in fault["loc"]) or "(all)"
    if fault["type"] == "extra_forbidden":
        known = [name for name, _ in fields(cls)] + list(cls.model_fields)
        return f"{key!r} is not a key{nearest(key, known)}"
    if fault["type"] == "missing":
        return f"{key!r} is missing"
    message = fault["msg"].removeprefix("Value error, ")
    got = "" if isinstance(fault["input"], dict) else f", got {fault['input']!r}"
    return f"{key}: {message[0].lower()}{message[1:]}{got}"


def _words(cls: type[BaseModel], words: Sequence[str], faults: list[str]) -> Iterator[tuple[str, Any]]:
    """Command-line words as (dotted key, value): `--key value`, `--key=value`, `key=value`, `--flag`, `--no-flag`."""
    known = dict(fields(cls))
    waiting = [
        key
        for key, info in known.items()
        if isinstance(info.json_schema_extra, dict) and info.json_schema_extra.get("positional")
    ]
    queue = list(words)
    while queue:
        word = queue.pop(0)
        bare = word.removeprefix("--")
        key, equals, text = bare.partition("=")
        key = key.replace("-", "_")
        if word.startswith("--") and not equals:
            info = known.get(key)
            if info is None and key.startswith("no_") and _is_bool(known.get(key[3:])):
                yield key[3:], False
            elif _is_bool(info) and not (queue and queue[0].lower() in ("true", "false")):
                yield key, True
            elif info is not None and _is_list(info):
                yield key, _take_list(queue)
            elif not queue or queue[0].startswith("--"):
                faults.append(f"{key!r} has no value" if info else f"{key!r} is not a key{nearest(key, known)}")
            else:
                yield key, _scalar(queue.pop(0))
        elif equals and (word.startswith("--") or key in known or key.split(".")[0] in cls.model_fields):
            yield key, _scalar(text)
        elif waiting:
            name = waiting.pop(0)
            yield name, [word] + _take_list(queue) if _is_list(known[name]) else word
        else:
            faults.append(f"{word!r} is neither a key nor expected here{nearest(key, known)}")


def _take_list(queue: list[str]) -> list[Any]:
    taken: list[Any] = []
    while queue and not queue[0].startswith("--"):
        taken.append(_scalar(queue.pop(0)))
    return taken[0] if len(taken) == 1 and isinstance(taken[0], list) else taken


def _scalar(text: str) -> Any:
    """A YAML scalar or flow list; text stays text, and `1e-4` (text in YAML 1.1) becomes a number in pydantic."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    # Dates, and identifiers such as 010005 (octal in YAML 1.1), are meant as they are written.
    if isinstance(value, bool | float | list | dict | str) or value is None:
        return value
    return value if isinstance(value, int) and str(value) == text else text


def _set(tree: dict[str, Any], key: str, value: Any) -> None:
    *parents, leaf = key.split(".")
    for parent in parents:
        inner = tree.setdefault(parent, {})
        if not isinstance(inner, dict):
            inner = tree[parent] = {}
        tree = inner
    tree[leaf] = value


def _model_of(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return None


def _is_bool(info: FieldInfo | None) -> bool:
    return info is not None and info.annotation is bool


def _is_list(info: FieldInfo) -> bool:
    options = (
        typing.get_args(info.annotation)
        if typing.get_origin(info.annotation) in (typing.Union, types.UnionType)
        else (info.annotation,)
    )
    return any(typing.get_origin(option) in (list, tuple) for option in options)
