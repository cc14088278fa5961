"""The one artefact: a folder that says what it is, where it came from and what must be in it.

    cohort/                  (any kind: cohort, split, volumes, shards, checkpoint, foundation, classifier, predictions, ...)
    +-- ...                  the payload: Parquet, Zarr, tar, safetensors
    +-- config.json          {"kind", "version", "contract"}: what it is, and what a reader must agree to
    +-- lineage.json         {"rnfm", "code", "config_hash", "inputs": {role: digest}, ...}: what made it, without times or names
    +-- digests.json         {"files": {name: {"bytes", "sha256"}}, "digest"}: written last; without it there is no artefact

Publishing: the payload is written in a temporary folder beside the target, every file is synced and hashed, the three
heads are written, the folder is renamed, the parent is synced. A reader therefore sees all of it or nothing. A folder that
is replaced is moved aside first and deleted only after its successor stands.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from rnfm import __version__
from rnfm.core import files
from rnfm.core.errors import ConfigError, IntegrityError
from rnfm.core.progress import track

HEADS = ("config.json", "lineage.json", "digests.json")
OWNER = f"{files.TEMPORARY}owner"  # in a folder being written: locked by its writer for as long as that lives
_OWNED: dict[Path, IO[str] | None] = {}


@dataclass(frozen=True)
class Artifact:
    """An opened artefact. `digest` names its content: equal digests mean equal bytes."""

    path: Path
    kind: str
    version: int
    contract: dict[str, Any]
    lineage: dict[str, Any]
    files: dict[str, dict[str, Any]]
    digest: str

    @classmethod
    def open(
        cls, path: Path | str, kind: str | None = None, version: int | None = None, *, intact: bool = True
    ) -> Artifact:
        """Read the heads and, with `intact`, check that each listed file is there with its size. Contents: `verify(deep=True)`.

        Raises ConfigError for a path that is no artefact, another kind or another version; IntegrityError for damage.
        """
        path = Path(path)
        if not path.is_dir():
            raise ConfigError(
                path, f"no {kind or 'artefact'} folder here", "Give the folder that the stage before wrote"
            )
        if not (path / "digests.json").is_file():
            raise ConfigError(
                path,
                f"is not a published {kind or 'artefact'} (no digests.json)",
                "Run the stage that makes it to its end",
            )
        try:
            config, lineage, digests = (json.loads((path / head).read_text()) for head in HEADS)
            artifact = cls(
                path,
                config["kind"],
                config["version"],
                config["contract"],
                lineage,
                digests["files"],
                digests["digest"],
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise IntegrityError(
                path, f"its head files are damaged ({error})", "Restore it from a copy or make it again"
            ) from None
        if kind is not None and artifact.kind != kind:
            raise ConfigError(path, f"is of kind {artifact.kind}, not {kind}", f"Give a folder of kind {kind}")
        if version is not None and artifact.version != version:
            raise ConfigError(
                path,
                f"{artifact.kind} format {artifact.version}, this release reads {version}",
                "Make it again with this release",
            )
        if intact:
            artifact.require_intact()
        return artifact

    def verify(self, deep: bool = False) -> list[str]:
        """Every fault found, one phrase each: missing, wrong size, not listed; with `deep` also wrong content."""
        faults = []
        if _digest_of(self.files) != self.digest:
            faults.append("digests.json does not match its own digest")
        listed = self.files.items()
        for name, expected in track(listed, len(listed), "verify", "files") if deep else listed:
            file = self.path / name
            if not file.is_file():
                faults.append(f"{name} is missing")
            elif file.stat().st_size != expected.get("bytes"):
                faults.append(f"{name} has {file.stat().st_size} bytes instead of {expected.get('bytes')}")
            elif (deep or name in HEADS) and files.sha256(file) != expected.get("sha256"):
                faults.append(f"{name} has other content than was published")
        strangers = sorted(set(_listing(self.path)) - set(self.files) - {"digests.json"})
        return faults + [f"{name} is not listed in digests.json" for name in strangers]

    def require_intact(self, deep: bool = False) -> None:
        """Raise IntegrityError if `verify` finds anything."""
        faults = self.verify(deep)
        if faults:
            more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
            raise IntegrityError(self.path, "; ".join(faults[:3]) + more, "Restore it from a copy or make it again")

    def file(self, name: str) -> Path:
        """The path of a listed file."""
        if name not in self.files:
            raise IntegrityError(self.path, f"has no file {name!r}", "Make it again with this release")
        return self.path / name


@dataclass
class Draft:
    """An artefact being written: put the payload under `path`; `contract` and `lineage` may be filled until the end."""

    path: Path
    contract: dict[str, Any]
    lineage: dict[str, Any]


@contextlib.contextmanager
def publish(
    path: Path | str,
    kind: str,
    version: int,
    *,
    contract: Mapping[str, Any] | None = None,
    lineage: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Iterator[Draft]:
    """Write an artefact: `with publish(...) as draft: ...`; on a clean exit it stands at `path`, else nothing does."""
    path = Path(path)
    require_free(path, overwrite)
    draft = Draft(begin(path), dict(contract or {}), dict(lineage or {}))
    try:
        yield draft
        commit(draft.path, path, kind, version, contract=draft.contract, lineage=draft.lineage)
    finally:
        _disown(draft.path)
        shutil.rmtree(draft.path, ignore_errors=True)


def require_free(path: Path, overwrite: bool) -> None:
    """Raise ConfigError if something stands at `path` that we may not replace."""
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not overwrite:
        raise ConfigError(
            path,
            "exists already, made with other settings or inputs",
            "Choose another --out, or pass --overwrite to replace it",
        )
    if not (path / "digests.json").is_file():
        raise ConfigError(
            path, "is not one of our artefacts, so it is not replaced", "Choose another --out, or remove it yourself"
        )


def begin(path: Path) -> Path:
    """An empty temporary folder beside `path`, on the same file system; what killed writers of `path` left is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path)
    temporary = path.with_name(f"{files.TEMPORARY}{path.name}-{secrets.token_hex(4)}")
    temporary.mkdir()
    _OWNED[temporary] = files.try_lock(temporary / OWNER)
    return temporary


def sweep(path: Path) -> None:
    """Remove temporary folders of `path` whose writer is no longer alive: the system has let go of its lock."""
    for entry in path.parent.glob(f"{files.TEMPORARY}{path.name}-*"):
        if (entry / OWNER).exists() and (lock := files.try_lock(entry / OWNER)) is not None:
            shutil.rmtree(entry, ignore_errors=True)
            lock.close()


def _disown(temporary: Path) -> None:
    lock = _OWNED.pop(temporary, None)
    if lock is not None:
        lock.close()
    (temporary / OWNER).unlink(missing_ok=True)


def commit(
    temporary: Path, path: Path, kind: str, version: int, *, contract: Mapping[str, Any], lineage: Mapping[str, Any]
) -> None:
    """Sync and hash all that lies in `temporary`, write the heads, and rename it to `path`."""
    files.write_json(temporary / "config.json", {"kind": kind, "version": version, "contract": dict(contract)})
    files.write_json(temporary / "lineage.json", {"rnfm": __version__, "code": code_revision(), **lineage})
    listing: dict[str, dict[str, Any]] = {}
    for name in _listing(temporary):
        files.sync_file(temporary / name)
        listing[name] = {"bytes": (temporary / name).stat().st_size, "sha256": files.sha256(temporary / name)}
    files.write_json(temporary / "digests.json", {"files": listing, "digest": _digest_of(listing)})
    for folder in sorted({(temporary / name).parent for name in listing}):
        files.sync_folder(folder)
    _disown(temporary)
    _swap(temporary, path)


def current(path: Path | str, kind: str, config_hash: str, inputs: Mapping[str, str]) -> Artifact | None:
    """The artefact at `path` if it stands intact and was made with this configuration from these inputs, else None."""
    try:
        artifact = Artifact.open(path, kind=kind)
    except (ConfigError, IntegrityError):
        return None
    same = artifact.lineage.get("config_hash") == config_hash and artifact.lineage.get("inputs") == dict(inputs)
    return artifact if same else None


@lru_cache(maxsize=1)
def code_revision() -> str:
    """The git revision of the source, with `+dirty` if it was changed; 'release' outside a checkout."""
    import subprocess

    source = Path(__file__).resolve().parents[2]
    if not (source / ".git").exists():
        return "release"
    git = ("git", "-C", str(source))
    try:
        revision = subprocess.run(
            (*git, "rev-parse", "HEAD"), capture_output=True, text=True, timeout=20
        ).stdout.strip()
        changed = subprocess.run(
            (*git, "status", "--porcelain"), capture_output=True, text=True, timeout=20
        ).stdout.strip()
        return revision + ("+dirty" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _swap(temporary: Path, path: Path) -> None:
    """Put `temporary` in place of `path`; at no moment does nothing stand there, where the system can exchange two names."""
    if not path.exists():
        os.rename(temporary, path)
        files.sync_folder(path.parent)
        return
    aside = path.with_name(f"{files.TEMPORARY}old-{path.name}-{secrets.token_hex(4)}")
    if files.exchange(temporary, path):
        os.rename(temporary, aside)
    else:
        os.rename(path, aside)
        os.rename(temporary, path)
    files.sync_folder(path.parent)
    shutil.rmtree(aside, ignore_errors=True)


def _listing(path: Path) -> list[str]:
    """Relative names of all regular files under `path`, sorted; temporaries of unfinished writes are not payload."""
    found = (entry.relative_to(path) for entry in path.rglob("*") if entry.is_file())
    return sorted(
        name.as_posix() for name in found if not name.name.startswith(files.TEMPORARY) and name.name != "digests.json"
    )


def _digest_of(listing: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(listing, sort_keys=True).encode()).hexdigest()
