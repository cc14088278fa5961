"""Who learns from whom. The leaky twins: what a careless method would do is refused, wherever it reaches from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnfm.core import ConfigError, DataError
from rnfm.downstream import protocol
from rnfm.downstream.protocol import Fit, Guarded, LeakageError
from rnfm.downstream.splits import Split


def split_of(rows: list[tuple[str, str, int]], folds: int = 2) -> Split:
    frame = pd.DataFrame(rows, columns=["patient", "role", "fold_0"]).assign(site="A").set_index("patient")
    return Split(Path("split"), frame, folds, 1, "digest")


def table_of(rows: list[tuple[str, int]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["patient", "label"])
    return frame.assign(lesion=[f"{patient}-L{i}" for i, patient in enumerate(frame["patient"])], site="A")


SPLIT = split_of(
    [("p", "train", 0), ("q", "train", 1), ("r", "holdout", 0), ("s", "holdout", 1), ("x", "external", -1)]
)
TABLE = table_of([("p", 0), ("p", 1), ("q", 1), ("q", 0), ("r", 0), ("s", 1), ("x", 1)])


def test_the_fits_of_a_small_table_by_hand():
    found = [
        (fit.protocol, fit.fold, fit.train_rows.tolist(), fit.test_rows.tolist(), fit.test_split)
        for fit in protocol.plan(TABLE, SPLIT, ["holdout", "cv", "inner"])
    ]
    assert found == [
        ("holdout", -1, [0, 1, 2, 3], [4, 5, 6], ("holdout", "holdout", "external")),
        ("cv", 0, [2, 3, 5], [0, 1, 4], ("cv", "cv", "cv")),
        ("cv", 1, [0, 1, 4], [2, 3, 5], ("cv", "cv", "cv")),
        ("inner", 0, [2, 3], [0, 1], ("inner", "inner")),
        ("inner", 1, [0, 1], [2, 3], ("inner", "inner")),
    ]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_in_any_plan_no_patient_is_on_both_sides_and_cv_predicts_each_lesion_once(data):
    patients = [f"p{i}" for i in range(data.draw(st.integers(6, 20)))]
    roles = data.draw(st.lists(st.sampled_from(protocol_roles()), min_size=len(patients), max_size=len(patients)))
    folds = data.draw(st.lists(st.integers(0, 2), min_size=len(patients), max_size=len(patients)))
    rows = [(p, r, -1 if r == "external" else f) for p, r, f in zip(patients, roles, folds, strict=True)]
    lesions = data.draw(st.lists(st.tuples(st.sampled_from(patients), st.integers(0, 1)), min_size=8, max_size=40))
    table = table_of(lesions)
    try:
        fits = protocol.plan(table, split_of(rows, folds=3), ["holdout", "cv", "inner"])
    except DataError:
        return  # one class only in a training part, or nothing to predict: refused with a sentence
    role = dict(zip(patients, roles, strict=True))
    for fit in fits:
        learn, judge = set(table["patient"].iloc[fit.train_rows]), set(table["patient"].iloc[fit.test_rows])
        assert not learn & judge
        assert {role[patient] for patient in learn} <= ({"train", "holdout"} if fit.protocol == "cv" else {"train"})
    tested = np.sort(np.concatenate([fit.test_rows for fit in fits if fit.protocol == "cv"]))
    assert tested.tolist() == [i for i, patient in enumerate(table["patient"]) if role[patient] != "external"]


def protocol_roles() -> tuple[str, ...]:
    return ("train", "train", "holdout", "external")


@pytest.mark.parametrize(
    ("table", "split", "sentence"),
    [
        (
            table_of([("p", 0), ("q", 0), ("r", 1)]),
            SPLIT,
            "holdout: its training part holds only label 0. Label both classes, or split with fewer folds.",
        ),
        (
            table_of([("p", 0), ("q", 1)]),
            SPLIT,
            "holdout: there is no labelled lesion to predict. Split again, or leave this protocol out.",
        ),
        (
            table_of([("p", 0), ("z", 1)]),
            SPLIT,
            "split: does not hold 1 of 2 patients (first: z). Give the split made from the same cohorts, or split again.",
        ),
    ],
)
def test_what_cannot_be_learned_is_refused_before_any_fit(table, split, sentence):
    with pytest.raises(DataError) as caught:
        protocol.plan(table, split, ["holdout"])
    assert str(caught.value) == sentence


def test_an_unknown_protocol_is_refused():
    with pytest.raises(ConfigError, match="'loocv' is not known"):
        protocol.plan(TABLE, SPLIT, ["loocv"])


FIT = Fit("holdout", -1, np.array([0, 1, 2, 3]), np.array([4, 5, 6]), ("holdout",) * 3)


def guarded() -> Guarded[np.ndarray]:
    return Guarded(list(TABLE["patient"]), lambda rows: rows * 10)


def test_the_guard_hands_out_training_rows_then_test_rows():
    seen = []

    def learn(rows, fit):
        seen.append(rows.tolist())
        return lambda test: (seen.append(test.tolist()), np.full(len(test), 0.5))[1]

    [(_, probability)] = protocol.run([FIT], guarded(), learn)
    assert seen == [[0, 10, 20, 30], [40, 50, 60]]
    assert probability.tolist() == [0.5, 0.5, 0.5]


def everything(data):
    return data.take(np.arange(7))


def test_leaky_twin_scaling_fitted_on_all_rows_before_the_protocol_is_refused():
    with pytest.raises(LeakageError, match="5 patients asked for out of turn: no fit is open"):
        everything(guarded())


def test_leaky_twin_scaling_fitted_on_all_rows_inside_a_fit_is_refused():
    data = guarded()

    def learn(rows, fit):
        everything(data).mean()  # what `StandardScaler().fit(all rows)` would do
        return lambda test: np.zeros(len(test))

    with pytest.raises(LeakageError, match="3 patients asked for out of turn: holdout fit -1 is learning"):
        list(protocol.run([FIT], data, learn))


def test_leaky_twin_a_threshold_that_reaches_for_test_rows_while_learning_is_refused():
    data = guarded()

    def learn(rows, fit):
        data.take(fit.test_rows)
        return lambda test: np.zeros(len(test))

    with pytest.raises(LeakageError):
        list(protocol.run([FIT], data, learn))


def test_leaky_twin_a_plan_with_a_patient_on_both_sides_is_refused():
    twice = Fit("cv", 0, np.array([0, 2]), np.array([1]), ("cv",))
    with pytest.raises(LeakageError, match="1 patients on both sides"):
        protocol._require_sound(twice, TABLE["patient"].to_numpy(str), TABLE["label"].to_numpy(), np.full(7, "train"))


def test_the_guard_closes_again_after_a_fit_that_failed():
    data = guarded()

    def learn(rows, fit):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(protocol.run([FIT], data, learn))
    with pytest.raises(LeakageError, match="no fit is open"):
        data.take(FIT.train_rows)


def test_rows_are_filed_under_the_split_of_each_test_row():
    rows = protocol.rows_of(TABLE, FIT, np.array([0.1, 0.2, 0.3]), method="m", seed=5)
    assert rows["lesion"].tolist() == ["r-L4", "s-L5", "x-L6"]
    assert rows["fold"].tolist() == [-1, -1, -1]
    assert rows["label"].tolist() == [0, 1, 1]
