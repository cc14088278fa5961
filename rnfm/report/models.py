"""`rnfm models`: from registered versions to the one that is used.

A model is named `foundation/3`, `classifier/7`, `classifier@champion`, `@champion` (a classifier), or by the first eight or
more characters of its artefact's digest.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rnfm.core.config import Config, Field, positional

if TYPE_CHECKING:
    from rnfm.report.choose import Comparison

URI = "MLflow tracking URI; none: MLFLOW_TRACKING_URI, else sqlite:///<working folder>/mlflow.db"
REFERENCE = "a model: foundation/3, classifier@champion, @champion, or the start of a digest"


class ModelsListConfig(Config):
    """List registered models with their AUCs."""

    kind: Literal["all", "foundation", "classifier"] = Field("all", description="which registered models")
    tracking: str | None = Field(None, description=URI)


class ModelsShowConfig(Config):
    """Show one registered version."""

    model: str = positional(REFERENCE)
    tracking: str | None = Field(None, description=URI)


class CompareConfig(Config):
    """Compare two registered versions on their stored predictions (paired DeLong)."""

    a: str = positional(REFERENCE)
    b: str = positional(REFERENCE)
    tracking: str | None = Field(None, description=URI)


class PromoteConfig(Config):
    """Give a version an alias, after comparing it with the version that has it."""

    model: str = positional(REFERENCE)
    alias: str = Field("champion", pattern=r"^[a-z][a-z0-9_-]*$", description="alias to move")
    because: str | None = Field(
        None, min_length=3, description="reason to promote a version that is worse, or whose comparison cannot be made"
    )
    tracking: str | None = Field(None, description=URI)


class PullConfig(Config):
    """Fetch the artefact of a registered version and verify it."""

    model: str = positional(REFERENCE)
    out: Path = Field(description="folder to write the artefact to")
    overwrite: bool = Field(False, description="replace another artefact at `out`")
    tracking: str | None = Field(None, description=URI)


@dataclass(frozen=True)
class TextResult:
    """Lines to read; `path` is the artefact they speak of, if it is on this machine."""

    lines: tuple[str, ...]
    path: Path | None = None

    def summary(self) -> str:
        return "\n".join(self.lines)


@dataclass(frozen=True)
class CompareResult:
    """Two versions on the lesions both judged."""

    comparison: Comparison
    path: Path | None = None

    def summary(self) -> str:
        return "\n".join([*self.comparison.lines(), "next: rnfm models promote MODEL"])


@dataclass(frozen=True)
class PromoteResult:
    """What moved, and what was known when it did."""

    name: str
    version: str
    alias: str
    replaced: str | None
    lines: tuple[str, ...]
    path: Path | None = None

    def summary(self) -> str:
        moved = f"{self.name} version {self.version} is now @{self.alias}"
        before = f" (before: version {self.replaced})" if self.replaced else ""
        return "\n".join([*self.lines, moved + before, f"next: rnfm models pull {self.name}@{self.alias} --out model"])


@dataclass(frozen=True)
class PullResult:
    """Where the verified artefact stands."""

    path: Path
    kind: str
    digest: str
    fresh: bool = True

    def summary(self) -> str:
        state = "verified and written to" if self.fresh else "up to date at"
        use = f"predict SCAN --mask MASK --classifier {self.path}"
        if self.kind == "foundation":
            use = f"embed {self.path} --volumes VOLUMES --out embeddings"
        return f"{self.kind} {self.digest[:12]} {state} {self.path}\nnext: rnfm {use}"


def list_models(config: ModelsListConfig) -> TextResult:
    """Every version with its alias, foundation and AUCs a split."""
    from rnfm.report import registry

    return TextResult(tuple(registry.listing(registry.open_store(config.tracking), config.kind)))


def show_model(config: ModelsShowConfig) -> TextResult:
    """All that is known of one version. Raises ConfigError for a model that does not exist."""
    from rnfm.report import registry

    version = registry.find(registry.open_store(config.tracking), config.model)
    return TextResult(tuple(version.lines()), version.local())


def compare(config: CompareConfig) -> CompareResult:
    """Paired DeLong on the stored predictions: external split, else hold-out, else cross-validation."""
    from rnfm.report import choose, registry

    store = registry.open_store(config.tracking)
    return CompareResult(choose.compare(registry.find(store, config.a), registry.find(store, config.b)))


def promote(config: PromoteConfig) -> PromoteResult:
    """Move the alias. Raises DataError on a leak, and on a worse or unknown result without `because`."""
    from rnfm.report import choose, registry

    store = registry.open_store(config.tracking)
    return choose.promote(store, registry.find(store, config.model), alias=config.alias, because=config.because)


def pull(config: PullConfig) -> PullResult:
    """Copy the artefact here, checked byte by byte against the registered digest. Raises IntegrityError if it differs."""
    from rnfm.report import fetch, registry

    version = registry.find(registry.open_store(config.tracking), config.model)
    return fetch.pull(version, config.out, overwrite=config.overwrite)
