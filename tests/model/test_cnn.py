"""MONAI's ResNet behind the interface of the transformers."""

import pytest
import torch

from rnfm.core.errors import ConfigError
from rnfm.model import create_model


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return create_model("resnet10", crop=(16, 17, 32), num_classes=2).eval()


def test_features_are_monais_own(model):
    x = torch.randn(2, 1, 16, 17, 32)
    features = model.forward_features(x)
    torch.testing.assert_close(features.cls_BE, model.net(x))
    torch.testing.assert_close(features.patch_BNE.mean(dim=1), features.cls_BE)
    assert features.patch_BNE.shape == (2, 1 * 2 * 2, 512)
    assert model.grid == (1, 2, 2)
    torch.testing.assert_close(model(x), model.head(features.cls_BE))


def test_the_architecture_recreates_it(model):
    again = create_model(**model.architecture)
    again.load_state_dict(model.state_dict())
    assert again.architecture == model.architecture


def test_it_has_no_tokens_and_no_attention(model):
    assert not model.has_tokens
    with pytest.raises(
        ConfigError, match="resnet10: a CNN has no attention weights. Use a ViT, or another explanation."
    ):
        model.forward_features(torch.zeros(1, 1, 16, 17, 32), attention=True)
