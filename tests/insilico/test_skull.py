"""Skull and scalp: the layers in their order, as thick as drawn, around a hull that has no folds."""

from __future__ import annotations

import numpy as np
import pytest

from rnfm.core import keyed
from rnfm.insilico import physics, skull, template
from rnfm.insilico.skull import Skull

SEQUENCE = physics.Sequence(8.2, 20.0)
PLAIN = Skull(csf_mm=2.0, marrow_mm=3.0, muscle_mm=1.5, fat_mm=4.0)


def at(profile: np.ndarray, away_mm: float) -> float:
    return float(profile[round(away_mm / skull.STEP_MM)])


def test_layers_are_dark_and_bright_as_anatomy_has_them() -> None:
    profile = PLAIN.profile(SEQUENCE, softness_mm=0.1)
    csf, dura, inner, marrow, outer, muscle, fat, skin = (
        at(profile, mm) for mm in (1.0, 2.5, 3.8, 6.2, 8.5, 10.2, 13.0, 15.9)
    )
    white = SEQUENCE.of(physics.WHITE)
    assert csf < 0.6 * white < dura  # the dura enhances
    assert inner == outer < 0.2 * white
    assert inner < muscle < marrow < fat
    assert fat > 1.3 * white
    assert skin < fat
    assert at(profile, 20.0) == 0


def test_the_head_ends_where_the_skin_does() -> None:
    assert PLAIN.reach_mm == pytest.approx(2 + 1 + 1.7 + 3 + 1.7 + 1.5 + 4 + 1.6)
    profile = PLAIN.profile(SEQUENCE, softness_mm=0.1)
    assert at(profile, PLAIN.reach_mm - 0.2) > 0
    assert at(profile, PLAIN.reach_mm + 0.2) == 0


def test_coarse_voxels_blur_layers_and_keep_their_sum() -> None:
    sharp, soft = (PLAIN.profile(SEQUENCE, softness_mm=mm) for mm in (0.1, 2.0))
    assert np.abs(np.diff(soft)).max() < 0.2 * np.abs(np.diff(sharp)).max()
    assert soft.sum() == pytest.approx(sharp.sum(), rel=0.02)


def test_sinus_replaces_what_would_be_there() -> None:
    away_mm = np.array([1.0, 3.0, 40.0], np.float32)
    plain = PLAIN.signal(SEQUENCE, away_mm, np.zeros(3, bool), 1.0)
    with_sinus = PLAIN.signal(SEQUENCE, away_mm, np.array([False, True, False]), 1.0)
    assert with_sinus[1] > 2 * plain[1]
    assert with_sinus[[0, 2]] == pytest.approx(plain[[0, 2]])


def test_the_hull_of_a_ball_with_a_cleft_is_the_ball() -> None:
    x, y, z = np.meshgrid(*[np.arange(-30, 31)] * 3, indexing="ij")
    ball = x**2 + y**2 + z**2 <= 20**2
    cleft = ball & ~((np.abs(x) <= 2) & (y > -5))
    outside_mm = skull.outside_of(cleft, 1.0)
    inner = x**2 + y**2 + z**2 <= 17**2
    assert outside_mm[inner].max() < 0.2
    assert outside_mm[30, 0, 30] == pytest.approx(9.5, abs=0.6)
    assert outside_mm[30, 30, 60] == pytest.approx(9.5, abs=1.5)  # over the cleft: closed, with a dent


def test_a_brain_that_is_cut_off_below_goes_on_there() -> None:
    column = np.zeros((41, 41, 20), bool)
    column[15:26, 15:26] = True
    outside_mm = skull.outside_of(column, 1.0)
    assert outside_mm[20, 20, 0] == 0
    assert outside_mm[30, 20, 0] == pytest.approx(outside_mm[30, 20, 8], abs=0.5)


@pytest.mark.parametrize("step", [1, 2])
def test_the_template_knows_its_hull_and_sinus(step: int) -> None:
    found = template.load(step)
    assert found.outside_mm[found.brain].max() < 4.5
    assert (found.outside_mm[found.brain] > 1).mean() < 0.02
    where_mm = np.argwhere(found.sinus) * found.step_mm + found.origin_mm
    assert 2_000 < found.sinus.sum() * step**3 < 30_000  # [mm3]
    assert np.abs(where_mm[:, 0]).max() <= skull.SINUS_HALF_MM + 1
    assert not (found.sinus & found.brain).any()


def test_skulls_differ_between_patients() -> None:
    drawn = [skull.draw_skull(keyed.rng(0, "skull", patient), 0.1) for patient in range(200)]
    for name in ("csf_mm", "marrow_mm", "muscle_mm", "fat_mm"):
        values = np.array([getattr(item, name) for item in drawn])
        assert values.min() > 0.5
        assert values.std() > 0.15
    assert max(item.reach_mm for item in drawn) < skull.REACH_MM
