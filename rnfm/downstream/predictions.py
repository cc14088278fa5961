"""The one prediction format: what every method writes and every judge reads.

    patient  lesion         site  split    fold  seed  method        probability  label
    P-..A1   P-..A1-L1      A     holdout    -1     0  ssl_vit            0.8137      1
    P-..A1   P-..A1-L1      A     cv          3     0  ssl_vit            0.7790      1
    P-..F7   P-..F7-L2      B     external   -1     0  volume_only        0.4102      0

holdout   trained on role train, predicted on role holdout          fold -1
external  the same fitted model on role external                    fold -1
cv        out of fold over train + holdout                          fold = repeat * folds + fold

`probability` is that of label 1 (radiation necrosis). One row a (method, split, fold, seed, lesion), never two.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from rnfm.core import artifact as artifacts
from rnfm.core.artifact import Artifact
from rnfm.core.errors import DataError

KIND, VERSION, FILE = "predictions", 1, "predictions.parquet"
SPLITS = ("holdout", "external", "cv")
SCHEMA = pa.schema(
    [
        pa.field("patient", pa.string(), nullable=False),
        pa.field("lesion", pa.string(), nullable=False),
        pa.field("site", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("fold", pa.int16(), nullable=False),
        pa.field("seed", pa.int64(), nullable=False),
        pa.field("method", pa.string(), nullable=False),
        pa.field("probability", pa.float64(), nullable=False),
        pa.field("label", pa.int8(), nullable=False),
    ]
)
COLUMNS = tuple(SCHEMA.names)
KEY = ["method", "split", "fold", "seed", "lesion"]


def faults(frame: pd.DataFrame) -> list[str]:
    """Every way in which `frame` breaks the format, one phrase each."""
    if tuple(frame.columns) != COLUMNS:
        return [f"columns are {list(frame.columns)}, expected {list(COLUMNS)}"]
    if frame.empty:
        return ["there is no row"]
    found = [f"column {name!r} has empty values" for name in COLUMNS if frame[name].isna().any()]
    if found:
        return found
    strangers = sorted(set(frame["split"]) - set(SPLITS))
    if strangers:
        found.append(f"split {strangers[0]!r} is none of {', '.join(SPLITS)}")
    if not set(frame["label"]) <= {0, 1}:
        found.append("label is neither 0 nor 1")
    probability = frame["probability"].to_numpy(np.float64)
    if not ((probability >= 0) & (probability <= 1)).all():
        found.append("probability lies outside 0..1")
    if ((frame["split"] == "cv") != (frame["fold"] >= 0)).any():
        found.append("fold must be -1 outside cv, and 0 or more in it")
    if frame.duplicated(KEY).any():
        found.append("a lesion is predicted twice by one method, split, fold and seed")
    for column in ("label", "patient", "site"):
        if (frame.groupby("lesion")[column].nunique() > 1).any():
            found.append(f"a lesion has two values of {column!r}")
    return found


def write(
    path: Path,
    frame: pd.DataFrame,
    *,
    contract: Mapping[str, Any],
    lineage: Mapping[str, Any],
    overwrite: bool = False,
) -> Artifact:
    """Publish `frame` as a predictions artefact at `path`, rows in a fixed order. Raises DataError if it breaks the format."""
    _require_sound(path, frame)
    ordered = frame.sort_values(["method", "split", "seed", "fold", "lesion"], kind="stable")
    with artifacts.publish(path, KIND, VERSION, contract=contract, lineage=lineage, overwrite=overwrite) as draft:
        table = pa.Table.from_pandas(ordered, schema=SCHEMA, preserve_index=False)
        pq.write_table(table.replace_schema_metadata(None), draft.path / FILE)
    return Artifact.open(path, KIND, VERSION)


def read(path: Path) -> pd.DataFrame:
    """The rows of a predictions artefact. Raises ConfigError (not one), IntegrityError (damaged), DataError (format broken)."""
    artifact = Artifact.open(path, KIND, VERSION)
    frame = pd.read_parquet(artifact.file(FILE))
    _require_sound(path, frame)
    return frame


def per_lesion(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean probability a (method, split, lesion) over seeds and repeats: what metrics are computed on."""
    keys = ["method", "split", "patient", "lesion", "site", "label"]
    return frame.groupby(keys, sort=True)["probability"].mean().reset_index()


def aucs(frame: pd.DataFrame) -> dict[str, dict[str, float]]:
    """{method: {split: AUC}}; a split whose lesions are of one class has no AUC and is left out."""
    from rnfm.stats import auc

    found: dict[str, dict[str, float]] = {}
    for (method, split), group in per_lesion(frame).groupby(["method", "split"], sort=True):
        if group["label"].nunique() == 2:
            score = float(auc(group["label"].to_numpy(), group["probability"].to_numpy()))
            found.setdefault(str(method), {})[str(split)] = score
    return found


def _require_sound(path: Path, frame: pd.DataFrame) -> None:
    found = faults(frame)
    if found:
        raise DataError(path, f"is no sound table of predictions ({'; '.join(found)})", "Write it with rnfm.downstream")
