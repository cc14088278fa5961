"""Dealing patients: exact small cases, and the invariants of a split over random cohorts."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnfm.cohort import assign
from rnfm.cohort.assign import NO_RN, RN, UNLABELLED, Patient

COHORTS = st.lists(
    st.tuples(st.sampled_from([RN, NO_RN, UNLABELLED]), st.sampled_from(["a", "b", "c"])), min_size=1, max_size=60
).map(lambda rows: [Patient(f"P-{number:04d}", *row) for number, row in enumerate(rows)])


def _spread(counts: Counter[object], keys: range) -> int:
    numbers = [counts[key] for key in keys]
    return max(numbers) - min(numbers)


@settings(max_examples=60)
@given(COHORTS, st.integers(2, 10), st.integers(0, 9), st.randoms())
def test_folds_are_balanced_and_know_no_order(people: list[Patient], wanted: int, seed: int, random) -> None:
    count = assign.possible_folds(people, wanted)
    dealt = assign.folds(people, count=count, seed=seed, repeat=0)
    assert set(dealt) == {patient.code for patient in people}
    for group in (lambda p: 0, lambda p: p.kind, lambda p: (p.kind, p.site)):
        for value in {group(patient) for patient in people}:
            counts = Counter(dealt[patient.code] for patient in people if group(patient) == value)
            assert _spread(counts, range(count)) <= 1
    shuffled = random.sample(people, len(people))
    assert assign.folds(shuffled, count=count, seed=seed, repeat=0) == dealt


@settings(max_examples=60)
@given(COHORTS, st.floats(0.05, 0.6), st.integers(0, 9), st.randoms())
def test_the_hold_out_takes_its_share_of_each_class(people: list[Patient], share: float, seed: int, random) -> None:
    held = assign.holdout(people, share=share, seed=seed)
    for kind in {patient.kind for patient in people}:
        members = [patient for patient in people if patient.kind == kind]
        taken = sum(patient.code in held for patient in members)
        assert abs(taken - share * len(members)) <= (0.5 + 1e-9 if taken > 1 else 1)
        assert (taken == 0) == (len(members) == 1)
        assert taken < len(members)
        for site in "abc":
            here = [patient for patient in members if patient.site == site]
            assert abs(sum(p.code in held for p in here) - taken * len(here) / len(members)) < 1 + 1e-9
    assert assign.holdout(random.sample(people, len(people)), share=share, seed=seed) == held


def test_seeds_and_repeats_deal_anew() -> None:
    people = [Patient(f"P-{number}", number % 2, "a") for number in range(40)]
    deals = [assign.folds(people, count=5, seed=seed, repeat=repeat) for seed in (0, 1) for repeat in (0, 1)]
    assert all(one != two for index, one in enumerate(deals) for two in deals[:index])
    assert assign.holdout(people, share=0.2, seed=0) != assign.holdout(people, share=0.2, seed=1)


def test_no_share_means_no_hold_out() -> None:
    assert assign.holdout([Patient("P-1", RN, "a"), Patient("P-2", RN, "a")], share=0.0, seed=0) == frozenset()


@pytest.mark.parametrize(
    ("kinds", "wanted", "expected"),
    [
        ([RN] * 3 + [NO_RN] * 20, 5, 3),
        ([RN] + [NO_RN] * 20, 5, 2),
        ([UNLABELLED] * 4, 5, 4),
        ([UNLABELLED] * 30, 5, 5),
        ([RN] * 30, 5, 5),
        ([RN], 5, 1),
        ([RN] * 9 + [NO_RN] * 9 + [UNLABELLED], 5, 5),
    ],
)
def test_folds_are_reduced_for_small_cohorts(kinds: list[int], wanted: int, expected: int) -> None:
    people = [Patient(f"P-{number}", kind, "a") for number, kind in enumerate(kinds)]
    assert assign.possible_folds(people, wanted) == expected
