"""Help texts, made from the command list and the configuration classes, so that they cannot drift."""

from __future__ import annotations

import inspect
import textwrap
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from rnfm.cli.command import Command
from rnfm.cli.commands import GROUPS
from rnfm.core.config import Config, fields

WIDTH = 110


def overview() -> str:
    """`rnfm --help`."""
    lines = [
        "rnfm: pre-train 3D vision transformers on MRI, and judge what comes of it",
        "",
        "usage: rnfm COMMAND [--config FILE] [--KEY VALUE ...]",
    ]
    for title, commands in GROUPS.items():
        lines += ["", title] + [f"  {command.words:16}{command.summary}" for command in commands]
    return "\n".join(
        [*lines, "", "rnfm COMMAND --help lists the keys; --debug shows tracebacks; `rnfm demo` walks the whole road on simulated scans.",
         "exit codes: 0 fine, 2 configuration, 3 data, 4 integrity, 5 no verified checkpoint, 75 stopped on purpose (run again)"]
    )  # fmt: skip


def group(word: str) -> str:
    """`rnfm data --help`: the commands that begin with one word."""
    members = [command for commands in GROUPS.values() for command in commands if command.words.split()[0] == word]
    lines = [f"usage: rnfm {word} COMMAND [--config FILE] [--KEY VALUE ...]", ""]
    return "\n".join(lines + [f"  {command.words:16}{command.summary}" for command in members])


def of(command: Command) -> str:
    """`rnfm COMMAND --help`."""
    cls = command.config_class()
    known = list(fields(cls))
    positionals = [name for name, info in known if _is_positional(info)]
    usage = " ".join(
        ["usage: rnfm", command.words, *(name.upper() for name in positionals), "[--config FILE] [--KEY VALUE ...]"]
    )
    lines = [usage, "", *textwrap.wrap(_intro(cls), WIDTH), ""]
    for name, info in known:
        label = name.upper() if _is_positional(info) else f"--{name.replace('_', '-')}"
        lines.append(f"  {label:28}{_type(info.annotation)}{_default(info)}")
        lines += textwrap.wrap(info.description or "", WIDTH, initial_indent=" " * 30, subsequent_indent=" " * 30)
    return "\n".join(lines)


def _intro(cls: type[Config]) -> str:
    return " ".join((inspect.getdoc(cls) or "").split())


def _is_positional(info: FieldInfo) -> bool:
    return isinstance(info.json_schema_extra, dict) and bool(info.json_schema_extra.get("positional"))


def _type(annotation: Any) -> str:
    text = annotation.__name__ if isinstance(annotation, type) and "[" not in str(annotation) else str(annotation)
    for noise in ("typing.", "pathlib._local.", "pathlib."):
        text = text.replace(noise, "")
    return text.replace("Literal[", "one of [").replace("NoneType", "none").replace("None", "none")


def _default(info: FieldInfo) -> str:
    if info.default is PydanticUndefined:
        return "  (required)"
    if info.default in ("", (), {}) or info.default is None:
        return ""
    return f"  (default {info.default})"
