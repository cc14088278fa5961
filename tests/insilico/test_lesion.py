"""The lesion's fields: the volume asked for, a ring, and the same lesion whenever it is built."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rnfm.insilico import lesion, traits
from rnfm.insilico.lesion import Cube, Fields


def build(own: traits.Traits, *, shift_mm: float = 0.0, step_mm: float = 1.0) -> Fields:
    half = int(np.ceil(lesion.reach_mm(own) / step_mm))
    axis = ((np.arange(2 * half) - half) * step_mm + shift_mm).astype(np.float32)
    return lesion.build(own, Cube((axis, axis, axis), step_mm, 0, ("site_a", "lesion", 1)))


def some(z: float = 0.0, **nuisances: float) -> traits.Traits:
    drawn = traits.draw(0, "site_a", 1, 0)
    return replace(
        drawn,
        z=(z,) * 6,
        visible=traits.visible((z,) * 6),
        nuisances=replace(drawn.nuisances, annotator_mm=0.0, **nuisances),
        volume_cc=4.0,
    )


@pytest.mark.parametrize("z", [-2.0, 0.0, 2.0])
@pytest.mark.parametrize("step_mm", [0.75, 1.0])
def test_volume_is_the_one_asked_for(z: float, step_mm: float) -> None:
    fields = build(some(z), step_mm=step_mm)
    assert (fields.tissue > 0.5).sum() * step_mm**3 / 1000 == pytest.approx(4.0, rel=0.01)
    assert fields.drawn.sum() * step_mm**3 / 1000 == pytest.approx(4.0, rel=0.08)  # less the specks


def test_it_is_a_ring_of_uptake_around_a_dead_core() -> None:
    fields = build(some(1.0, rim_factor=1.0, core_uptake=0.3))
    centre = tuple(size // 2 for size in fields.drawn.shape)
    near = tuple(slice(at - 2, at + 3) for at in centre)
    assert fields.dead.any()
    assert not (fields.dead & ~fields.drawn).any()
    assert fields.uptake[fields.drawn & ~fields.dead].mean() > 3 * fields.uptake[fields.dead].mean()
    assert fields.uptake[near].mean() < 0.6


def test_necrosis_has_the_thinner_rim() -> None:
    shares = {z: (fields := build(some(z))).dead.sum() / fields.drawn.sum() for z in (-2.5, 2.5)}
    assert shares[2.5] > shares[-2.5]


def test_annotators_draw_larger_and_smaller() -> None:
    tight, wide = (build(replace(some(), nuisances=replace(some().nuisances, annotator_mm=mm))) for mm in (-0.5, 0.5))
    assert wide.drawn.sum() > 1.15 * tight.drawn.sum()
    assert np.array_equal(wide.tissue, tight.tissue)


def test_outline_is_one_piece() -> None:
    from scipy import ndimage

    fields = build(some(2.5, border_amplitude=0.22))
    assert ndimage.label(fields.drawn)[1] == 1


def test_same_lesion_whenever_it_is_built_and_another_for_another_key() -> None:
    first, second = build(some()), build(some())
    assert np.array_equal(first.uptake, second.uptake)
    own = some()
    half = len(first.uptake) // 2
    axis = (np.arange(2 * half) - half).astype(np.float32)
    other = lesion.build(own, Cube((axis, axis, axis), 1.0, 0, ("site_a", "lesion", 2)))
    assert not np.array_equal(first.uptake, other.uptake)


def test_the_lesion_ends_within_its_reach() -> None:
    for index in range(12):
        own = traits.draw(0, "pool", index, index % 2)
        half = int(np.ceil(lesion.reach_mm(own)))
        axis = (np.arange(2 * half) - half).astype(np.float32)
        fields = lesion.build(own, Cube((axis, axis, axis), 1.0, 0, ("pool", "lesion", index)))
        shell = np.ones(fields.drawn.shape, bool)
        shell[1:-1, 1:-1, 1:-1] = False
        assert not fields.drawn[shell].any()
        assert fields.tissue[shell].max() < 0.05
        assert fields.oedema[shell].max() == 0


def test_noise_has_unit_variance_and_its_scale() -> None:
    axis = np.arange(40, dtype=np.float32)
    cube = Cube((axis, axis, axis), 1.0, 0, ("x",))
    fine, coarse = cube.noise("a", 2.0), cube.noise("a", 8.0)
    assert fine.std() == pytest.approx(1, abs=1e-3)
    neighbours = [float(np.mean(field[1:] * field[:-1])) for field in (fine, coarse)]
    assert neighbours[0] < neighbours[1] > 0.95


def test_balls_are_as_many_voxels_wherever_they_lie() -> None:
    """Their place is the signal; their number of bright or dark voxels must not be, or a histogram would see it."""
    own = [traits.draw(0, "site_a", index, 0) for index in range(40)]
    dark = {}
    for depth in (0.0, 1.0):
        shares = []
        for item in own:
            seen = replace(item.visible, hole_depth_share=depth, nodule_depth_share=0.5)
            half = int(np.ceil(lesion.reach_mm(item)))
            axis = (np.arange(2 * half) - half).astype(np.float32)
            calm = replace(item.nuisances, nodules=1, heterogeneity=0.0, rim_factor=0.7)
            made = lesion.build(
                replace(item, visible=seen, nuisances=calm),
                Cube((axis, axis, axis), 1.0, 0, ("a", item.nuisances.holes)),
            )
            shares.append((made.uptake[made.drawn] < 0.12).mean())
        dark[depth] = np.mean(shares)
    # Just under the rim a third of a small ball is lost in it; balls that overlap in the middle would lose half.
    assert dark[1.0] == pytest.approx(dark[0.0], rel=0.35)


def test_directions_keep_apart() -> None:
    rng = np.random.default_rng(0)
    nearest = []
    for _ in range(200):
        vectors = lesion._directions(rng, 4)
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(1)
        nearest.append(np.degrees(np.arccos((vectors @ vectors.T)[np.triu_indices(4, 1)].max())))
    assert np.median(nearest) > 60  # four random directions: about 40 degrees
