"""What a command is: words, a sentence, and the names of a configuration class and a stage that are imported when it runs."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rnfm.core.config import Config


@dataclass(frozen=True)
class Command:
    """`rnfm <words>` builds `<room>.<config>` from file and flags and calls `<room>.<verb>` with it."""

    words: str
    summary: str
    room: str
    config: str
    verb: str
    launchable: bool = False  # may run as one of several ranks

    def config_class(self) -> type[Config]:
        return getattr(importlib.import_module(self.room), self.config)

    def stage(self) -> Callable[[Any], Any]:
        return getattr(importlib.import_module(self.room), self.verb)
