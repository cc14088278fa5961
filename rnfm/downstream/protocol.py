"""Who may learn from whom: the split file turned into fits, and the guard that no fit can pass round.

    role       holdout protocol          cv protocol (each repeat)         inner protocol (tuning, calibration)
    train      learn ------------+       fold k   -> predict               fold k   -> predict
    holdout    predict  <--------+       the rest -> learn                 the rest -> learn
    external   predict  <--------+       not used                          train only: holdout and external are not used

Invariants, asserted here once for all methods:
 - no patient stands on both sides of a fit, and external patients teach nothing;
 - data are behind `Guarded`, which hands out rows inside an open fit only: its training rows while it learns, its test
   rows afterwards. Scaling, imputation, selection, thresholds or calibration fitted on anything else raise `LeakageError`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import pandas as pd

from rnfm.core.errors import ConfigError, DataError
from rnfm.downstream.splits import Split

T = TypeVar("T")
PROTOCOLS = ("holdout", "cv", "inner")


class LeakageError(AssertionError):
    """A method reached for rows that its fit must not see: a fault in the program, never in the user's data."""


@dataclass(frozen=True)
class Fit:
    """One model to fit on `train_rows` and to judge on `test_rows`; rows are positions in the table that was planned."""

    protocol: str
    fold: int
    train_rows: np.ndarray
    test_rows: np.ndarray
    test_split: tuple[str, ...]
    """For each test row the `split` under which its prediction is filed."""


def plan(table: pd.DataFrame, split: Split, protocols: Sequence[str]) -> list[Fit]:
    """The fits of `protocols` over `table` (columns `patient`, `label`). Raises DataError where a fit cannot be made."""
    roles = split.of(table["patient"])
    patients, labels = table["patient"].to_numpy(str), table["label"].to_numpy(np.int64)
    fits: list[Fit] = []
    for protocol in dict.fromkeys(protocols):
        if protocol == "holdout":
            fits.append(_holdout(roles))
        elif protocol == "cv":
            fits += _folds(split, roles, "cv", ("train", "holdout"), split.repeats)
        elif protocol == "inner":
            fits += _folds(split, roles, "inner", ("train",), 1)
        else:
            raise ConfigError("protocols", f"{protocol!r} is not known", f"Use {', '.join(PROTOCOLS[:2])}")
    for fit in fits:
        _require_sound(fit, patients, labels, roles["role"].to_numpy(str))
    return fits


def _holdout(roles: pd.DataFrame) -> Fit:
    role = roles["role"].to_numpy(str)
    test = np.flatnonzero(np.isin(role, ("holdout", "external")))
    return Fit("holdout", -1, np.flatnonzero(role == "train"), test, tuple(role[test]))


def _folds(split: Split, roles: pd.DataFrame, protocol: str, used: tuple[str, ...], repeats: int) -> list[Fit]:
    inside = np.isin(roles["role"].to_numpy(str), used)
    fits = []
    for repeat in range(repeats):
        fold_of = roles[f"fold_{repeat}"].to_numpy(np.int64)
        for fold in range(split.folds):
            test = np.flatnonzero(inside & (fold_of == fold))
            if len(test):
                train = np.flatnonzero(inside & (fold_of != fold))
                fits.append(Fit(protocol, repeat * split.folds + fold, train, test, (protocol,) * len(test)))
    return fits


def _require_sound(fit: Fit, patients: np.ndarray, labels: np.ndarray, roles: np.ndarray) -> None:
    name = fit.protocol if fit.fold < 0 else f"{fit.protocol} fold {fit.fold}"
    shared = set(patients[fit.train_rows]) & set(patients[fit.test_rows])
    if shared or (roles[fit.train_rows] == "external").any():
        raise LeakageError(
            f"{name}: {len(shared)} patients on both sides, or external patients among those it learns from"
        )
    if not len(fit.test_rows):
        raise DataError(name, "there is no labelled lesion to predict", "Split again, or leave this protocol out")
    present = np.unique(labels[fit.train_rows])
    if len(present) < 2:
        what = f"only label {present[0]}" if len(present) else "no lesion at all"
        raise DataError(name, f"its training part holds {what}", "Label both classes, or split with fewer folds")


class Guarded(Generic[T]):
    """Data that can be taken only as an open fit allows. `select(rows)` makes a method's view of those rows."""

    def __init__(self, patients: Sequence[str], select: Callable[[np.ndarray], T]) -> None:
        self._patients = np.asarray(patients, dtype=str)
        self._select = select
        self._allowed: set[str] = set()
        self._open = "no fit is open"

    def take(self, rows: np.ndarray) -> T:
        """The view of `rows`. Raises LeakageError for any row whose patient the open fit must not see now."""
        strangers = set(self._patients[rows]) - self._allowed
        if strangers:
            raise LeakageError(f"{len(strangers)} patients asked for out of turn: {self._open}")
        return self._select(np.asarray(rows))

    @contextlib.contextmanager
    def opened(self, rows: np.ndarray, what: str) -> Iterator[None]:
        before = self._allowed, self._open
        self._allowed, self._open = set(self._patients[rows]), what
        try:
            yield
        finally:
            self._allowed, self._open = before


def run(
    fits: Sequence[Fit], data: Guarded[T], learn: Callable[[T, Fit], Callable[[T], np.ndarray]]
) -> Iterator[tuple[Fit, np.ndarray]]:
    """For each fit learn from its training rows and yield the probabilities of label 1 of its test rows.

    `learn` gets the training view only; the scorer that it returns gets the test view after learning has ended.
    """
    for fit in fits:
        with data.opened(fit.train_rows, f"{fit.protocol} fit {fit.fold} is learning"):
            scorer = learn(data.take(fit.train_rows), fit)
        with data.opened(fit.test_rows, f"{fit.protocol} fit {fit.fold} is being judged"):
            probability = np.asarray(scorer(data.take(fit.test_rows)), dtype=np.float64)
        yield fit, probability


def rows_of(table: pd.DataFrame, fit: Fit, probability: np.ndarray, *, method: str, seed: int) -> pd.DataFrame:
    """Predictions of one fit in the columns of `rnfm.downstream.predictions`."""
    tested = table.iloc[fit.test_rows]
    return pd.DataFrame(
        {
            "patient": tested["patient"].to_numpy(str),
            "lesion": tested["lesion"].to_numpy(str),
            "site": tested["site"].to_numpy(str),
            "split": list(fit.test_split),
            "fold": np.int16(fit.fold),
            "seed": np.int64(seed),
            "method": method,
            "probability": probability,
            "label": tested["label"].to_numpy(np.int8),
        }
    )
