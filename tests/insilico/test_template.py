"""The template: tissue fractions that add up, places for lesions, and a clear word when nilearn has no template."""

from __future__ import annotations

import re
from pathlib import Path

import nibabel
import numpy as np
import pytest

from rnfm.core.errors import ConfigError
from rnfm.insilico import template


@pytest.mark.parametrize("step", [1, 2])
def test_fractions_add_up(step: int) -> None:
    found = template.load(step)
    total = found.white + found.grey
    assert found.white.min() >= 0
    assert found.grey.min() >= 0
    assert total.max() <= 1 + 1e-6
    assert np.abs(found.detail).max() <= 0.2
    assert 1.6e6 < found.brain.sum() * step**3 < 2.1e6  # [mm3]
    assert found.step_mm == step


@pytest.mark.parametrize("step", [1, 2])
def test_positions_are_those_of_the_nifti_affine(step: int) -> None:
    """The world position of the densest white matter block agrees with nibabel's affine to half a block."""
    image = nibabel.nifti1.load(template.folder() / template.FILES["wm"])
    white = np.asarray(image.dataobj, dtype=np.float64)
    total = np.maximum(white + np.asarray(nibabel.nifti1.load(template.folder() / template.FILES["gm"]).dataobj), 255)
    white /= total
    centre_vox = np.array([(white.sum(axis=tuple({0, 1, 2} - {a})) @ np.arange(n)) for a, n in enumerate(white.shape)])
    expected_mm = nibabel.affines.apply_affine(image.affine, centre_vox / white.sum())
    found = template.load(step)
    weights = found.white.astype(np.float64)
    index = np.array([(weights.sum(axis=tuple({0, 1, 2} - {a})) @ np.arange(n)) for a, n in enumerate(weights.shape)])
    assert index / weights.sum() * step + found.origin_mm == pytest.approx(expected_mm, abs=0.02)
    assert found.index(expected_mm.astype(np.float32)) == pytest.approx(index / weights.sum(), abs=0.02)


def test_inside_is_false_outside_the_array() -> None:
    found = template.load(2)
    points = np.array([[0, -50, 400], [0, 0, 0], [0, 0, 0]], np.float32)
    middle = np.array(found.brain.shape, np.float32)[:, None] / 2
    assert found.inside(points).tolist() == [False, False, False]
    assert found.inside(middle).tolist() == [True]


def test_candidates_are_deep_enough_for_many_lesions() -> None:
    places = template.candidates()
    assert (np.abs(places.position_mm[:, 0]) > template.MIDLINE_MM).all()
    assert (places.depth_mm > 12).sum() > 1000
    brain = template.load(2)
    assert brain.inside(brain.index(places.position_mm.T.astype(np.float32))).all()


def test_a_nilearn_without_its_template_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(template.FILES, "gm", "other.nii.gz")
    sentence = "nilearn: the MNI152 template file other.nii.gz is not in the package. Install nilearn 0.12 or newer."
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        template.folder()


def test_no_nilearn_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="the MNI152 template file"):
        template.folder()
    assert not Path("nilearn").exists()
