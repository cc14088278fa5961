"""The key table: the only place where a code and an identity meet. A CSV file of mode 0600 that its custodian keeps.

    namespace , kind    , original          , code        , image            , mask
              , table   , id                , K-51F0A2B7  ,                  ,                  the table's own public id
              , table   , secret            , 64 hex      ,                  ,                  key of source fingerprints
              , table   , check             , 64 hex      ,                  ,                  digest of all ids and codes
    openbtai  , patient , 010005            , P-3F9A61C2  ,                  ,
    openbtai  , scan    , 010005_19010618_a , S-0B77E1D4  , /data/.../a.nii  , /data/.../m.nii

Invariants: codes are random (never derived from an identity, as HIPAA's safe harbour asks of a re-identification code);
the same table + namespace + original id gives the same code for ever; the file is replaced as a whole under a lock, so
that two processes cannot give one patient two codes; it never lies inside an artefact, which people copy and share; a
table that was cut short or damaged is refused, since its lost patients would get new codes. Only `index`, `prepare` and
`whois` read it. Paths may be changed by hand when data move; ids and codes may not.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import os
import secrets
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rnfm.core import files
from rnfm.core.errors import ConfigError, IntegrityError

COLUMNS = ("namespace", "kind", "original", "code", "image", "mask")
TABLE, CHECK = "table", "check"
PREFIX = {"patient": "P", "scan": "S"}
MODE = 0o600


@dataclass(frozen=True)
class Key:
    """One row: what `code` stands for. Paths are absolute; None where there is no file (and for patients)."""

    namespace: str
    kind: str
    original: str
    code: str
    image: Path | None = None
    mask: Path | None = None


class KeyTable:
    """Rows by (namespace, kind, original) and by code. Make one with `open` (to read) or `edit` (to add)."""

    def __init__(self, path: Path, rows: list[Key]) -> None:
        self.path = path
        self._rows = {(row.namespace, row.kind, row.original): row for row in rows}
        self._codes = {row.code: row for row in rows}
        if len(self._rows) != len(rows) or len(self._codes) != len(rows):
            raise IntegrityError(path, "holds an id or a code twice", "Restore the key table from a copy")
        self.is_changed = not rows
        if not rows:
            self._add(Key("", TABLE, "id", f"K-{secrets.token_hex(4).upper()}"))
            self._add(Key("", TABLE, "secret", secrets.token_hex(32)))

    @classmethod
    def open(cls, path: Path) -> KeyTable:
        """Read a table; a mode that lets others read it is mended to 0600, and said. ConfigError, IntegrityError."""
        path = Path(path).resolve()
        if not path.is_file():
            raise ConfigError(path, "no key table here", "Give the --keys file that `rnfm data index` wrote")
        _require_outside(path)
        _close_to_others(path)
        return cls(path, _parse(path))

    @classmethod
    @contextlib.contextmanager
    def edit(cls, path: Path) -> Iterator[KeyTable]:
        """Under a lock: read the table (or begin one), let the caller add, and replace the file on a clean exit."""
        path = Path(path).resolve()
        with files.locked(path.with_name(f".{path.name}.lock")):
            table = cls.open(path) if path.exists() else cls(path, [])
            yield table
            if table.is_changed:
                files.write_bytes(path, table._as_csv(), mode=MODE)
                table.is_changed = False

    @property
    def id(self) -> str:
        """Public name of this table: artefacts made with it carry it, so that two tables can be told apart."""
        return self._head("id")

    @property
    def secret(self) -> str:
        return self._head("secret")

    def code(self, namespace: str, kind: str, original: str) -> str:
        """The code of a patient or scan; a new random one at first sight."""
        row = self._rows.get((namespace, kind, original))
        return row.code if row else self._add(Key(namespace, kind, original, self._fresh(PREFIX[kind]))).code

    def set_files(self, namespace: str, scan: str, *, image: Path, mask: Path | None) -> str:
        """Record where a scan lies and return its code.

        Raises ConfigError if the id is known at another place that still exists: that is another data set under the
        same namespace, and its patients would be mixed with those of the first.
        """
        code = self.code(namespace, "scan", scan)
        known = self._codes[code]
        new = Key(namespace, "scan", scan, code, image.absolute(), mask.absolute() if mask else None)
        if known.image and known.image.exists() and not _is_same(known.image, image):
            raise ConfigError(
                f"namespace {namespace!r}",
                "its scans are known to this key table in another folder that still exists",
                "Give this data set a --namespace of its own, or remove the old folder if it was copied",
            )
        if new != known:
            self._add(new)
        return code

    def lookup(self, code: str) -> Key | None:
        row = self._codes.get(code)
        return row if row and row.kind != TABLE else None

    def scans(self) -> dict[str, Key]:
        """Scan code -> row, in the order of the file."""
        return {row.code: row for row in self._rows.values() if row.kind == "scan"}

    def _head(self, name: str) -> str:
        row = self._rows.get(("", TABLE, name))
        if row is None:
            raise IntegrityError(self.path, f"its first rows are missing (table {name})", "Restore it from a copy")
        return row.code

    def _add(self, row: Key) -> Key:
        self._rows[(row.namespace, row.kind, row.original)] = self._codes[row.code] = row
        self.is_changed = True
        return row

    def _fresh(self, prefix: str) -> str:
        while (code := f"{prefix}-{secrets.token_hex(4).upper()}") in self._codes:
            pass
        return code

    def _as_csv(self) -> bytes:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        rows = sorted(self._rows.values(), key=lambda row: row.kind != TABLE)
        heads = sum(row.kind == TABLE for row in rows)
        for row in [*rows[:heads], Key("", TABLE, CHECK, _digest(rows)), *rows[heads:]]:
            writer.writerow((row.namespace, row.kind, row.original, row.code, row.image or "", row.mask or ""))
        return text.getvalue().encode("utf-8", "surrogateescape")


def location(keys: Path | None, out: Path) -> Path:
    """Where the key table of cohort `out` lies; ConfigError if that is inside the cohort or another artefact."""
    path = Path(keys) if keys else out.with_name(f"{out.name}.keys.csv")
    if path.resolve().is_relative_to(out.resolve()) or _holder(path) is not None:
        raise ConfigError(
            path,
            "would lie inside an artefact, and artefacts are shared",
            "Give --keys a file outside every artefact folder",
        )
    if path.is_dir():
        raise ConfigError(path, "is a folder, not a key table", "Give --keys a file name ending in .csv")
    return path


def _parse(path: Path) -> list[Key]:
    try:
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error:
        text, lines = "", []
    if not lines or tuple(lines[0]) != COLUMNS or any(len(line) != len(COLUMNS) for line in lines):
        raise IntegrityError(
            path, f"is not a key table with the columns {', '.join(COLUMNS)}", "Restore it from a copy"
        )
    rows = [
        Key(namespace, kind, original, code, Path(image) if image else None, Path(mask) if mask else None)
        for namespace, kind, original, code, image, mask in lines[1:]
    ]
    checks = [row.code for row in rows if (row.kind, row.original) == (TABLE, CHECK)]
    rows = [row for row in rows if (row.kind, row.original) != (TABLE, CHECK)]
    if checks and (checks != [_digest(rows)] or not text.endswith("\n")):
        raise IntegrityError(
            path, "was cut short, or its ids or codes were changed", "Restore the key table from a copy"
        )
    return rows


def _digest(rows: Iterable[Key]) -> str:
    """sha256 over ids and codes in their order; the table's own rows count, so that no patient can leave unseen."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(repr((row.namespace, row.kind, row.original, row.code)).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _holder(path: Path) -> Path | None:
    """The artefact that `path` lies in, if any."""
    return next((folder for folder in path.resolve().parents if (folder / "digests.json").is_file()), None)


def _require_outside(path: Path) -> None:
    if _holder(path) is not None:
        raise ConfigError(
            path,
            "is a key table inside an artefact, and artefacts are shared",
            "Move it out of that folder, and recall every copy of the folder that was given away",
        )


def _close_to_others(path: Path) -> None:
    mode = path.stat().st_mode & 0o777
    if mode & 0o077 == 0:
        return
    try:
        os.chmod(path, MODE)
    except PermissionError:
        raise ConfigError(path, "others can read this key table", "Let its owner run chmod 600 on it") from None
    print(f"warning: {path}: others could read this key table (mode {mode:o}); now only you can (600)", file=sys.stderr)


def _is_same(known: Path, new: Path) -> bool:
    return known == new.absolute() or (new.exists() and os.path.samefile(known, new))
