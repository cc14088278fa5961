"""The source tree: which files belong to it, and a keyed fingerprint that tells whether it changed.

The fingerprint is an HMAC over relative names, sizes and modification times. A plain hash of names would let anyone who
guesses a name confirm it, and names of files are often names of people; the key is a random number that lives in the key
table only, so that outside the custodian's hands the fingerprint says 'same' or 'changed' and nothing else.
Modification times count because two versions of an uncompressed file may have the same size.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

NIFTI = (".nii", ".nii.gz")
TABLES = (".tsv", ".json", ".xlsx")


def walk(root: Path, suffixes: Sequence[str] = NIFTI) -> list[Path]:
    """All files under `root` with one of `suffixes`, sorted; hidden folders and our own artefacts are passed over.

    Links to folders are not followed, so that a loop cannot hold us.
    """
    found: list[Path] = []
    for folder, inner, names in os.walk(root):
        if "digests.json" in names:
            inner.clear()
            continue
        inner[:] = [name for name in inner if not name.startswith(".")]
        found += [
            Path(folder, name) for name in names if name.lower().endswith(tuple(suffixes)) and not name.startswith(".")
        ]
    return sorted(found)


def is_nifti(path: Path) -> bool:
    return path.name.lower().endswith(NIFTI)


def stem(path: Path) -> str:
    """The file name without `.nii` or `.nii.gz`."""
    return re.sub(r"\.nii(\.gz)?$", "", path.name, flags=re.IGNORECASE)


def fingerprint(secret: str, roots: Iterable[Path], settings: Sequence[str | None] = ()) -> str:
    """64 hexadecimal digits; equal for equal trees read with equal settings under the same secret."""
    digest = hmac.new(bytes.fromhex(secret), repr(tuple(settings)).encode(), hashlib.sha256)
    for root in roots:
        for file in walk(root, (*NIFTI, *TABLES)):
            # A dangling link has no stat; its name alone still counts.
            status = file.stat() if file.exists() else None
            line = (os.fspath(file.relative_to(root)), status and status.st_size, status and status.st_mtime_ns)
            digest.update(repr(line).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
