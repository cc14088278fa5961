"""Registered models: foundations and classifiers as versions of two names, told apart by the digest of their artefact.

    rnfm-foundation   version tags: digest, path, run_id, auc/<split>, ...
    rnfm-classifier   version tags: digest, path, run_id, foundation_digest, predictions, auc/<split>, ...

The artefact folder itself is uploaded to the run, so a version can be pulled by a machine that does not see `path`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from rnfm.core.artifact import Artifact
from rnfm.tracking.store import client

FOUNDATION = "rnfm-foundation"
CLASSIFIER = "rnfm-classifier"


def register(
    uri: str | None, name: str, artifact: Artifact, *, run_id: str | None, tags: Mapping[str, str] | None = None
) -> str:
    """Make `artifact` a version of the registered model `name`; the same digest keeps its version. Returns the version."""
    from mlflow.exceptions import MlflowException

    store = client(uri)
    with contextlib.suppress(MlflowException):  # it exists already
        store.create_registered_model(name)
    all_tags = {
        "digest": artifact.digest,
        "path": str(artifact.path.absolute()),
        "run_id": run_id or "",
        **(tags or {}),
    }
    for version in store.search_model_versions(f"name='{name}'"):
        if version.tags.get("digest") == artifact.digest:
            for key, value in all_tags.items():
                store.set_model_version_tag(name, version.version, key, value)
            return str(version.version)
    source = artifact.path.absolute().as_uri()
    if run_id:
        store.log_artifacts(run_id, str(artifact.path), artifact.kind)
        source = f"{store.get_run(run_id).info.artifact_uri}/{artifact.kind}"
    return str(store.create_model_version(name, source=source, run_id=run_id, tags=all_tags).version)
