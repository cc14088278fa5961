"""The hidden trait carries the label, nuisances do not, and volume only a little."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from rnfm.insilico import traits


def auc(positive: list[float], negative: list[float]) -> float:
    a, b = np.array(positive)[:, None], np.array(negative)[None]
    return float((a > b).mean() + 0.5 * (a == b).mean())


@given(seed=st.integers(0, 2**31), lesion=st.integers(0, 10**6))
def test_nuisances_are_the_same_whatever_the_label(seed: int, lesion: int) -> None:
    necrosis, progression = (traits.draw(seed, "site_a", lesion, label) for label in (1, 0))
    assert necrosis.nuisances == progression.nuisances
    assert necrosis.hidden == pytest.approx(progression.hidden + traits.SEPARATION)
    assert math.log(necrosis.volume_cc) >= math.log(progression.volume_cc)


def test_oracle_and_volume_have_the_areas_of_their_laws() -> None:
    drawn = [[traits.draw(0, "site_a", index, label) for index in range(label, 4000, 2)] for label in (0, 1)]
    hidden = [[item.hidden for item in group] for group in drawn]
    volume = [[item.volume_cc for item in group] for group in drawn]
    # Two normals d standard deviations apart: AUC = Phi(d / sqrt 2).
    assert auc(hidden[1], hidden[0]) == pytest.approx(norm.cdf(2.2 / math.sqrt(2)), abs=0.012)
    assert auc(volume[1], volume[0]) == pytest.approx(norm.cdf(0.22 / 0.62 / math.sqrt(2)), abs=0.025)
    assert np.median([*volume[0], *volume[1]]) == pytest.approx(3.0, rel=0.06)
    for place, weight in enumerate(traits.LOADINGS.values()):
        scores = [np.array([item.z[place] for item in group]) for group in drawn]
        assert np.std(scores[0]) == pytest.approx(1, abs=0.05)
        assert scores[1].mean() - scores[0].mean() == pytest.approx(2.2 * weight, abs=0.12)


def test_directions_of_the_visible_traits() -> None:
    necrosis, progression = traits.visible((2.0,) * 6), traits.visible((-2.0,) * 6)
    assert necrosis.border_scale_mm < progression.border_scale_mm  # fine against lobulated
    assert necrosis.rim_mm < progression.rim_mm
    assert necrosis.nodule_depth_share > progression.nodule_depth_share  # islands against mural nodules
    assert necrosis.wall_share > progression.wall_share  # soap bubble
    assert necrosis.hole_depth_share > progression.hole_depth_share  # Swiss cheese
    assert necrosis.feather_mm > progression.feather_mm


def test_before_the_turn_both_classes_are_the_same_tumour() -> None:
    for lesion in range(20):
        necrosis, progression = (traits.draw(0, "site_a", lesion, label) for label in (1, 0))
        early = [traits.before_the_turn(now, 0, "site_a", lesion) for now in (necrosis, progression)]
        assert early[0].z == early[1].z
        assert early[0].nuisances == necrosis.nuisances
        assert early[0].volume_cc == necrosis.volume_cc  # the course decides the volume
