"""The folder beside an output in which finished scans wait until the cohort stands; a killed run goes on with them.

    cohort.work-3fd05b7c9e21/  lock             held by the one run that fills it, for as long as that lives
                               tree/            what will be published, whole, by one rename
                               done/00017.json  a scan that is finished: its rows of the tables, and its files with sizes

The name holds a digest of the settings, so that nothing made with others is taken. A scan's record is written after its
files, each by rename; it counts only while all of them have the size they had.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnfm.core import files
from rnfm.core.errors import ConfigError


@dataclass(frozen=True)
class WorkFolder:
    """An open work folder: this run alone fills it."""

    path: Path

    @property
    def tree(self) -> Path:
        return self.path / "tree"

    def finished(self, number: int) -> dict[str, Any] | None:
        """The record of the `number`-th scan, if it is finished and its files are as they were."""
        try:
            record: dict[str, Any] = json.loads(self._record(number).read_text())
            whole = all((self.tree / name).stat().st_size == size for name, size in record["files"].items())
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return record if whole else None

    def finish(self, number: int, names: list[str], rows: dict[str, Any]) -> None:
        """Record the `number`-th scan with its files (relative names) and its rows."""
        sizes = {name: (self.tree / name).stat().st_size for name in names}
        files.write_json(self._record(number), {"files": sizes, **rows})

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def _record(self, number: int) -> Path:
        return self.path / "done" / f"{number:05d}.json"


@contextlib.contextmanager
def opened(out: Path, settings: str) -> Iterator[WorkFolder]:
    """The work folder of `out` for settings with this digest, locked. ConfigError if another run holds it."""
    path = out.absolute().with_name(f"{out.name}.work-{settings[:12]}")
    (path / "done").mkdir(parents=True, exist_ok=True)
    (path / "tree").mkdir(exist_ok=True)
    lock = files.try_lock(path / "lock")
    if lock is None:
        raise ConfigError(out, "another `rnfm insilico make` is writing it", "Wait until it ends, or stop it")
    with lock:
        yield WorkFolder(path)
