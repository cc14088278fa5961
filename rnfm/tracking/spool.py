"""The spool: every event of a run as a JSON line on local disk before anything is sent, and how far it was sent.

    tracking-<token>.jsonl       {"op": "start" | "params" | "metrics" | "tags" | "files" | "end", ...}
    tracking-<token>.sent        {"sent": lines delivered, "run_id": ...}

Delivery is at least once; MLflow makes it exactly once, since a metric with the same key, step, time and value is one row.
"""

from __future__ import annotations

import fcntl
import json
import secrets
import time
from pathlib import Path
from typing import Any

from rnfm.core import files
from rnfm.tracking import store as stores
from rnfm.tracking.redact import redact


class Spool:
    """Append-only events of one run."""

    def __init__(self, folder: Path, token: str | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"tracking-{token or secrets.token_hex(4)}.jsonl"
        self.sent_path = self.path.with_suffix(".sent")
        self._held: Any = None

    @classmethod
    def at(cls, path: Path) -> Spool:
        return cls(path.parent, path.stem.removeprefix("tracking-"))

    def hold(self) -> bool:
        """Mark the spool as in use until this process ends or `remove` is called; False if another run holds it."""
        self._held = open(self.path, "a")  # noqa: SIM115 - the lock lives as long as the file is open
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._held.close()
            return False
        return True

    def append(self, event: dict[str, Any]) -> None:
        files.append_line(self.path, json.dumps(event))

    def pending(self) -> tuple[list[dict[str, Any]], int, str | None]:
        """(events not delivered yet, how many were, the run's id if it has one)."""
        sent, run_id = 0, None
        if self.sent_path.exists():
            state = json.loads(self.sent_path.read_text())
            sent, run_id = int(state["sent"]), state["run_id"]
        events = []
        for line in self.path.read_text().splitlines() if self.path.exists() else []:
            try:
                events.append(json.loads(line))
            except ValueError:
                break  # a torn last line: the process died while writing it
        return events[sent:], sent, run_id

    def mark(self, sent: int, run_id: str | None) -> None:
        files.write_json(self.sent_path, {"sent": sent, "run_id": run_id})

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self.sent_path.unlink(missing_ok=True)
        if self._held is not None:
            self._held.close()


class Delivery:
    """Sends events to one store, in order. The run's id is kept in `id_file` as soon as it is known."""

    def __init__(self, uri: str, run_id: str | None = None, id_file: Path | None = None) -> None:
        self.uri, self.run_id, self._id_file = uri, run_id, id_file
        self._client: Any = None

    def send(self, event: dict[str, Any]) -> None:
        """Deliver one event; raises whatever the store raises."""
        if self._client is None:
            self._client = stores.client(self.uri)
        getattr(self, "_" + event["op"])(event)

    def _start(self, event: dict[str, Any]) -> None:
        if self.run_id or event.get("run_id"):
            self.run_id = self.run_id or event["run_id"]
            self._client.update_run(self.run_id, status="RUNNING")
            self._remember()
            return
        experiment = stores.experiment(self._client, self.uri, event["experiment"])
        tags = {**event["tags"], "mlflow.runName": event["name"]}
        if event["parent_run_id"]:
            tags["mlflow.parentRunId"] = event["parent_run_id"]
        self.run_id = self._client.create_run(experiment, start_time=event["time_ms"], tags=tags).info.run_id
        self._remember()

    def _remember(self) -> None:
        if self._id_file is not None:
            files.write_json(self._id_file, {"uri": redact("uri", self.uri), "run_id": self.run_id})

    def _params(self, event: dict[str, Any]) -> None:
        from mlflow.entities import Param

        # A resumed run logs its parameters again; MLflow refuses changed values, which resume has checked already.
        known = self._client.get_run(self.run_id).data.params
        fresh = [Param(key, value[:6000]) for key, value in event["params"].items() if key not in known]
        for first in range(0, len(fresh), 100):
            self._client.log_batch(self.run_id, params=fresh[first : first + 100])

    def _metrics(self, event: dict[str, Any]) -> None:
        from mlflow.entities import Metric

        rows = [Metric(key, value, event["time_ms"], event["step"]) for key, value in event["metrics"].items()]
        self._client.log_batch(self.run_id, metrics=rows)

    def _tags(self, event: dict[str, Any]) -> None:
        for key, value in event["tags"].items():
            self._client.set_tag(self.run_id, key, value)

    def _files(self, event: dict[str, Any]) -> None:
        path = Path(event["path"])
        if path.is_dir():
            self._client.log_artifacts(self.run_id, str(path), event["folder"])
        elif path.exists():
            self._client.log_artifact(self.run_id, str(path), event["folder"])

    def _end(self, event: dict[str, Any]) -> None:
        self._client.set_terminated(self.run_id, status=event["status"], end_time=event["time_ms"])


def now_ms() -> int:
    return int(time.time() * 1000)
