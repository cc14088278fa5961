"""A visit as voxels: mask, background, brightness solved by dose, noise, and the same lesion at two visits."""

from __future__ import annotations

import numpy as np
import pytest

from rnfm.insilico import plan, scanners
from rnfm.insilico.patient import Examination, examine, place

VOXEL_MM = 2.0


@pytest.fixture(scope="module")
def patient() -> plan.Patient:
    return plan.site_a(0, 8)[0]


@pytest.fixture(scope="module")
def visits(patient: plan.Patient) -> list[Examination]:
    return [examine(patient, visit, seed=0, voxel_mm=VOXEL_MM) for visit in patient.visits]


def test_mask_values_are_lesion_times_ten_plus_segment(visits: list[Examination]) -> None:
    for examined in visits:
        assert set(np.unique(examined.scan.mask)) <= {0, 11, 12, 21, 22}
        assert {11, 21} <= set(np.unique(examined.scan.mask))
        assert examined.scan.mask.dtype == np.uint16
        assert examined.scan.image.dtype == np.int16


def head_cc(examined: Examination) -> float:
    """Volume of everything well above the noise of air."""
    return float(
        (examined.scan.image > 0.3 * examined.scanner.gain).sum() * np.prod(examined.scan.sampled.steps_mm) / 1000
    )


def test_a_whole_head_has_air_around_it_and_lesions_in_it(visits: list[Examination]) -> None:
    for examined in visits:
        image = examined.scan.image
        assert 2200 < head_cc(examined) < 4600
        air = np.concatenate([image[:2].ravel(), image[-2:].ravel()])
        assert 0 < air.mean() < 4 * examined.scanner.noise * examined.scanner.gain
        assert (image[examined.scan.mask > 0] > 0).mean() > 0.99


def test_stripped_only_the_brain_is_left_and_the_same(patient: plan.Patient) -> None:
    visit = patient.visits[-1]
    stripped = examine(patient, visit, seed=0, voxel_mm=VOXEL_MM, stripped=True)
    whole = examine(patient, visit, seed=0, voxel_mm=VOXEL_MM)
    brain_cc = (stripped.scan.image > 0).sum() * np.prod(stripped.scan.sampled.steps_mm) / 1000
    assert 1200 < brain_cc < 2600
    assert stripped.scan.image[0].max() == stripped.scan.image[:, 0].max() == 0
    assert head_cc(whole) > 1.4 * brain_cc
    # Noise and coil are drawn for another field of view; lesions are the same ones.
    found = [(item.scan.mask > 0).sum() for item in (stripped, whole)]
    assert found[0] == pytest.approx(found[1], rel=0.05)


def test_a_hollow_scan_has_the_masks_and_doses_of_the_real_one(patient: plan.Patient) -> None:
    for stripped in (False, True):
        real, hollow = (
            examine(patient, patient.visits[0], seed=0, voxel_mm=VOXEL_MM, stripped=stripped, hollow=hollow)
            for hollow in (False, True)
        )
        assert np.array_equal(real.scan.mask, hollow.scan.mask)
        assert real.scan.dose_mm == hollow.scan.dose_mm
        assert real.scan.sampled.centres_mm[0].tolist() == hollow.scan.sampled.centres_mm[0].tolist()
        assert not hollow.scan.image.any()
        assert hollow.scan.image.shape == real.scan.image.shape


def test_mean_signal_of_a_lesion_is_solved_by_dose(visits: list[Examination]) -> None:
    for examined in visits:
        for placed in examined.placed:
            measured = examined.scan.image[examined.scan.mask // 10 == placed.number].mean() / examined.scanner.gain
            # The coil shades it by some per cent; the dose itself is exact.
            assert measured == pytest.approx(placed.traits.nuisances.brightness, rel=0.25)
            assert 0 < examined.scan.dose_mm[placed.number] < 12


def test_volume_of_the_mask_is_the_volume_drawn(visits: list[Examination]) -> None:
    for examined in visits:
        for placed in examined.placed:
            outlined = examined.scan.mask // 10 == placed.number
            found_cc = outlined.sum() * np.prod(examined.scan.sampled.steps_mm) / 1000
            assert found_cc == pytest.approx(placed.traits.volume_cc, rel=0.4)  # the annotator's bias is in it


def test_both_visits_show_the_lesions_at_the_same_place_of_the_patient(patient: plan.Patient) -> None:
    found = []
    for visit in patient.visits:
        placed, head = place(patient, visit, seed=0)
        found.append([head.pose.to_patient(item.centre_mm[:, None])[:, 0] for item in placed])
    assert np.array(found[0]) == pytest.approx(np.array(found[1]), abs=1e-6)
    assert np.linalg.norm(found[0][0] - found[0][1]) > 15


def test_masks_follow_the_course_of_the_volume(patient: plan.Patient, visits: list[Examination]) -> None:
    for number in (1, 2):
        voxel_cc = [np.prod(examined.scan.sampled.steps_mm) / 1000 for examined in visits]
        drawn = [(examined.scan.mask // 10 == number).sum() * cc for examined, cc in zip(visits, voxel_cc, strict=True)]
        meant = [examined.placed[number - 1].traits.volume_cc for examined in visits]
        order = np.argsort(meant)
        clear = (
            np.diff(np.array(meant)[order]) > 0.25 * np.array(meant)[order][:-1]
        )  # steps beyond what outlining errs by
        assert (np.diff(np.array(drawn)[order])[clear] > 0).all()
        assert clear.sum() >= 2


def test_noise_is_what_the_scanner_says() -> None:
    patient = plan.site_b(0, 4)[2]
    examined = examine(patient, patient.visits[0], seed=0, voxel_mm=VOXEL_MM, stripped=True)
    image = examined.scan.image.astype(np.float64)
    # Second differences along the shortest step remove anatomy and coil; weights 1, -2, 1 multiply noise by sqrt 6.
    white = image > np.percentile(image[image > 0], 60)
    second = image[2:] - 2 * image[1:-1] + image[:-2]
    inner = white[2:] & white[1:-1] & white[:-2]
    noise = 1.4826 * np.median(np.abs(second[inner])) / np.sqrt(6)
    expected = examined.scanner.noise * examined.scanner.gain
    assert expected < noise < 2.2 * expected


def test_a_patch_is_cut_from_the_same_anatomy(patient: plan.Patient, visits: list[Examination]) -> None:
    visit = patient.visits[-1]
    part = examine(patient, visit, seed=0, voxel_mm=VOXEL_MM, patch_mm=60.0)
    assert max(part.scan.mask.shape) <= 31
    whole = (visits[-1].scan.mask == 11).sum()
    assert (part.scan.mask == 11).sum() == pytest.approx(whole, rel=0.25)
    assert part.scanner == visits[-1].scanner == scanners.of_visit(0, "site_a", 0, visit.number)
