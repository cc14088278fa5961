"""Who is simulated: patients with their lesions, visits and clinical rows, before any voxel exists.

Site A: lesions are dealt to patients, some patients get two; some patients are seen again and again (`KINDS`).
Site B: one lesion and one visit a patient. Pool: one unlabelled scan a patient, with one to three lesions.

Every draw is keyed by (seed, site, lesion or patient index). Only the labels look at the whole site, because their number
is fixed by the prevalence. Days are counted from the patient's first MRI.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from rnfm.core import keyed
from rnfm.insilico.clinical import DAYS_A_MONTH, LesionClinical, PatientClinical, draw_lesion, draw_patient
from rnfm.insilico.growth import NADIR_SHARE

PREVALENCE = {"site_a": 0.40, "site_b": 0.36, "pool": 0.40}
TWO_LESIONS, SERIES = 0.3, 0.3  # share of site A's patients with a second lesion; with more than the classified scan
KINDS = ("diagnosis", "planning", "response", "classified", "follow-up")  # in the order of time
NUMBERS = {"diagnosis": 0, "classified": 1, "planning": 2, "response": 3, "follow-up": 4}
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

    kind: str
    day: int

    @property
    def number(self) -> int:
        """Keys what is drawn for this visit; not its place in time."""
        return NUMBERS[self.kind]

    @property
    def before_srs(self) -> bool:
        return KINDS.index(self.kind) < KINDS.index("response")

    @property
    def early(self) -> bool:
        """Before the classified scan: no sign yet of what will become of the lesion."""
        return KINDS.index(self.kind) < KINDS.index("classified")


@dataclass(frozen=True)
class Patient:
    """One simulated patient; `identity` is the original id that the layouts use."""

    site: str
    index: int
    identity: str
    lesions: tuple[Lesion, ...]
    visits: tuple[Visit, ...]
    clinical: PatientClinical


def site_a(seed: int, lesions: int, visits: int = len(KINDS)) -> list[Patient]:
    """Patients of site A with `lesions` lesions in all and up to `visits` scans each.

    The first patient has two lesions (if there are two) and as many scans as a patient can have.
    """
    labels = labels_of(seed, "site_a", lesions)
    patients: list[Patient] = []
    start = 0
    while start < lesions:
        index = len(patients)
        rng = keyed.rng(seed, "site_a", "patient", index, "plan")
        two_lesions, most = rng.random() < TWO_LESIONS, int(rng.integers(2, len(KINDS) + 1))
        if rng.random() >= SERIES:
            most = 1
        if index == 0:
            two_lesions, most = True, len(KINDS)
        kinds = _kinds(min(most, visits), rng)
        count = min(1 + int(two_lesions), lesions - start)
        identity = f"{rng.choice(CENTRE_PREFIXES)}{index + 1:04d}"
        members = range(start, start + count)
        patients.append(_patient(seed, "site_a", index, identity, members=members, labels=labels, kinds=kinds))
        start += count
    return patients


def _kinds(count: int, rng: np.random.Generator) -> set[str]:
    """`count` kinds of visits, the classified one among them.

    A follow-up takes part only where the response was seen: growth is measured from the smallest volume since treatment, and
    without it the follow-up of a progression would be the first scan that shows growth, and taken for the classified one.
    """
    others = [kind for kind in rng.permutation(KINDS[:3]).tolist() if kind != "response"]
    order = ["response", "follow-up", *others] if rng.random() < 0.5 else [*others, "response", "follow-up"]
    return {"classified", *order[: count - 1]}


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
    seed: int,
    site: str,
    index: int,
    identity: str,
    *,
    members: range,
    labels: dict[int, int],
    kinds: Collection[str] = ("classified",),
) -> Patient:
    """A patient with visits of these `kinds`; every lesion's months since radiosurgery count to the classified one."""
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
    days = _days(lesions, day, rng)
    visits = tuple(Visit(kind, days[kind]) for kind in KINDS if kind in kinds)
    return Patient(site, index, identity, lesions, visits, clinical)


def _days(lesions: tuple[Lesion, ...], classified_day: int, rng: np.random.Generator) -> dict[str, int]:
    """The day of every kind of visit. Follow-up comes after any date of necrosis, the response after all radiosurgery."""
    first, last = min(item.srs_day for item in lesions), max(item.srs_day for item in lesions)
    rn_days = [item.rn_day for item in lesions if item.rn_day is not None]
    return {
        "diagnosis": 0,
        "planning": first - int(rng.integers(1, 6)),
        "response": last + max(round(NADIR_SHARE * (classified_day - last)), 1),
        "classified": classified_day,
        "follow-up": max([classified_day, *rn_days]) + int(rng.integers(60, 150)),
    }
