"""`rnfm track sync`: send what spools still hold, in order, each event once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rnfm.core.config import Config, Field, positional
from rnfm.core.errors import ConfigError, RnfmError


class SyncConfig(Config):
    """Deliver spooled tracking events to MLflow."""

    folder: Path = positional("folder to search for spools (a run folder, or anything above it)")
    uri: str | None = Field(
        None, description="tracking URI; default: MLFLOW_TRACKING_URI, else sqlite:///<working folder>/mlflow.db"
    )


@dataclass(frozen=True)
class SyncResult:
    path: Path
    spools: int
    events: int

    def summary(self) -> str:
        return f"{self.events} events of {self.spools} spools delivered from {self.path}"


def sync(config: SyncConfig) -> SyncResult:
    """Deliver every pending event below the folder. Raises RnfmError if the store is still away; nothing is lost."""
    from rnfm.tracking.spool import Delivery, Spool
    from rnfm.tracking.store import resolve

    if not config.folder.is_dir():
        raise ConfigError(config.folder, "no such folder", "Give a run folder or one above it")
    spools = events = 0
    for path in sorted(config.folder.rglob("tracking-*.jsonl")):
        spool = Spool.at(path)
        pending, sent, run_id = spool.pending()
        delivery = Delivery(resolve(config.uri), run_id)
        for event in pending:
            try:
                delivery.send(event)
            except Exception as error:
                cause = f"the tracking store does not answer ({type(error).__name__})"
                raise RnfmError(
                    resolve(config.uri), cause, "Start it, or give another --uri, and sync again"
                ) from error
            sent, events = sent + 1, events + 1
            spool.mark(sent, delivery.run_id)
        spools += bool(pending)
        spool.remove()
    return SyncResult(config.folder, spools, events)
