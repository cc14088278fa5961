"""Dealing patients to hold-out and folds: pure functions of the set of patients and a seed.

Patients are grouped by class and centre, shuffled inside each group by a keyed generator, and dealt in that order, so
that every class and every (class, centre) is spread as evenly as whole patients allow. The order in which patients are
given does not matter.

Held by construction (and by property tests): per fold, the number of patients, of each class and of each (class, centre)
differ by at most 1; of each class the hold-out takes its share to within half a patient, but at least 1 and never all.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from rnfm.core import keyed

RN, NO_RN, UNLABELLED = 1, 0, -1


class Patient(NamedTuple):
    """`kind` is the class of the patient: RN if any lesion has it, else NO_RN, else UNLABELLED."""

    code: str
    kind: int
    site: str


def holdout(patients: Iterable[Patient], *, share: float, seed: int) -> frozenset[str]:
    """Codes of the patients held out: about `share` of each class, spread over the centres.

    A class with one patient stays in training, since a class that was never learned cannot be judged.
    """
    chosen: set[str] = set()
    for kind, members in _by_kind(_dealing_order(patients, seed, "holdout")).items():
        count = math.floor(share * len(members) + 0.5)
        if share > 0 and len(members) > 1:
            count = min(max(count, 1), len(members) - 1)
        else:
            count = 0
        phase = float(keyed.rng(seed, "holdout phase", kind).random())
        marks = [math.floor(index * count / len(members) + phase) for index in range(len(members) + 1)]
        chosen |= {member.code for index, member in enumerate(members) if marks[index + 1] > marks[index]}
    return frozenset(chosen)


def folds(patients: Iterable[Patient], *, count: int, seed: int, repeat: int) -> dict[str, int]:
    """Patient code -> fold 0 ... count - 1, for one repeat."""
    order = _dealing_order(patients, seed, f"repeat {repeat}")
    # The first folds get the odd patients out; a shift by repeat keeps that from always being fold 0.
    shift = int(keyed.rng(seed, "fold shift", repeat).integers(count))
    return {patient.code: (shift + index) % count for index, patient in enumerate(order)}


def possible_folds(patients: Iterable[Patient], wanted: int) -> int:
    """At most one fold a patient, and at most as many as the smaller class has patients, but 2 where 2 patients are."""
    people = list(patients)
    sizes = [len(members) for kind, members in _by_kind(people).items() if kind != UNLABELLED]
    limit = min([len(people), *(sizes if len(sizes) == 2 else [])])
    return min(wanted, max(limit, 2), max(len(people), 1))


def _dealing_order(patients: Iterable[Patient], seed: int, purpose: str) -> list[Patient]:
    groups: dict[tuple[int, str], list[Patient]] = defaultdict(list)
    for patient in sorted(patients):
        groups[patient.kind, patient.site].append(patient)
    order: list[Patient] = []
    for (kind, site), members in sorted(groups.items()):
        permutation = keyed.rng(seed, purpose, kind, site).permutation(len(members))
        order += [members[int(index)] for index in permutation]
    return order


def _by_kind(patients: Iterable[Patient]) -> dict[int, list[Patient]]:
    kinds: dict[int, list[Patient]] = defaultdict(list)
    for patient in patients:
        kinds[patient.kind].append(patient)
    return dict(sorted(kinds.items()))
