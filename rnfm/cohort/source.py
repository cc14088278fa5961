"""The source tree: which files belong to it, and a keyed fingerprint that tells whether it changed.

The fingerprint is an HMAC over relative names, sizes and modification times. A plain hash of names would let anyone who
guesses a name confirm it, and names of files are often names of people; the key is a random number that lives in the key
table only, so that outside the custodian's hands the fingerprint says 'same' or 'changed' and nothing else.
Modification times count because two versions of an uncompressed file may have the same size.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

NIFTI = (".nii", ".nii.gz")
TABLES = (".tsv", ".csv", ".json", ".xlsx")

T = TypeVar("T")
_memory: ContextVar[dict[Hashable, Any] | None] = ContextVar("memory", default=None)


@contextlib.contextmanager
def walked_once() -> Iterator[None]:
    """Inside it a folder is listed once however many ask, which is what makes it cheap to ask every layout for its match.

    Files that come or go meanwhile are not seen, so it is held for one question only.
    """
    token = _memory.set({})
    try:
        yield
    finally:
        _memory.reset(token)


def once(key: Hashable, make: Callable[[], T]) -> T:
    """`make()`, remembered under `key` while `walked_once` is held. The value is shared: leave it unchanged."""
    memory = _memory.get()
    if memory is None:
        return make()
    if key not in memory:
        memory[key] = make()
    found: T = memory[key]
    return found


def walk(root: Path, suffixes: Sequence[str] = NIFTI) -> list[Path]:
    """All files under `root` with one of `suffixes`, sorted; hidden folders and our own artefacts are passed over.

    Links to folders are not followed, so that a loop cannot hold us.
    """
    ends = tuple(suffixes)
    return list(once(("walk", root, ends), lambda: _matching(root, ends)))


def _matching(root: Path, ends: tuple[str, ...]) -> list[Path]:
    listing = once(("list", root), lambda: _listing(root))
    return sorted(Path(folder, name) for folder, names in listing for name in names if name.lower().endswith(ends))


def _listing(root: Path) -> list[tuple[str, list[str]]]:
    """Every folder with the names of its files."""
    found: list[tuple[str, list[str]]] = []
    for folder, inner, names in os.walk(root):
        if "digests.json" in names:
            inner.clear()
            continue
        inner[:] = [name for name in inner if not name.startswith(".")]
        found.append((folder, [name for name in names if not name.startswith(".")]))
    return found


def is_nifti(path: Path) -> bool:
    return path.name.lower().endswith(NIFTI)


def stem(path: Path) -> str:
    """The file name without `.nii` or `.nii.gz`."""
    return re.sub(r"\.nii(\.gz)?$", "", path.name, flags=re.IGNORECASE)


def fingerprint(
    secret: str,
    roots: Sequence[Path],
    settings: Sequence[str | None] = (),
    *,
    keys: Path | None = None,
    also: Iterable[Path] = (),
) -> str:
    """64 hexadecimal digits; equal for equal trees read with equal settings under the same secret.

    `also`: files that belong to the first root and are neither NIfTI nor tables, or do not lie below it.
    Key tables (`keys`, and any *.keys.csv) do not count: `index` itself writes them, perhaps inside the source.
    """
    digest = hmac.new(bytes.fromhex(secret), repr(tuple(settings)).encode(), hashlib.sha256)
    listed = [(root, file) for root in roots for file in walk(root, (*NIFTI, *TABLES))]
    for root, file in [*listed, *((roots[0], file) for file in also)]:
        if file.name.endswith(".keys.csv") or (keys is not None and file.resolve() == keys.resolve()):
            continue
        # A dangling link has no stat; its name alone still counts.
        status = file.stat() if file.exists() else None
        line = (os.path.relpath(file, root), status and status.st_size, status and status.st_mtime_ns)
        digest.update(repr(line).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
