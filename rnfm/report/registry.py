"""Registered versions as plain objects: found by name, alias or digest, shown as text.

What a version's tags mean stands in `rnfm.tracking.registry`; `rnfm.report.record` writes the AUCs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rnfm import tracking
from rnfm.core.artifact import Artifact
from rnfm.core.errors import ConfigError, RnfmError, nearest
from rnfm.report import judge, table

if TYPE_CHECKING:
    from mlflow import MlflowClient

NAMES = {"foundation": tracking.FOUNDATION, "classifier": tracking.CLASSIFIER}
_MODEL = re.compile(r"(?P<kind>[a-z-]*)(?:/(?P<version>\d+)|@(?P<alias>[a-z][a-z0-9_-]*))")
_DIGEST = re.compile(r"[0-9a-f]{8,64}")


@dataclass(frozen=True)
class Store:
    """An open registry and its address."""

    client: MlflowClient
    uri: str

    def versions(self, kind: str) -> list[Version]:
        """All versions of a kind, the oldest first."""
        name = NAMES[kind]
        aliases: dict[str, list[str]] = {}
        for model in self.client.search_registered_models(f"name='{name}'"):
            for alias, number in model.aliases.items():
                aliases.setdefault(str(number), []).append(alias)
        found = self.client.search_model_versions(f"name='{name}'", max_results=10_000)
        return [
            Version(
                kind, name, str(v.version), tuple(sorted(aliases.get(str(v.version), ()))), dict(v.tags), v.source or ""
            )
            for v in sorted(found, key=lambda v: int(v.version))
        ]


@dataclass(frozen=True)
class Version:
    """One version of a registered model."""

    kind: str
    name: str
    number: str
    aliases: tuple[str, ...]
    tags: dict[str, str]
    source: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.number}"

    @property
    def digest(self) -> str:
        return self.tags.get("digest", "")

    def local(self) -> Path | None:
        """The artefact's folder, if this machine has it."""
        path = Path(self.tags.get("path", ""))
        return path if self.tags.get("path") and (path / "digests.json").is_file() else None

    def artifact(self) -> Artifact | None:
        """The artefact, if it is here and still is the one that was registered."""
        path = self.local()
        found = Artifact.open(path) if path else None
        return found if found and found.digest == self.digest else None

    def auc(self, split: str) -> str:
        values = [float(self.tags.get(f"{key}/{split}", "nan")) for key in ("auc", "auc_low", "auc_high")]
        return table.interval(*values)

    def lines(self) -> list[str]:
        """Everything known, one fact a line."""
        rows = [
            ("model", f"{self.name} version {self.number}"),
            ("aliases", ", ".join(self.aliases) or "none"),
            *((f"AUC, {split}", self.auc(split)) for split in judge.SPLITS),
            *sorted((key, value) for key, value in self.tags.items() if not key.startswith("auc")),
            ("on this machine", "yes" if self.artifact() else "no, or changed since (rnfm models pull fetches it)"),
        ]
        return table.columns(rows)


def open_store(uri: str | None) -> Store:
    """Raises RnfmError if the store does not answer."""
    address = tracking.resolve(uri)
    try:
        return Store(tracking.client(uri), address)
    except Exception as error:  # a database, a server or MLflow itself may raise anything
        cause = f"the model registry does not answer ({type(error).__name__})"
        raise RnfmError(address.rsplit("@", 1)[-1], cause, "Start it, or give another --tracking") from error


def find(store: Store, reference: str) -> Version:
    """The version that `reference` names. Raises ConfigError saying what there is."""
    every = [version for kind in NAMES for version in store.versions(kind)]
    if _DIGEST.fullmatch(reference):
        matches = [version for version in every if version.digest.startswith(reference)]
    elif parsed := _MODEL.fullmatch(reference):
        kind = parsed["kind"].removeprefix("rnfm-") or "classifier"
        if kind not in NAMES:
            raise ConfigError(
                reference, f"{kind!r} is no kind of model{nearest(kind, NAMES)}", f"Use one of {', '.join(NAMES)}"
            )
        matches = [
            version
            for version in every
            if version.kind == kind and (version.number == parsed["version"] or parsed["alias"] in version.aliases)
        ]
    else:
        raise ConfigError(
            reference, "does not name a model", f"Write {', '.join(('classifier/3', '@champion'))} or a digest"
        )
    if len(matches) != 1:
        known = ", ".join(f"{version}{''.join(f' @{alias}' for alias in version.aliases)}" for version in every[-6:])
        cause = "no such model is registered" if not matches else f"fits {len(matches)} models"
        raise ConfigError(
            reference, cause, f"Registered are: {known}" if known else "Run finetune or pretrain with tracking on"
        )
    return matches[0]


def listing(store: Store, kind: str) -> list[str]:
    """The table of `rnfm models list`."""
    rows = [["model", "alias", "digest", "on foundation", "method", *(f"AUC {split}" for split in judge.SPLITS)]]
    for version in (version for name in NAMES if kind in ("all", name) for version in store.versions(name)):
        foundation = version.tags.get("foundation_digest", "")[:12] or table.NOTHING
        rows.append(
            [
                str(version),
                " ".join(f"@{alias}" for alias in version.aliases) or table.NOTHING,
                version.digest[:12],
                foundation if version.kind == "classifier" else "",
                version.tags.get("method", table.NOTHING),
                *(version.auc(split) for split in judge.SPLITS),
            ]
        )
    if len(rows) == 1:
        return [f"no model is registered in {store.uri.rsplit('@', 1)[-1]}"]
    return [*table.columns(rows), "next: rnfm models compare A B, then rnfm models promote MODEL"]
