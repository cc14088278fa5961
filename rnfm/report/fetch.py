"""Pulling: a registered artefact is copied here through the one publishing protocol, and must come out with its digest.

The folder named by the version's `path` is used where this machine has it, else what was uploaded to the tracking store.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from rnfm.core import artifact as artifacts
from rnfm.core.artifact import HEADS, Artifact
from rnfm.core.errors import ConfigError, IntegrityError, RnfmError
from rnfm.report.models import PullResult
from rnfm.report.registry import Version


def pull(version: Version, out: Path, *, overwrite: bool) -> PullResult:
    """Copy and verify. Raises IntegrityError if a byte differs from what was registered; `out` is then untouched."""
    if _stands(out, version.digest):
        return PullResult(out, version.kind, version.digest, fresh=False)
    artifacts.require_free(out, overwrite)
    local = version.local()
    if local is not None:
        _copy(version, local, out, overwrite)
    else:
        with tempfile.TemporaryDirectory(prefix="rnfm-pull-") as folder:
            _copy(version, _download(version, Path(folder)), out, overwrite)
    return PullResult(out, version.kind, version.digest)


def _stands(out: Path, digest: str) -> bool:
    try:
        there = Artifact.open(out)
    except (ConfigError, IntegrityError):
        return False
    return there.digest == digest and not there.verify(deep=True)


def _copy(version: Version, source: Path, out: Path, overwrite: bool) -> None:
    artifact = Artifact.open(source, kind=version.kind)
    artifact.require_intact(deep=True)
    if artifact.digest != version.digest:
        cause = f"holds {artifact.digest[:12]}, registered was {version.digest[:12]}"
        raise IntegrityError(source, cause, "Restore the registered artefact, or register this one")
    with artifacts.publish(
        out,
        artifact.kind,
        artifact.version,
        contract=artifact.contract,
        lineage=artifact.lineage,
        overwrite=overwrite,
    ) as draft:
        for name in artifact.files:
            if name not in HEADS:
                (draft.path / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source / name, draft.path / name)


def _download(version: Version, folder: Path) -> Path:
    from mlflow.artifacts import download_artifacts

    try:
        return Path(download_artifacts(artifact_uri=version.source, dst_path=str(folder)))
    except Exception as error:  # whatever the artefact store raises
        cause = f"its artefact is neither at its path nor in the tracking store ({type(error).__name__})"
        raise RnfmError(version, cause, "Copy the folder back to where it was registered") from error
