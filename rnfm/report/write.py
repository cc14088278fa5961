"""`rnfm report`: an evaluation, and what stands behind it, as one HTML file that needs nothing but itself.

report/  report.html      tables, figures, warnings, leakage statement, lineage
         figures/*.png    the same figures as files
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rnfm.core import artifact as artifacts
from rnfm.core import files
from rnfm.core.artifact import Artifact
from rnfm.core.config import Config, Field, positional
from rnfm.core.errors import ConfigError
from rnfm.core.run import RunFolder

KIND, VERSION = "report", 1
PAGE = "report.html"
TEMPLATE = Path(__file__).parent / "templates" / "report.html.j2"


class ReportConfig(Config):
    """Write the report of an evaluation: one self-contained HTML file and its figures."""

    evaluation: Path = positional("evaluation that rnfm evaluate wrote")
    predictions: list[Path] = Field([], description="the predictions it judged, to check that they are unchanged")
    foundation: Path | None = Field(None, description="foundation behind them: lineage, card, leakage statement")
    attention: list[Path] = Field([], description="attention artefacts of rnfm finetune, for the gallery")
    run: Path | None = Field(None, description="pre-training run folder, for the training curve")
    title: str = Field("Radiation necrosis or tumour progression", min_length=1, description="title of the page")
    note: str | None = Field(None, description="sentence shown above everything else, such as where the data come from")
    gallery: int = Field(12, ge=0, le=200, description="most lesions shown of each attention artefact")
    out: Path = Field(description="folder of the report to write")
    overwrite: bool = Field(False, description="replace a report made with other settings or inputs")


@dataclass(frozen=True)
class ReportResult:
    """`page` is the file to open."""

    path: Path
    warnings: tuple[str, ...]
    leak: bool
    fresh: bool = True

    @property
    def page(self) -> Path:
        return self.path / PAGE

    def summary(self) -> str:
        state = "written to" if self.fresh else "up to date at"
        size = self.page.stat().st_size / 1e6
        lines = [f"report {state} {self.page} ({size:.1f} MB, needs no network)"]
        lines += ["LEAK: the foundation saw test patients, see the report"] if self.leak else []
        lines += [f"{len(self.warnings)} warnings stand at its head"] if self.warnings else []
        return "\n".join([*lines, f"next: open {self.page}"])


@dataclass(frozen=True)
class Sources:
    """Everything a page is made from, opened and checked."""

    evaluation: Artifact
    predictions: tuple[Artifact, ...] = ()
    foundation: Artifact | None = None
    attention: tuple[Artifact, ...] = ()
    metrics: list[dict[str, Any]] | None = None
    inputs: dict[str, str] = field(default_factory=dict)


def write_report(config: ReportConfig) -> ReportResult:
    """Write the report artefact. Raises ConfigError or IntegrityError for a path that is not what it should be."""
    sources = open_sources(config)
    settings = {"title": config.title, "note": config.note, "gallery": config.gallery}
    config_hash = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    standing = artifacts.current(config.out, KIND, config_hash, sources.inputs)
    if standing is None:
        artifacts.require_free(config.out, config.overwrite)
        standing = _write(config, sources, config_hash)
        return _result(standing, fresh=True)
    return _result(standing, fresh=False)


def open_sources(config: ReportConfig) -> Sources:
    """Open every input before anything is drawn."""
    evaluation = Artifact.open(config.evaluation, kind="evaluation", version=1)
    predictions: tuple[Artifact, ...] = ()
    if config.predictions:
        from rnfm.report.gather import find

        predictions = tuple(find(config.predictions))
    foundation = Artifact.open(config.foundation, kind="foundation") if config.foundation else None
    attention = tuple(Artifact.open(path, kind="attention", version=1) for path in config.attention)
    inputs = {"evaluation": evaluation.digest}
    inputs |= {f"predictions_{n}": digest for n, digest in enumerate(sorted(a.digest for a in predictions))}
    inputs |= {"foundation": foundation.digest} if foundation else {}
    inputs |= {f"attention_{n}": artifact.digest for n, artifact in enumerate(attention)}
    rows = None
    if config.run is not None:
        log = config.run / "metrics.jsonl"
        if not log.is_file():
            raise ConfigError(
                config.run, "is no run folder (no metrics.jsonl)", "Give the folder that rnfm pretrain wrote"
            )
        rows = RunFolder(config.run).read_metrics()
        inputs["run"] = files.sha256(log)
    return Sources(evaluation, predictions, foundation, attention, rows, inputs)


def _write(config: ReportConfig, sources: Sources, config_hash: str) -> Artifact:
    from rnfm.report.page import build
    from rnfm.viz import render

    page = build(sources, title=config.title, note=config.note, gallery=config.gallery)
    contract = {"title": config.title, "warnings": page.warnings, "leak": page.leak}
    lineage = {"config_hash": config_hash, "inputs": sources.inputs}
    with artifacts.publish(
        config.out, KIND, VERSION, contract=contract, lineage=lineage, overwrite=config.overwrite
    ) as draft:
        (draft.path / "figures").mkdir()
        for picture in page.pictures:
            files.write_bytes(draft.path / "figures" / f"{picture.name}.png", picture.png)
        files.write_text(draft.path / PAGE, render(TEMPLATE, **page.facts))
    return Artifact.open(config.out, KIND, VERSION)


def _result(artifact: Artifact, *, fresh: bool) -> ReportResult:
    return ReportResult(artifact.path, tuple(artifact.contract["warnings"]), bool(artifact.contract["leak"]), fresh)
