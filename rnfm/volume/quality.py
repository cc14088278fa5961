"""`rnfm data qc`: one page to look at a volume archive before anything is trained on it.

Top: counts, what was refused and why. Below: a card a scan (three planes through its largest lesion, outlined, or through
the middle of the head; grid, volumes, findings), those with findings first. The page is one file without any request to a host.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from rnfm.core import artifact
from rnfm.core.config import Config, Field, positional

KIND, VERSION = "qc", 1
METHOD = hashlib.sha256(b"qc page 1").hexdigest()  # the page has no settings; this names its making


class QcConfig(Config):
    """Draw every scan of a volume archive, with its mask, findings and refusals, on one page."""

    volumes: Path = positional("volume archive, written by `rnfm data prepare`")
    out: Path = Field(description="folder to write; the page is qc.html in it")
    overwrite: bool = Field(False, description="replace a page made of another archive")


@dataclass(frozen=True)
class QcResult:
    """The folder with the page, and the counts that it shows."""

    path: Path
    fresh: bool
    scans: int
    with_findings: int
    refused: int

    @property
    def page(self) -> Path:
        return self.path / "qc.html"

    def summary(self) -> str:
        """A few lines for people."""
        state = "" if self.fresh else " (up to date)"
        return (
            f"page: {self.page}{state}\n{self.scans} scans, {self.with_findings} with findings, {self.refused} refused\n"
            f"next: open {self.page} in a browser, then rnfm data shard"
        )


def qc(config: QcConfig) -> QcResult:
    """Run the stage. Raises ConfigError for paths, IntegrityError for a damaged archive."""
    from rnfm.volume.archive import VolumeArchive
    from rnfm.volume.page import page_of

    archive = VolumeArchive.open(config.volumes)
    inputs = {"volumes": archive.digest}
    counts = (len(archive.scans), len({entry.code for entry in archive.findings}), len(archive.refused))
    if artifact.current(config.out, KIND, METHOD, inputs) is not None:
        return QcResult(config.out, False, *counts)
    lineage = {"config_hash": METHOD, "inputs": inputs}
    with artifact.publish(config.out, KIND, VERSION, lineage=lineage, overwrite=config.overwrite) as draft:
        artifact.files.write_text(draft.path / "qc.html", page_of(archive))
    return QcResult(config.out, True, *counts)
