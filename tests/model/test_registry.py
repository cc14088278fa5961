"""Networks by name: sizes, round trip of the architecture, refusals."""

import json

import pytest
import torch

from rnfm.core.errors import ConfigError
from rnfm.model import create_model, names


@pytest.mark.parametrize(
    ("name", "parameters"),
    # Blocks and final norm of a ViT: depth * (12 E^2 + 10 E) + 2 E (qkv has no bias), worked out by hand.
    [("vit_micro", 446_400), ("vit_mini", 2_666_112), ("vit_tiny", 5_331_840), ("vit_small", 21_280_512)]
    + [("vit_base", 85_028_352), ("vit_large", 302_237_696), ("vit_huge", 629_557_760)],
)
def test_the_family_has_the_sizes_of_its_table(name, parameters):
    with torch.device("meta"):
        model = create_model(name, crop=(32, 48, 64), patch=16)
    assert sum(p.numel() for p in [*model.blocks.parameters(), *model.norm.parameters()]) == parameters
    assert model.grid == (2, 3, 4)


def test_widths_that_6_does_not_divide_work():
    model = create_model("vit_micro", crop=8, patch=4, dim=32, heads=4, depth=1)
    assert model.position[:, 30:].abs().max() == 0
    assert model(torch.zeros(1, 1, 8, 8, 8)).shape == (1, 32)


def test_the_architecture_survives_json_and_recreates_the_network():
    settings = {
        "in_channels": 2,
        "num_classes": 3,
        "crop": (8, 8, 4),
        "patch": (4, 4, 2),
        "pooling": "mask",
        "depth": 1,
    }
    model = create_model("vit_micro", **settings)
    architecture = json.loads(json.dumps(model.architecture))
    assert architecture == model.architecture
    again = create_model(**architecture)
    assert again.architecture == model.architecture
    again.load_state_dict(model.state_dict())
    x = torch.rand(1, 2, 8, 8, 4)
    assert torch.equal(again(x), model(x))


def test_the_architecture_names_every_setting_so_that_defaults_may_change():
    assert set(create_model("vit_micro", crop=8, patch=4).architecture) == {
        "name", "in_channels", "num_classes", "crop", "patch", "pooling", "dim", "depth", "heads", "mlp_ratio", "position",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"name": "vit_bas"}, r"model: 'vit_bas' is not a model \(did you mean 'vit_base'\?\)"),
        ({"name": "vit_micro", "dpeth": 3}, r"'dpeth' is not a setting of it \(did you mean 'depth'\?\)"),
        ({"name": "vit_micro", "heads": 5}, "heads: 5 do not divide the width 96"),
        ({"name": "vit_micro", "position": "rope"}, "position: is 'rope'. Use 'sincos' or 'learned'"),
        ({"name": "vit_micro", "in_channels": 0}, "in_channels=0"),
        ({"name": "vit_micro", "crop": 33}, "does not divide the crop"),
        ({"name": "resnet10", "depth": 3}, "'depth' is not a setting of it. Leave it out"),
    ],
)
def test_refusals(arguments, sentence):
    with pytest.raises(ConfigError, match=sentence):
        create_model(**{"crop": 32, "patch": 16} | arguments)


def test_every_name_is_listed():
    assert {"vit_micro", "vit_huge", "resnet10"} <= set(names())
