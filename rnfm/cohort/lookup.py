"""`rnfm data whois`: the identity behind a code, for the custodian of the key table, on a terminal only.

A pipe or a file would outlive the question, so there the command refuses.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from rnfm.cohort.keys import Key, KeyTable
from rnfm.core.config import Config, Field, positional
from rnfm.core.errors import ConfigError

_CODE = re.compile(r"^([PS]-[0-9A-F]{8})(?:-L(\d+))?$")


class WhoisConfig(Config):
    """Look a patient, scan or lesion code up in a key table."""

    code: str = positional("code such as P-3F9A61C2, S-0B77E1D4 or P-3F9A61C2-L2")
    keys: Path = Field(description="key table that `rnfm data index` wrote")


@dataclass(frozen=True)
class WhoisResult:
    """Holds an identity: print it, and neither log nor store it."""

    path: Path
    key: Key
    lesion: int | None

    def summary(self) -> str:
        lesion = f", lesion {self.lesion}" if self.lesion is not None else ""
        lines = [f"{self.key.code}: {self.key.kind} {self.key.original} of {self.key.namespace}{lesion}"]
        lines += [f"{name}: {file}" for name, file in (("image", self.key.image), ("mask", self.key.mask)) if file]
        return "\n".join(lines)


def whois(config: WhoisConfig, *, on_terminal: bool | None = None) -> WhoisResult:
    """Look a code up. ConfigError if the output is no terminal (None: ask standard output) or the code is unknown."""
    if not (sys.stdout.isatty() if on_terminal is None else on_terminal):
        raise ConfigError(
            "whois", "shows an identity, and the output is not a terminal", "Run it on a terminal, without pipe or file"
        )
    match = _CODE.match(config.code.strip().upper())
    if match is None:
        raise ConfigError(config.code, "is not a code", "Give one such as P-3F9A61C2, S-0B77E1D4 or P-3F9A61C2-L2")
    table = KeyTable.open(config.keys)
    key = table.lookup(match[1])
    if key is None:
        raise ConfigError(config.code, f"is not in key table {table.id}", "Give the key table of its own cohort")
    return WhoisResult(config.keys, key, int(match[2]) if match[2] else None)
