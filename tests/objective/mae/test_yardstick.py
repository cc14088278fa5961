"""Predictors that learned nothing, against hand-worked volumes and naive loops."""

import math

import numpy as np
import pytest
import torch

from rnfm.model import create_model
from rnfm.objective.mae import MaeConfig, build
from rnfm.objective.mae.yardstick import SIGMA_PATCHES, blurred_input, mean_intensity

PATCH = (2, 2, 4)


@pytest.fixture
def scene():
    torch.manual_seed(0)
    x = torch.randn(2, 2, 4, 4, 8, dtype=torch.float64)
    hidden = torch.zeros(2, 1, 4, 4, 8, dtype=torch.bool)
    hidden[0, :, :2, :2, :4] = True
    hidden[1, :, 2:, :, :] = True
    return x, hidden


def test_the_mean_of_the_visible_voxels_is_painted_a_sample_and_channel(scene):
    x, hidden = scene
    painted = mean_intensity(x, hidden, PATCH)
    for b in range(2):
        for c in range(2):
            inside, volume = hidden[b, 0], x[b, c]
            assert torch.equal(painted[b, c][~inside], volume[~inside])
            np.testing.assert_allclose(painted[b, c][inside], volume[~inside].mean(), rtol=1e-12)


def test_the_blur_is_the_gaussian_mean_of_the_visible_voxels(scene):
    x, hidden = scene
    painted = blurred_input(x, hidden, PATCH)
    places = list(np.ndindex(4, 4, 8))
    for b, voxel in ((0, (0, 0, 0)), (0, (1, 1, 3)), (1, (2, 3, 5)), (1, (3, 0, 0))):
        for c in range(2):
            total = weight = 0.0
            for other in places:
                if not hidden[(b, 0, *other)]:
                    far = sum(((i - j) / (SIGMA_PATCHES * p)) ** 2 for i, j, p in zip(voxel, other, PATCH, strict=True))
                    weight += math.exp(-far / 2)
                    total += math.exp(-far / 2) * float(x[(b, c, *other)])
            assert float(painted[(b, c, *voxel)]) == pytest.approx(total / weight, rel=1e-10)
    assert torch.equal(painted[:, :, 2:, 2:, 4:][0], x[:, :, 2:, 2:, 4:][0])


def test_the_blur_falls_back_to_the_mean_where_nothing_visible_is_near():
    x = torch.zeros(1, 1, 40, 1, 1)
    x[0, 0, 0] = 4.0
    hidden = torch.ones(1, 1, 40, 1, 1, dtype=torch.bool)
    hidden[0, 0, :2] = False
    painted = blurred_input(x, hidden, (4, 1, 1))
    assert painted[0, 0, 39, 0, 0] == 2.0  # 38 sigma away
    assert torch.isfinite(painted).all()


def make(normalise):
    torch.manual_seed(0)
    backbone = create_model("vit_micro", crop=16, patch=4, dim=12, depth=1, heads=2)
    return build(MaeConfig(normalise=normalise), backbone)


def test_scores_on_a_constant_volume_are_perfect_and_on_a_smooth_one_the_blur_wins():
    mae, index = make(False), torch.arange(2)
    flat = mae.views({"x_BCDHW": torch.full((2, 1, 16, 16, 16), 3.0), "index_B": index}, seed=0, epoch=0)
    assert mae.trivial_losses(flat) == pytest.approx({"mean_intensity": 0, "blurred_input": 0}, abs=1e-9)
    ramp = torch.linspace(-1, 1, 16).reshape(1, 1, 16, 1, 1).expand(2, 1, 16, 16, 16)
    scores = mae.trivial_losses(mae.views({"x_BCDHW": ramp, "index_B": index}, seed=0, epoch=0))
    assert scores["blurred_input"] < 0.3 * scores["mean_intensity"]
    assert scores["mean_intensity"] == pytest.approx(float(ramp.square().mean()), rel=0.2)


def test_scores_are_in_the_models_own_target_space():
    x = torch.randn(2, 1, 16, 16, 16)
    batch = {"x_BCDHW": x, "index_B": torch.arange(2)}
    raw = make(normalise=False)
    views = raw.views(batch, seed=0, epoch=0)
    hidden = raw._hidden_voxels(views["mask_BN"])
    errors = (x - mean_intensity(x, hidden, (4, 4, 4)))[hidden].square()
    assert raw.trivial_losses(views)["mean_intensity"] == pytest.approx(float(errors.mean()), rel=1e-6)

    # One value a patch becomes zero when normalised, which is what a decoder with zero weights says.
    normalised = make(normalise=True)
    torch.nn.init.zeros_(normalised.decoder.to_voxels.weight)
    with torch.no_grad():
        loss = float(normalised(views).total)
    assert normalised.trivial_losses(views)["mean_intensity"] == pytest.approx(loss, rel=1e-6)
    assert loss == pytest.approx(63 / 64, rel=1e-4)  # of an unbiased variance of 1 over 64 voxels
