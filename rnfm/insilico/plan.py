"""Who is simulated: patients with their lesions, visits and clinical rows, before any voxel exists.

Site A: lesions are dealt to patients, some patients get two; some patients are seen before radiosurgery too.
Site B: one lesion and one visit a patient. Pool: one unlabelled scan a patient, with one to three lesions.

Every draw is keyed by (seed, site, lesion or patient index). Only the labels look at the whole site, because their number
is fixed by the prevalence. Days are counted from the patient's first MRI.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rnfm.core import keyed
from rnfm.insilico.clinical import DAYS_A_MONTH, LesionClinical, PatientClinical, draw_lesion, draw_patient

PREVALENCE = {"site_a": 0.40, "site_b": 0.36, "pool": 0.40}
TWO_LESIONS, TWO_VISITS = 0.3, 0.3
CENTRE_PREFIXES = ("01", "04")


@dataclass(frozen=True)
class Lesion:
    """One lesion: `index` in its site, `number` (from 1) in its patient."""

    index: int
    number: int
    label: int
    clinical: LesionClinical
    srs_day: int
    rn_day: int | None


@dataclass(frozen=True)
class Visit:
    """One MRI of a patient that is written as a file."""

    number: int
    day: int
    before_srs: bool


@dataclass(frozen=True)
class Patient:
    """One simulated patient; `identity` is the original id that the layouts use."""

    site: str
    index: int
    identity: str
    lesions: tuple[Lesion, ...]
    visits: tuple[Visit, ...]
    clinical: PatientClinical


def site_a(seed: int, lesions: int) -> list[Patient]:
    """Patients of site A with `lesions` lesions in all. The first one has two lesions and two visits if there are two."""
    labels = labels_of(seed, "site_a", lesions)
    patients: list[Patient] = []
    start = 0
    while start < lesions:
        index = len(patients)
        rng = keyed.rng(seed, "site_a", "patient", index, "plan")
        two_lesions, two_visits = rng.random() < TWO_LESIONS, rng.random() < TWO_VISITS
        if index == 0:
            two_lesions = two_visits = True
        count = min(1 + int(two_lesions), lesions - start)
        identity = f"{rng.choice(CENTRE_PREFIXES)}{index + 1:04d}"
        members = range(start, start + count)
        patients.append(_patient(seed, "site_a", index, identity, members=members, labels=labels, early=two_visits))
        start += count
    return patients


def site_b(seed: int, lesions: int) -> list[Patient]:
    """Patients of site B, one lesion each."""
    labels = labels_of(seed, "site_b", lesions)
    return [
        _patient(seed, "site_b", index, f"sub-{index + 1:03d}", members=range(index, index + 1), labels=labels)
        for index in range(lesions)
    ]


def pool(seed: int, scans: int) -> list[Patient]:
    """Unlabelled patients of the pool, one scan each; their lesions are of either kind."""
    patients = []
    for index in range(scans):
        count = int(keyed.rng(seed, "pool", "patient", index, "plan").choice((1, 1, 2, 3)))
        members = range(index * 3, index * 3 + count)
        labels = {
            lesion: int(keyed.rng(seed, "pool", "lesion", lesion, "label").random() < PREVALENCE["pool"])
            for lesion in members
        }
        patients.append(_patient(seed, "pool", index, f"pool-{index + 1:05d}", members=members, labels=labels))
    return patients


def labels_of(seed: int, site: str, lesions: int) -> dict[int, int]:
    """Labels of a site's lesions: exactly the prevalence's share are 1 (rounded), which ones is chance."""
    order = keyed.rng(seed, site, "labels").permutation(lesions)
    positive = set(order[: round(PREVALENCE[site] * lesions)].tolist())
    return {lesion: int(lesion in positive) for lesion in range(lesions)}


def _patient(
    seed: int, site: str, index: int, identity: str, *, members: range, labels: dict[int, int], early: bool = False
) -> Patient:
    """A patient whose last visit is the one that every lesion's months since radiosurgery count to."""
    own = [labels[lesion] for lesion in members]
    clinical = draw_patient(seed, site, index, share_of_necrosis=float(np.mean(own)))
    rows = [draw_lesion(seed, site, lesion, labels[lesion]) for lesion in members]
    rng = keyed.rng(seed, site, "patient", index, "days")
    since = [round(row.months_since_srs * DAYS_A_MONTH) for row in rows]
    # The first MRI plans the radiosurgery: every treatment is at least a week after it.
    day = max(since) + int(rng.integers(7, 35))
    lesions = tuple(
        Lesion(lesion, number, labels[lesion], row, day - days, day + int(rng.integers(0, 60)) if label else None)
        for number, (lesion, row, days, label) in enumerate(zip(members, rows, since, own, strict=True), 1)
    )
    visits = (Visit(0, 0, True), Visit(1, day, False)) if early else (Visit(1, day, False),)
    return Patient(site, index, identity, lesions, visits, clinical)
