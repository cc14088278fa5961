"""The folder beside an output in which `rnfm data prepare` keeps finished scans until the archive stands.

    volumes.work-3fd05b7c9e21/  about.json       settings and cohort as digests, release
                                lock             held by the one run that fills it, for as long as that lives
                                scans/1D4/...    finished scans (rnfm.volume.production)

Its name holds a digest of what decides a byte: the settings, the cohort, the release. Another of these is another folder,
so nothing old can be taken for new. A finished scan is taken only if every byte is as published *and* its source
files have the size and time they had. It names codes only; size and time of a source are kept as a digest.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pickle
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnfm import __version__
from rnfm.core import artifact, files
from rnfm.core.artifact import Artifact
from rnfm.core.errors import ConfigError, IntegrityError

if TYPE_CHECKING:
    from rnfm.volume.sources import Recipe, Scan

KIND, VERSION = "prepared scan", 1
BUCKET = 3  # letters of a code: 4,096 folders, so that none grows long


@dataclass(frozen=True)
class WorkFolder:
    """An open work folder: this process alone fills it."""

    path: Path
    config_hash: str
    cohort: str

    def folder_of(self, scan: Scan) -> Path:
        """Where the finished scan lies or will lie."""
        return self.path / "scans" / scan.code[-BUCKET:] / scan.code

    def lineage_of(self, scan: Scan, recipe: Recipe | None) -> dict[str, Any]:
        """What a finished scan is known by."""
        inputs = {"cohort": self.cohort, "source": _stamp(scan, recipe)}
        return {"config_hash": self.config_hash, "inputs": inputs}

    def finished(self, scan: Scan, recipe: Recipe | None) -> Artifact | None:
        """The finished scan if it is whole and its source is what it was; what else lies in its place is removed."""
        folder = self.folder_of(scan)
        lineage = self.lineage_of(scan, recipe)
        found = artifact.current(folder, KIND, lineage["config_hash"], lineage["inputs"])
        if found is not None and found.version == VERSION and not found.verify(deep=True):
            return found
        shutil.rmtree(folder, ignore_errors=True)
        return None


@contextlib.contextmanager
def opened(out: Path, config_hash: str, cohort: str) -> Iterator[WorkFolder]:
    """The work folder of an output for these settings and this cohort, locked. ConfigError if another run holds it."""
    about = {"config_hash": config_hash, "cohort": cohort, "rnfm": __version__}
    identity = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:12]
    path = out.with_name(f"{out.name}.work-{identity}")
    path.mkdir(parents=True, exist_ok=True)
    lock = files.try_lock(path / "lock")
    if lock is None:
        raise ConfigError(out, "another `rnfm data prepare` is writing it", "Wait until it ends, or stop it")
    with lock:
        if not (path / "about.json").exists():
            files.write_json(path / "about.json", about)
        try:
            yield WorkFolder(path, config_hash, cohort)
        finally:
            if not any(entry.is_dir() for entry in path.iterdir()):  # ended before the first scan
                shutil.rmtree(path, ignore_errors=True)


def remove_all(out: Path) -> None:
    """Remove the work folders of an output that stands: those of these settings and of earlier ones, unless a run holds them."""
    pattern = re.compile(re.escape(out.name) + r"\.work-[0-9a-f]{12}")
    for path in out.parent.glob(f"{_globbed(out.name)}.work-*"):
        if pattern.fullmatch(path.name) and path.is_dir():
            lock = files.try_lock(path / "lock")
            if lock is not None:
                with lock:
                    shutil.rmtree(path, ignore_errors=True)


def record_of(path: Path) -> Artifact:
    """A scan that a worker has just said to be finished. Raises IntegrityError if it is not there whole."""
    try:
        return Artifact.open(path, KIND, VERSION)
    except ConfigError as error:
        raise IntegrityError(path, error.cause, "Check that all workers see the same file system") from None


def _stamp(scan: Scan, recipe: Recipe | None) -> str:
    """A digest that changes when the source does: size and time of its files, or the recipe's own content."""
    if recipe is not None:
        return hashlib.sha256(pickle.dumps(recipe, protocol=5)).hexdigest()
    facts = [_facts(path) for path in (scan.image, scan.mask)]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _facts(path: Path | None) -> list[int] | None:
    try:
        found = None if path is None else os.stat(path)
    except OSError:
        return []
    return None if found is None else [found.st_size, found.st_mtime_ns]


def _globbed(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)
