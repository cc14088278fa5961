"""The common prediction format: exact columns and types on disk, each breach named, metrics on lesion means."""

from __future__ import annotations

import pandas as pd
import pyarrow.parquet as pq
import pytest

from rnfm.core import ConfigError, DataError, publish
from rnfm.downstream import predictions

ROWS = [
    ("P-1", "P-1-L1", "A", "holdout", -1, 0, "m", 0.8, 1),
    ("P-2", "P-2-L1", "A", "holdout", -1, 0, "m", 0.3, 0),
    ("P-3", "P-3-L1", "B", "external", -1, 0, "m", 0.4, 1),
    ("P-1", "P-1-L1", "A", "cv", 0, 0, "m", 0.2, 1),
    ("P-2", "P-2-L1", "A", "cv", 1, 0, "m", 0.6, 0),
    ("P-1", "P-1-L1", "A", "cv", 0, 1, "m", 0.9, 1),
    ("P-2", "P-2-L1", "A", "cv", 1, 1, "m", 0.4, 0),
]
HEADS = {"contract": {}, "lineage": {"config_hash": "h", "inputs": {}}}


def frame(**changes) -> pd.DataFrame:
    return pd.DataFrame(ROWS, columns=list(predictions.COLUMNS)).assign(**changes)


def test_what_is_written_has_exactly_the_columns_and_types_of_the_contract(tmp_path):
    predictions.write(tmp_path / "p", frame(), **HEADS)
    schema = pq.read_schema(tmp_path / "p" / "predictions.parquet")
    assert list(zip(schema.names, map(str, schema.types), strict=True)) == [
        ("patient", "string"),
        ("lesion", "string"),
        ("site", "string"),
        ("split", "string"),
        ("fold", "int16"),
        ("seed", "int64"),
        ("method", "string"),
        ("probability", "double"),
        ("label", "int8"),
    ]


def test_rows_come_back_in_one_order_whatever_order_they_were_given_in(tmp_path):
    first = predictions.write(tmp_path / "a", frame(), **HEADS)
    second = predictions.write(tmp_path / "b", frame().iloc[::-1], **HEADS)
    assert first.digest == second.digest
    assert set(map(tuple, predictions.read(tmp_path / "a").itertuples(index=False))) == set(ROWS)


@pytest.mark.parametrize(
    ("broken", "phrase"),
    [
        (frame().drop(columns="seed"), "columns are ['patient', 'lesion', 'site', 'split', 'fold', 'method'"),
        (frame()[list(reversed(predictions.COLUMNS))], "columns are ['label'"),
        (frame().iloc[:0], "there is no row"),
        (frame(site=None), "column 'site' has empty values"),
        (frame(split="test"), "split 'test' is none of holdout, external, cv"),
        (frame(label=2), "label is neither 0 nor 1"),
        (frame(probability=1.2), "probability lies outside 0..1"),
        (frame(fold=0), "fold must be -1 outside cv"),
        (pd.concat([frame(), frame().iloc[:1]]), "a lesion is predicted twice"),
        (frame(label=[0, 0, 1, 1, 0, 1, 0]), "a lesion has two values of 'label'"),
        (frame(patient=["P-9", "P-2", "P-3", "P-1", "P-2", "P-1", "P-2"]), "a lesion has two values of 'patient'"),
    ],
)
def test_each_breach_is_named_and_nothing_is_written(tmp_path, broken, phrase):
    with pytest.raises(DataError) as caught:
        predictions.write(tmp_path / "p", broken, **HEADS)
    assert phrase in str(caught.value)
    assert not (tmp_path / "p").exists()


def test_metrics_average_seeds_a_lesion_and_leave_out_a_split_of_one_class():
    found = predictions.per_lesion(frame()).set_index(["split", "lesion"])["probability"]
    assert found["cv", "P-1-L1"] == pytest.approx(0.55)
    assert found["cv", "P-2-L1"] == pytest.approx(0.5)
    assert predictions.aucs(frame()) == {"m": {"cv": 1.0, "holdout": 1.0}}


def test_another_artefact_is_refused(tmp_path):
    with publish(tmp_path / "x", "split", 1):
        pass
    with pytest.raises(ConfigError, match="is of kind split, not predictions"):
        predictions.read(tmp_path / "x")
