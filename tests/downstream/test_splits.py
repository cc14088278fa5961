"""Reading a split: roles and folds as written; a patient in two folds is refused."""

from __future__ import annotations

import pandas as pd
import pytest

from rnfm.core import DataError, publish
from rnfm.downstream.splits import read_split


def write(path, rows):
    with publish(path, "split", 1, contract={}) as draft:
        frame = pd.DataFrame(rows, columns=["patient", "site", "role", "fold_0", "fold_1"])
        frame.to_parquet(draft.path / "split.parquet")
    return path


def test_folds_and_repeats_are_counted_and_rows_come_in_the_order_asked(tmp_path):
    path = write(
        tmp_path / "s", [("p", "A", "train", 0, 2), ("q", "A", "holdout", 1, 0), ("x", "B", "external", -1, -1)]
    )
    split = read_split(path)
    assert (split.folds, split.repeats) == (3, 2)
    assert split.of(["x", "p", "p"])["role"].tolist() == ["external", "train", "train"]


def test_a_patient_in_two_folds_is_refused(tmp_path):
    path = write(tmp_path / "s", [("p", "A", "train", 0, 0), ("p", "A", "train", 1, 1)])
    with pytest.raises(DataError) as caught:
        read_split(path)
    assert str(caught.value) == f"{path}: patient p stands in two rows, so in two folds. Split the cohort again."


def test_an_unknown_role_is_refused(tmp_path):
    path = write(tmp_path / "s", [("p", "A", "test", 0, 0)])
    with pytest.raises(DataError, match="role 'test' is none of train, holdout, external"):
        read_split(path)
