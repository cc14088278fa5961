"""The MLflow store: which one, its schema made once under a lock, and clients that give up soon.

A new SQLite file that several processes open at once is left unusable by MLflow's own migration (all of them fail on
`_alembic_tmp_metrics`); so the first of them makes the schema under a file lock and the others wait. File stores are
refused by MLflow since 3.13.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from rnfm.core import files

if TYPE_CHECKING:
    from mlflow import MlflowClient

# The default client retries a dead server for four minutes in one call; nothing here may wait that long.
_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "GIT_PYTHON_REFRESH": "quiet",
}


def resolve(uri: str | None = None) -> str:
    """The tracking URI in force: explicit, else MLFLOW_TRACKING_URI, else a SQLite file in the working folder."""
    return uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path.cwd() / 'mlflow.db'}"


def client(uri: str | None = None) -> MlflowClient:
    """A client of the store, which is made first if it is a SQLite file that is not there yet."""
    import logging

    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    uri = resolve(uri)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    if uri.startswith("sqlite:///"):
        database = Path(uri.removeprefix("sqlite:///"))
        with files.locked(database.with_name(database.name + ".lock")):
            ready = MlflowClient(tracking_uri=uri, registry_uri=uri)
            ready.search_experiments(max_results=1)  # makes or checks the schema
        return ready
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def experiment(store: MlflowClient, uri: str, name: str) -> str:
    """The id of the experiment `name`, made if it is missing; two processes that make it at once both get it."""
    from mlflow.exceptions import MlflowException

    found = store.get_experiment_by_name(name)
    if found is not None:
        return found.experiment_id
    location = None
    if uri.startswith("sqlite:///"):  # else MLflow puts them under whatever the working folder happens to be
        database = Path(uri.removeprefix("sqlite:///"))
        location = (database.parent / "mlartifacts" / name.replace("/", "-")).absolute().as_uri()
    try:
        return store.create_experiment(name, artifact_location=location)
    except MlflowException:
        found = store.get_experiment_by_name(name)
        if found is None:
            raise
        return found.experiment_id
