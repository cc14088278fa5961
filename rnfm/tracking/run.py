"""One tracked run. Calls return at once and never raise: events go to the local spool and a thread delivers them.

    with start(config.tracking, stage="pretrain", name="mae", params=config.as_dict(), folder=run.path) as tracked:
        tracked.log_metrics({"train/loss": 0.3}, step=10)

If the store is away, the run goes on; what was not delivered stays in the spool and `rnfm track sync FOLDER` sends it.
"""

from __future__ import annotations

import contextlib
import json
import math
import queue
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rnfm.core.artifact import code_revision
from rnfm.core.run import environment_facts
from rnfm.tracking.config import TrackingConfig
from rnfm.tracking.redact import flatten, redact
from rnfm.tracking.spool import Delivery, Spool, now_ms
from rnfm.tracking.store import resolve

RETRY_AFTER_S = 20.0
CLOSE_WITHIN_S = 60.0
ID_FILE = "mlflow.json"


class Run:
    """A handle on a tracked run; `None`-like when tracking is off or this is not rank 0 (nothing is recorded)."""

    def __init__(
        self, uri: str | None, spool: Spool | None, run_id: str | None = None, folder: Path | None = None
    ) -> None:
        self.uri, self._spool = uri, spool
        self._queue: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._known = threading.Event()
        self._thread: threading.Thread | None = None
        self.failure: str | None = None
        if uri is not None and spool is not None:
            spool.hold()
            self._leftovers = leftovers(folder) if folder is not None else []
            self._delivery = Delivery(uri, run_id, folder / ID_FILE if folder is not None else None)
            self._thread = threading.Thread(target=self._deliver, name="rnfm-tracking", daemon=True)
            self._thread.start()

    @property
    def id(self) -> str | None:
        """The run's id; waits for the store (at most CLOSE_WITHIN_S), None if it is away or tracking is off."""
        if self._thread is None:
            return None
        self._known.wait(CLOSE_WITHIN_S)
        return self._delivery.run_id

    def peek_id(self) -> str | None:
        """The run's id if it is known by now; never waits."""
        return self._delivery.run_id if self._thread is not None else None

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Numbers of one step. NaN and infinities are left out (a database may refuse them; metrics.jsonl has them)."""
        finite = {key: float(value) for key, value in metrics.items() if math.isfinite(value)}
        self._emit({"op": "metrics", "metrics": finite, "step": step, "time_ms": now_ms()})

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        self._emit({"op": "tags", "tags": {key: redact(key, value) for key, value in tags.items()}})

    def log_params(self, params: Mapping[str, Any]) -> None:
        self._emit({"op": "params", "params": flatten(dict(params))})

    def log_files(self, path: Path, folder: str | None = None) -> None:
        """Upload a file or a folder's content; `folder` is the place inside the run's artefacts."""
        self._emit({"op": "files", "path": str(Path(path).absolute()), "folder": folder})

    def close(self, status: str = "FINISHED") -> None:
        """End the run; waits at most CLOSE_WITHIN_S for what is still to be delivered."""
        if self._thread is None or self._spool is None:
            return
        self._emit({"op": "end", "status": status, "time_ms": now_ms()})
        self._queue.put(None)
        self._thread.join(CLOSE_WITHIN_S)
        if not self._thread.is_alive() and not self._spool.pending()[0]:
            self._spool.remove()

    def _emit(self, event: dict[str, Any]) -> None:
        if self._spool is None:
            return
        try:
            self._spool.append(event)
        except OSError as error:  # a full disk must not end a training run
            self.failure = f"spool: {error}"
        self._queue.put(event)

    def _deliver(self) -> None:
        """Send events in order. A failed one is tried again after a while; on closing, once more and no longer."""
        assert self._spool is not None
        self._deliver_leftovers()
        sent, away_since = self._spool.pending()[1], None
        waiting: list[dict[str, Any]] = []
        closing = False
        while not (closing and not waiting):
            if not waiting:
                event = self._queue.get()
                closing = event is None
                waiting += [event] if event is not None else []
            if away_since is not None and time.monotonic() - away_since < RETRY_AFTER_S and not closing:
                closing = self._drain(waiting, timeout=1.0)
                continue
            if not waiting:
                break
            try:
                self._delivery.send(waiting[0])
                waiting.pop(0)
                sent, away_since, self.failure = sent + 1, None, None
                if self._queue.empty() or sent % 50 == 0:
                    self._spool.mark(sent, self._delivery.run_id)
            except Exception as error:
                self.failure, away_since = f"{type(error).__name__}: {str(error)[:200]}", time.monotonic()
                if closing:
                    break
            self._known.set()
        self._known.set()
        with contextlib.suppress(OSError):
            self._spool.mark(sent, self._delivery.run_id)

    def _deliver_leftovers(self) -> None:
        """First what an earlier start of this run could not send (it was killed, or the store was away)."""
        for spool in self._leftovers:
            pending, sent, run_id = spool.pending()
            earlier = Delivery(self._delivery.uri, run_id or self._delivery.run_id)
            try:
                for event in pending:
                    earlier.send(event)
                    sent += 1
                    spool.mark(sent, earlier.run_id)
            except Exception as error:
                self.failure = f"{type(error).__name__}: {str(error)[:200]}"
                return
            self._delivery.run_id = self._delivery.run_id or earlier.run_id
            spool.remove()

    def _drain(self, waiting: list[dict[str, Any]], timeout: float) -> bool:
        """Move queued events to `waiting`; True when the run is closing."""
        with contextlib.suppress(queue.Empty):
            event = self._queue.get(timeout=timeout)
            if event is None:
                return True
            waiting.append(event)
        return False


def known_id(folder: Path) -> str | None:
    """The id of the run that an earlier start in this folder recorded, if it got one."""
    try:
        return json.loads((folder / ID_FILE).read_text())["run_id"]
    except (OSError, ValueError, KeyError):
        return None


def leftovers(folder: Path) -> list[Spool]:
    """Spools of runs that are no longer alive, held from now on by this one."""
    spools = [Spool.at(path) for path in sorted(folder.glob("tracking-*.jsonl"))]
    return [spool for spool in spools if spool.hold()]


@contextlib.contextmanager
def start(
    config: TrackingConfig,
    *,
    stage: str,
    name: str,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, Any] | None = None,
    folder: Path | None = None,
    run_id: str | None = None,
    parent_run_id: str | None = None,
    rank: int = 0,
) -> Iterator[Run]:
    """A run of the experiment `rnfm/<stage>`; with `run_id` an earlier one is continued. Only rank 0 records.

    The spool lies in `folder` (a run folder), else in `.rnfm-spool` of the working folder until it is delivered.
    """
    if not config.enabled or rank != 0:
        yield Run(None, None)
        return
    run = Run(resolve(config.uri), Spool(folder or Path(".rnfm-spool")), run_id, folder)
    facts = environment_facts()
    head = {"stage": stage, "git_revision": code_revision(), "torch": facts["versions"]["torch"], **(tags or {})}
    run._emit(
        {
            "op": "start",
            "experiment": f"rnfm/{stage}",
            "name": name,
            "tags": {key: redact(key, value) for key, value in head.items()},
            "parent_run_id": parent_run_id or config.parent_run_id,
            "run_id": run_id,
            "time_ms": now_ms(),
        }
    )
    if params:
        run.log_params(params)
    status = "FAILED"
    try:
        yield run
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        run.close(status)
