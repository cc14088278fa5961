"""Anatomies are one-to-one, differ between patients, and do not move lesions between visits."""

from __future__ import annotations

import numpy as np
import pytest

from rnfm.core import keyed
from rnfm.insilico import template
from rnfm.insilico.anatomy import HEAD_HIGH_MM, HEAD_LOW_MM, Head, anatomy_of, draw_pose


def brain_axes(step_mm: float) -> list[np.ndarray]:
    return [np.arange(low + 10, high - 10, step_mm) for low, high in zip(HEAD_LOW_MM, HEAD_HIGH_MM, strict=True)]


@pytest.mark.parametrize("patient", range(25))
def test_deformations_never_fold(patient: int) -> None:
    points_mm = np.stack(np.meshgrid(*brain_axes(5.0), indexing="ij"))
    mapped = anatomy_of(3, "pool", patient).to_template(points_mm)
    rows = [np.stack(np.gradient(component, 5.0)) for component in mapped]
    jacobian = np.linalg.det(np.moveaxis(np.stack(rows), (0, 1), (-2, -1)))
    assert jacobian.min() > 0.1


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
    assert np.linalg.norm((found - exact)[:, inside], axis=0).max() < 0.75
    assert np.linalg.norm((found - exact)[:, inside], axis=0).mean() < 0.3


def test_bounds_hold_the_whole_brain() -> None:
    brain = template.load(2)
    head = Head(anatomy_of(0, "pool", 5), draw_pose(keyed.rng(0, "pose", 5)))
    low, high = head.bounds_mm(brain, 6.0)
    axes_mm = [np.arange(a, b, 3.0) for a, b in zip(HEAD_LOW_MM, HEAD_HIGH_MM, strict=True)]
    inside = np.argwhere(brain.inside(brain.index(head.to_template(axes_mm))))
    for axis in range(3):
        reached = axes_mm[axis][inside[:, axis]]
        assert low[axis] <= reached.min()
        assert high[axis] >= reached.max()
