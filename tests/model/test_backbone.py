"""Pooling: whose token speaks for the whole input."""

import pytest
import torch

from rnfm.core.errors import ConfigError
from rnfm.model import create_model


def make(pooling, **settings):
    torch.manual_seed(0)
    return create_model(
        "vit_micro", in_channels=2, crop=8, patch=4, pooling=pooling, dim=12, depth=1, heads=2, **settings
    )


@pytest.fixture
def x():
    torch.manual_seed(1)
    x = torch.randn(3, 2, 8, 8, 8)
    x[:, 1] = 0
    return x


def test_cls_and_mean_pooling(x):
    model = make("cls")
    features = model.forward_features(x)
    assert torch.equal(model(x), features.cls_BE)
    torch.testing.assert_close(make("mean")(x), features.patch_BNE.mean(dim=1))


def test_mask_pooling_weights_tokens_by_their_share_of_the_lesion_and_falls_back_to_the_mean(x):
    model = make("mask")
    x[0, 1, :4, :4, :4] = 1  # the whole of token 0
    x[0, 1, 4:6, 4:, 4:] = 1  # half of token 7
    x[1, 1, 5, 1, 6] = 1  # one voxel of token 5 (d=1, h=0, w=1)
    weights = model.patch_weights(x)
    assert weights[0].tolist() == pytest.approx([2 / 3, 0, 0, 0, 0, 0, 0, 1 / 3])
    assert weights[1].tolist() == [0, 0, 0, 0, 0, 1, 0, 0]
    assert weights[2].tolist() == [0.125] * 8
    patch = model.forward_features(x).patch_BNE
    expected = torch.stack((patch[0, 0] * 2 / 3 + patch[0, 7] / 3, patch[1, 5], patch[2].mean(dim=0)))
    torch.testing.assert_close(model(x), expected)


def test_logits_are_a_linear_map_of_the_pooled_features(x):
    model = make("mean", num_classes=3)
    pooled = model.pool(model.forward_features(x), x)
    torch.testing.assert_close(model(x), pooled @ model.head.weight.T + model.head.bias)
    assert model(x).shape == (3, 3)


def test_mask_pooling_needs_a_mask_channel():
    with pytest.raises(ConfigError, match="'mask' needs a lesion mask as last of two or more channels"):
        create_model("vit_micro", crop=8, patch=4, pooling="mask")


def test_an_unknown_pooling_is_refused():
    with pytest.raises(ConfigError, match="pooling: is 'max'. Use one of cls, mean, mask"):
        make("max")
