"""Find predictions, read them, and hold them against each other before anything is computed.

A path is a predictions artefact or a folder that holds one as `predictions/`. What several artefacts say must agree: one
label, patient and site a lesion, and no (method, split, fold, seed, lesion) twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from rnfm.core.artifact import Artifact
from rnfm.core.errors import ConfigError, DataError
from rnfm.downstream import predictions


@dataclass(frozen=True)
class Gathered:
    """All rows, the mean a (method, split, lesion) over seeds and repeats, and the artefacts they came from."""

    rows: pd.DataFrame
    pooled: pd.DataFrame
    artifacts: tuple[Artifact, ...]

    def inputs(self) -> dict[str, str]:
        """Roles for the lineage; the order in which paths were given does not matter."""
        digests = sorted({artifact.digest for artifact in self.artifacts})
        if len(digests) == 1:
            return {"predictions": digests[0]}
        return {f"predictions_{number}": digest for number, digest in enumerate(digests)}

    def test_patients(self) -> dict[str, list[str]]:
        """Codes of the patients judged, a split."""
        return {str(split): sorted(set(part["patient"])) for split, part in self.pooled.groupby("split")}


def find(paths: Sequence[Path]) -> list[Artifact]:
    """The predictions artefacts at `paths`, each once. Raises ConfigError naming a path that holds none."""
    if not paths:
        raise ConfigError("predictions", "no path was given", "Give what finetune, baseline or fuse wrote")
    found: dict[str, Artifact] = {}
    for path in paths:
        inner = path / "predictions"
        place = inner if inner.is_dir() and not (path / "digests.json").is_file() else path
        artifact = Artifact.open(place, predictions.KIND, predictions.VERSION)
        found.setdefault(artifact.digest, artifact)
    return list(found.values())


def gather(paths: Sequence[Path]) -> Gathered:
    """Read and cross-check. Raises ConfigError, IntegrityError (damage) or DataError (contradictions), each naming paths."""
    artifacts = find(paths)
    frames = [predictions.read(artifact.path) for artifact in artifacts]
    for frame, artifact in zip(frames, artifacts, strict=True):
        frame["source"] = str(artifact.path)
    rows = pd.concat(frames, ignore_index=True)
    _require_agreement(rows)
    return Gathered(rows, predictions.per_lesion(rows), tuple(artifacts))


def _require_agreement(rows: pd.DataFrame) -> None:
    twice = rows[rows.duplicated(predictions.KEY, keep=False)]
    if len(twice):
        method = twice["method"].iloc[0]
        places = " and ".join(sorted(set(twice.loc[twice["method"] == method, "source"]))[:2])
        cause = f"{method!r} predicts {twice['lesion'].nunique()} lesions twice for the same split, fold and seed"
        raise DataError(places, cause, "Give one of them, or another --seed or --method name to one")
    for column in ("label", "patient", "site"):
        differs = rows.groupby("lesion")[column].nunique()
        if (differs > 1).any():
            lesion = differs.index[differs > 1][0]
            places = " and ".join(sorted(set(rows.loc[rows["lesion"] == lesion, "source"]))[:2])
            cause = f"lesion {lesion} has two values of {column!r}"
            raise DataError(places, cause, "Make the predictions from one cohort and judge them again")
