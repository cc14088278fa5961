"""Anatomies are one-to-one, differ between patients, and do not move lesions between visits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from rnfm.core import keyed
from rnfm.insilico import template
from rnfm.insilico.anatomy import HEAD_HIGH_MM, HEAD_LOW_MM, Head, Pose, anatomy_of, draw_pose


def brain_axes(step_mm: float) -> list[np.ndarray]:
    return [np.arange(low + 10, high - 10, step_mm) for low, high in zip(HEAD_LOW_MM, HEAD_HIGH_MM, strict=True)]


def least_jacobian(mapped: np.ndarray, step_mm: float) -> float:
    rows = [np.stack(np.gradient(component, step_mm)) for component in mapped]
    return float(np.linalg.det(np.moveaxis(np.stack(rows), (0, 1), (-2, -1))).min())


@pytest.mark.parametrize("patient", range(25))
def test_deformations_never_fold(patient: int) -> None:
    """The exact map of a patient, and the map through the coarse lattice that scans are made with."""
    points_mm = np.stack(np.meshgrid(*brain_axes(5.0), indexing="ij"))
    anatomy = anatomy_of(3, "pool", patient)
    assert least_jacobian(anatomy.to_template(points_mm), 5.0) > 0.05
    used = Head(anatomy, draw_pose(keyed.rng(3, "pose", patient))).to_template(brain_axes(5.0))
    assert least_jacobian(used, 5.0) > 0.05


def test_patients_differ_by_millimetres_and_repeat_by_key() -> None:
    points_mm = np.random.default_rng(0).uniform(-50, 50, (3, 500))
    one, two, again = (anatomy_of(0, "pool", patient).to_template(points_mm) for patient in (1, 2, 1))
    assert np.linalg.norm(one - two, axis=0).mean() > 2.0
    assert np.array_equal(one, again)


def test_to_patient_inverts_to_template() -> None:
    places = template.candidates().position_mm
    for patient, place_mm in enumerate(places[:: len(places) // 20]):
        anatomy = anatomy_of(1, "site_a", patient)
        back = anatomy.to_template(anatomy.to_patient(place_mm)[:, None])[:, 0]
        assert back == pytest.approx(place_mm, abs=0.05)


def test_pose_is_rigid_and_invertible() -> None:
    pose = draw_pose(keyed.rng(0, "pose"))
    assert pose.rotation @ pose.rotation.T == pytest.approx(np.eye(3), abs=1e-12)
    assert np.linalg.det(pose.rotation) == pytest.approx(1)
    point = np.array([10.0, -20.0, 30.0])
    assert pose.to_scan(pose.to_patient(point[:, None])[:, 0]) == pytest.approx(point)


def test_the_coarse_map_is_the_exact_one_to_a_fraction_of_a_millimetre() -> None:
    anatomy, pose = anatomy_of(0, "site_a", 0), draw_pose(keyed.rng(0, "pose"))
    axes_mm = [axis[::4] for axis in brain_axes(4.0)]
    found = Head(anatomy, pose).to_template(axes_mm)
    exact = anatomy.to_template(pose.to_patient(np.stack(np.meshgrid(*axes_mm, indexing="ij"))))
    inside = template.load(2).inside(template.load(2).index(exact.astype(np.float32)))
    assert np.linalg.norm((found - exact)[:, inside], axis=0).max() < 1.0
    assert np.linalg.norm((found - exact)[:, inside], axis=0).mean() < 0.3


@pytest.mark.parametrize("whole", [False, True])
def test_bounds_hold_the_brain_or_the_head(whole: bool) -> None:
    brain = template.load(2)
    head = Head(anatomy_of(0, "pool", 5), draw_pose(keyed.rng(0, "pose", 5)))
    low, high = head.bounds_mm(brain, 6.0, whole=whole)
    axes_mm = [np.arange(a, b, 3.0) for a, b in zip(HEAD_LOW_MM, HEAD_HIGH_MM, strict=True)]
    index = brain.index(head.to_template(axes_mm))
    found = np.argwhere(brain.within(index, head.anatomy.skull.reach_mm) if whole else brain.inside(index))
    for axis in range(3):
        reached = axes_mm[axis][found[:, axis]]
        # Below the brain a head goes on for ever; a scan of it ends somewhere.
        assert axis == 2 or low[axis] <= reached.min()
        assert high[axis] >= reached.max()
    assert (low > np.array(HEAD_LOW_MM) - 6.1).all()
    assert (high < np.array(HEAD_HIGH_MM)).all(), "the lattice of the whole head is too small"


def test_two_patients_are_two_brains(capsys: pytest.CaptureFixture[str]) -> None:
    """White matter at the same places of the brain in 12 patients without pose: related, none another's copy."""
    brain, axes_mm = template.load(2), brain_axes(4.0)
    upright = Pose(np.eye(3), np.zeros(3))
    own_mm = np.stack(np.meshgrid(*axes_mm, indexing="ij"))
    inside = brain.inside(brain.index(own_mm.astype(np.float32)))

    def white(template_mm: np.ndarray) -> np.ndarray:
        return ndimage.map_coordinates(brain.white, brain.index(template_mm[:, inside]), order=1)

    maps = [white(Head(anatomy_of(0, "pool", patient), upright).to_template(axes_mm)) for patient in range(12)]
    between = np.corrcoef(maps)[np.triu_indices(12, 1)]
    to_template = [np.corrcoef(one, white(own_mm))[0, 1] for one in maps]
    with capsys.disabled():
        print(
            f"\nwhite matter of two patients correlates {between.mean():.2f} [{between.min():.2f}-{between.max():.2f}],"
        )
        print(
            f"of a patient and the template {np.mean(to_template):.2f} [{min(to_template):.2f}-{max(to_template):.2f}]"
        )
    assert between.max() < 0.85
    assert max(to_template) < 0.95
    assert between.min() > 0.2  # still brains


def test_slabs_are_the_whole() -> None:
    head = Head(anatomy_of(0, "pool", 1), draw_pose(keyed.rng(0, "pose", 1)))
    axes_mm = brain_axes(15.0)
    whole = head.to_template(axes_mm)
    for part, rows in head.slabs(axes_mm, 4):
        assert np.array_equal(part, whole[:, rows])


def test_atrophy_widens_the_space_under_the_skull() -> None:
    skulls = [(anatomy_of(0, "pool", n).atrophy, anatomy_of(0, "pool", n).skull.csf_mm) for n in range(60)]
    assert np.corrcoef(np.array(skulls).T)[0, 1] > 0.5
