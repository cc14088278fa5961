"""Inner folds keep patients whole and both classes everywhere; the choice of a penalty sees training rows only."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rnfm.core import DataError
from rnfm.downstream import tabular
from rnfm.downstream.protocol import Fit
from rnfm.downstream.tabular import Rows

FIT = Fit("holdout", -1, np.arange(0), np.arange(0), ())


def rows_of(features: np.ndarray, label: np.ndarray, patient: list[str] | None = None) -> Rows:
    frame = pd.DataFrame(features, columns=[f"f{i}" for i in range(features.shape[1])])
    return Rows(frame, label, np.array(patient or [f"p{i}" for i in range(len(label))]))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 1)), min_size=6, max_size=40), st.integers(0, 9))
def test_inner_folds_keep_patients_whole_and_both_classes_on_each_side(lesions, seed):
    label = np.array([value for _, value in lesions])
    patient = np.array([f"p{number}" for number, _ in lesions])
    classes = pd.Series(label).groupby(patient).max().value_counts()
    assume(len(classes) == 2 and classes.min() >= 2)
    folds = tabular.grouped_folds(Rows(pd.DataFrame(index=range(len(label))), label, patient), seed)
    assert sorted(np.concatenate([judge for _, judge in folds]).tolist()) == list(range(len(label)))
    for learn, judge in folds:
        assert not set(patient[learn]) & set(patient[judge])
        assert label[learn].max() == 1  # a patient of either class may also have lesions of class 0
        assert label[judge].max() == 1


def test_too_few_patients_of_a_class_are_refused():
    with pytest.raises(DataError) as caught:
        tabular.grouped_folds(rows_of(np.zeros((4, 1)), np.array([1, 1, 0, 0]), ["p", "p", "q", "r"]), 0)
    assert str(caught.value) == (
        "inner cross-validation: a class has fewer than two patients to learn from. Label more patients of it."
    )


def test_log_loss_by_hand():
    found = tabular.log_loss(np.array([1, 0]), np.array([0.8, 0.4]))
    assert found == pytest.approx(-(np.log(0.8) + np.log(0.6)) / 2)
    assert np.isfinite(tabular.log_loss(np.array([1]), np.array([0.0])))


def test_noise_gets_a_strong_penalty_and_signal_a_weak_one():
    random = np.random.default_rng(0)
    label = np.arange(60) % 2
    noise = random.normal(size=(60, 40))
    signal = noise.copy()
    signal[:, 0] += 4 * label
    strengths = (0.0001, 10.0)
    picked = []
    for features in (noise, signal):
        rows = rows_of(features, label)
        heads = tabular.logistic(strengths)
        best = tabular.fit_best(lambda rows=rows: tabular.standardised(rows.features), heads, rows, seed=1)
        picked.append(best[-1].C)
    assert picked == [0.0001, 10.0]


def test_a_method_predicts_the_training_prevalence_from_a_constant_and_bears_missing_values():
    label = np.array([1, 0, 0, 0] * 5)
    rows = rows_of(np.full((20, 1), np.nan), label)
    scorer = tabular.chosen(tabular.standardised, (1.0,))(0)(rows, FIT)
    assert scorer(rows) == pytest.approx(np.full(20, 0.25), abs=1e-4)


def test_what_is_scaled_at_judgement_uses_the_training_mean():
    """A test row far away must not move the scale: its score equals that of a model fitted by hand on training rows."""
    random = np.random.default_rng(1)
    label = np.arange(20) % 2
    train = rows_of(random.normal(size=(20, 1)) + label[:, None], label)
    far = rows_of(np.array([[50.0], [0.0]]), np.array([1, 0]))
    near = rows_of(np.array([[0.0]]), np.array([0]))
    scorer = tabular.chosen(tabular.standardised, (1.0,))(0)(train, FIT)
    assert scorer(far)[1] == scorer(near)[0]
