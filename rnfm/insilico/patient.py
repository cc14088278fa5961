"""From a planned patient to the simulated scan of one visit: the only place that knows all keys."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rnfm.core import keyed
from rnfm.insilico import growth, lesion, scanners, template, traits
from rnfm.insilico.anatomy import Anatomy, Head, anatomy_of, draw_pose, rotation_of
from rnfm.insilico.plan import Lesion, Patient, Visit
from rnfm.insilico.scan import Scan, simulate
from rnfm.insilico.scene import Placed

GAP_MM = 15.0  # between the surfaces of two lesions of a patient


@dataclass(frozen=True)
class Examination:
    """A simulated visit: the scan, the scanner it came from, and the lesions' traits at that visit."""

    scan: Scan
    scanner: scanners.Scanner
    placed: list[Placed]


def examine(
    patient: Patient,
    visit: Visit,
    *,
    seed: int,
    voxel_mm: float,
    patch_mm: float | None = None,
    stripped: bool = False,
    hollow: bool = False,
    pool_scanners: int = scanners.POOL_SCANNERS,
) -> Examination:
    """Simulate one visit; with `patch_mm` only a cube of that edge around the first lesion. See `scan.simulate`."""
    site, key = patient.site, (patient.site, "patient", patient.index)
    scanner = scanners.of_visit(seed, site, patient.index, visit.number, pool_scanners)
    placed, head = place(patient, visit, seed=seed, tilts_deg=scanner.tilts_deg)
    box_mm = None
    if patch_mm is not None:
        half_mm = (patch_mm - voxel_mm) / 2
        box_mm = (placed[0].centre_mm - half_mm, placed[0].centre_mm + half_mm)
    simulated = simulate(
        head,
        placed,
        scanner,
        voxel_mm=voxel_mm,
        seed=seed,
        key=(*key, "visit", visit.number),
        lesion_key=(site, "lesion"),
        box_mm=box_mm,
        stripped=stripped,
        hollow=hollow,
    )
    return Examination(simulated, scanner, placed)


def place(
    patient: Patient, visit: Visit, *, seed: int, tilts_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
) -> tuple[list[Placed], Head]:
    """The patient's lesions where they lie at one visit, and the head, in slices turned by `tilts_deg`."""
    site, key = patient.site, (patient.site, "patient", patient.index)
    pose = draw_pose(keyed.rng(seed, *key, "visit", visit.number, "pose")).tilted(rotation_of(tilts_deg))
    head = Head(anatomy_of(seed, site, patient.index), pose)
    final = [traits.draw(seed, site, item.index, item.label) for item in patient.lesions]
    centres_mm = _centres_mm(head.anatomy, [own.radius_mm for own in final], keyed.rng(seed, *key, "places"))
    placed = []
    for item, own, centre_mm in zip(patient.lesions, final, centres_mm, strict=True):
        now, largest = _at_visit(patient, item, own, visit, seed)
        at_mm = head.pose.to_scan(centre_mm)
        placed.append(Placed(item.index, item.number, now, lesion.reach_mm(largest), at_mm))
    return placed, head


def _at_visit(
    patient: Patient, item: Lesion, own: traits.Traits, visit: Visit, seed: int
) -> tuple[traits.Traits, traits.Traits]:
    """A lesion's traits at one visit, and at its largest: cubes follow these, so that its noise is the same at every visit."""
    if patient.visits == () or (len(patient.visits) == 1 and visit.kind == "classified"):
        return own, own
    classified_day = next(other.day for other in patient.visits if other.kind == "classified")
    course = growth.draw_course(
        seed,
        patient.site,
        item.index,
        label=item.label,
        regrowth=own.nuisances.regrowth,
        classified_cc=own.volume_cc,
        days=(item.srs_day, classified_day),
    )
    volumes_cc = {other.kind: course.volume_cc(other.day) for other in patient.visits}
    now = traits.before_the_turn(own, seed, patient.site, item.index) if visit.early else own
    largest_cc = max(volumes_cc.values())
    return replace(now, volume_cc=volumes_cc[visit.kind]), replace(own, volume_cc=largest_cc)


def _centres_mm(anatomy: Anatomy, radii_mm: list[float], rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """Centres [patient mm] for lesions of given radii: under the surface, off the ventricles, apart from each other."""
    places = template.candidates()
    chosen: list[int] = []
    for radius_mm in radii_mm:
        score = np.minimum(places.depth_mm - radius_mm - 2, places.to_ventricle_mm - 0.8 * radius_mm)
        # `chosen` is the shorter: it grows by one a turn, and its radii are the first of the list.
        for earlier, earlier_radius_mm in zip(chosen, radii_mm, strict=False):
            away_mm = np.linalg.norm(places.position_mm - places.position_mm[earlier], axis=1)
            score = np.minimum(score, away_mm - radius_mm - earlier_radius_mm - GAP_MM)
        good = np.flatnonzero(score >= 0)
        # A lesion too large for any place gets the roomiest.
        chosen.append(int(rng.choice(good)) if len(good) else int(score.argmax()))
    return [anatomy.to_patient(places.position_mm[at]) for at in chosen]
