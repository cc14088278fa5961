"""The split file as this room reads it: one row a patient, a role, and one fold a repeat."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from rnfm.core.artifact import Artifact
from rnfm.core.errors import DataError

ROLES = ("train", "holdout", "external")


@dataclass(frozen=True)
class Split:
    """A read split. `frame` is indexed by patient: `site`, `role`, `fold_0` ... (-1 outside train + holdout)."""

    path: Path
    frame: pd.DataFrame
    folds: int
    repeats: int
    digest: str

    def of(self, patients: Iterable[str]) -> pd.DataFrame:
        """The split's rows for `patients`, in their order. Raises DataError for patients it does not hold."""
        wanted = list(patients)
        missing = sorted(set(wanted) - set(self.frame.index))
        if missing:
            raise DataError(
                self.path,
                f"does not hold {len(missing)} of {len(set(wanted))} patients (first: {missing[0]})",
                "Give the split made from the same cohorts, or split again",
            )
        return self.frame.loc[wanted]


def read_split(path: Path) -> Split:
    """Read `split.parquet` of a split artefact. Raises DataError for a patient in two rows or an unknown role."""
    artifact = Artifact.open(path, "split", 1)
    artifact.require_intact(deep=True)  # a role changed by hand is found
    frame = pd.read_parquet(artifact.file("split.parquet"))
    twice = frame["patient"][frame["patient"].duplicated()]
    if len(twice):
        raise DataError(path, f"patient {twice.iloc[0]} stands in two rows, so in two folds", "Split the cohort again")
    strangers = sorted(set(frame["role"]) - set(ROLES))
    if strangers:
        raise DataError(path, f"role {strangers[0]!r} is none of {', '.join(ROLES)}", "Split the cohort again")
    repeats = sum(name.startswith("fold_") for name in frame.columns)
    folds = int(frame[[f"fold_{i}" for i in range(repeats)]].max().max()) + 1 if repeats else 0
    return Split(Path(path), frame.set_index("patient"), folds, repeats, artifact.digest)
