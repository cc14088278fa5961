"""`rnfm data qc`: one page to look at a volume archive before anything is trained on it.

    volumes --look at each scan, in any number of processes--> facts, pictures, intensities --> qc.html

The page is one file without any request to a host (rnfm.volume.page says what is on it). Its size is bounded: the more scans, the smaller
their pictures, so that a thousand scans still open at once.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from rnfm.core import artifact
from rnfm.core.config import Config, Field, positional

KIND, VERSION = "qc", 1
METHOD = 2  # raised when the same archive gives another page


class QcConfig(Config):
    """Draw every scan of a volume archive, with its mask, findings and refusals, on one page."""

    volumes: Path = positional("volume archive, written by `rnfm data prepare`")
    out: Path = Field(description="folder to write; the page is qc.html in it")
    picture_mb: float = Field(
        24.0,
        gt=0,
        le=2000,
        description="what all pictures together may add to the page, about; the more scans, the smaller each [MB]",
    )
    workers: int = Field(1, ge=1, le=256, description="processes that draw scans; changes no byte of the page")
    overwrite: bool = Field(False, description="replace a page made of another archive")

    def result_hash(self) -> str:
        """Hash of what changes the page, beside the archive."""
        return hashlib.sha256(f"qc page {METHOD}, {self.picture_mb} MB".encode()).hexdigest()


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
            f"page: {self.page}{state}, {self.page.stat().st_size / 1e6:.1f} MB\n"
            f"{self.scans} scans, {self.with_findings} with findings, {self.refused} refused\n"
            f"next: open {self.page} in a browser, then rnfm data shard"
        )


def qc(config: QcConfig) -> QcResult:
    """Run the stage. Raises ConfigError for paths, IntegrityError for a damaged archive, DataError if a worker dies."""
    from rnfm.core.progress import track
    from rnfm.volume.archive import VolumeArchive
    from rnfm.volume.look import looks
    from rnfm.volume.page import page_of, side_of

    archive = VolumeArchive.open(config.volumes)
    inputs = {"volumes": archive.digest}
    scans = len(archive.scans)
    counts = (scans, len({entry.code for entry in archive.findings}), len(archive.refused))
    if artifact.current(config.out, KIND, config.result_hash(), inputs) is not None:
        return QcResult(config.out, False, *counts)
    artifact.require_free(config.out, config.overwrite)  # before the work, not after it
    lineage = {"config_hash": config.result_hash(), "inputs": inputs}
    side_px = side_of(scans, config.picture_mb)
    with looks(archive, side_px=side_px, workers=config.workers) as seen:
        page = page_of(
            track(seen, scans, "qc"),
            refused=archive.refused,
            findings=archive.findings,
            contract=archive.contract,
            digest=archive.digest,
        )
    with artifact.publish(config.out, KIND, VERSION, lineage=lineage, overwrite=config.overwrite) as draft:
        artifact.files.write_text(draft.path / "qc.html", page)
    return QcResult(config.out, True, *counts)
