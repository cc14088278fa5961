"""Weights into a changed network: what must stay equal stays equal, and each parameter is accounted for."""

import pytest
import torch

from rnfm.core.errors import ConfigError
from rnfm.model import adapt, create_model


def make(name="vit_micro", seed=0, **settings):
    torch.manual_seed(seed)
    tiny = {"dim": 24, "depth": 2, "heads": 3} if name.startswith("vit") else {}
    return create_model(name, **{"crop": 8, "patch": 4, **tiny, **settings}).eval()


def transplant(source, target):
    return adapt(target, source.state_dict(), source=source.architecture)


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("name", ["vit_micro", "resnet10"])
def test_new_channels_do_not_change_the_features_and_can_learn(name, channels):
    crop = {"crop": 16} if name == "resnet10" else {}
    one, more = make(name, **crop), make(name, in_channels=channels, seed=1, **crop)
    coverage = transplant(one, more)
    one, more = one.double(), more.double()  # another order of summation alone costs 1e-6 in float32
    x = torch.randn(2, 1, *one.crop, dtype=torch.float64)
    padded = torch.cat((x, torch.zeros(2, channels - 1, *one.crop, dtype=torch.float64)), dim=1)
    torch.testing.assert_close(more(padded), one(x), atol=1e-9, rtol=0)
    assert coverage.adapted == {one.input_weight: f"1 to {channels} input channels, the new ones with zero weights"}
    padded[:, 1:] = torch.rand(2, channels - 1, *one.crop)
    torch.testing.assert_close(more(padded), one(x), atol=1e-9, rtol=0)
    more(padded).square().sin().sum().backward()
    gradient = more.get_parameter(more.input_weight).grad
    assert (gradient != 0).float().mean() > 0.9


def test_two_channels_become_three_in_order():
    two, three = make(in_channels=2), make(in_channels=3, seed=1)
    transplant(two, three)
    x = torch.randn(2, 3, 8, 8, 8)
    torch.testing.assert_close(three(x), two(x[:, :2]), atol=1e-6, rtol=0)


def test_another_crop_computes_sincos_anew():
    small, large = make(), make(crop=(12, 8, 16), seed=1)
    coverage = transplant(small, large)
    assert coverage.adapted == coverage.new == coverage.unused == {}
    assert large.position.shape == (3 * 2 * 4, 24)


def test_another_crop_resizes_learned_positions_and_keeps_their_trend():
    small, large = make(position="learned"), make(crop=(16, 8, 8), position="learned", seed=1)
    with torch.no_grad():
        small.position.copy_(torch.tensor([1.0] * 4 + [2.0] * 4).unsqueeze(1))  # 1 in the first plane, 2 in the second
    coverage = transplant(small, large)
    assert coverage.adapted == {"position": "grid 2x2x2 to 4x2x2, trilinear"}
    expected = torch.tensor([1.0, 1.25, 1.75, 2.0]).repeat_interleave(4)  # centres of halves, borders held
    torch.testing.assert_close(large.position, expected.unsqueeze(1).expand(-1, 24))


def test_every_parameter_is_accounted_for_once():
    source, target = make(num_classes=2), make(in_channels=2, num_classes=3, seed=1)
    state = source.state_dict() | {"stray": torch.zeros(1)}
    coverage = adapt(target, state, source=source.architecture)
    fates = [*coverage.loaded, *coverage.adapted, *coverage.new]
    assert sorted(fates) == sorted(target.state_dict())
    assert coverage.new == dict.fromkeys(["head.weight", "head.bias"], "a new head of 3 classes")
    unused = {"head.weight": "another head", "head.bias": "another head", "stray": "not a parameter of this model"}
    assert coverage.unused == unused
    assert torch.equal(target.cls_token, source.cls_token)


def test_a_head_of_the_same_classes_is_kept():
    source, target = make(num_classes=2), make(num_classes=2, seed=1)
    assert transplant(source, target).new == {}
    assert torch.equal(source.head.weight, target.head.weight)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"dim": 48}, "model: dim=48, its weights have 24. Keep their dim."),
        ({"depth": 3}, "model: depth=3, its weights have 2"),
        ({"heads": 4}, "model: heads=4, its weights have 3"),
        ({"crop": 16, "patch": 8}, "model: patch=.8, 8, 8., its weights have .4, 4, 4."),
        ({"position": "learned"}, "model: position=learned, its weights have sincos"),
        ({"name": "resnet10", "crop": 16}, "model: depth=None, its weights have 2"),
    ],
)
def test_what_cannot_be_adapted_is_refused_before_anything_is_copied(settings, sentence):
    source, target = make(), make(seed=1, **settings)
    before = {name: value.clone() for name, value in target.state_dict().items()}
    with pytest.raises(ConfigError, match=sentence):
        transplant(source, target)
    assert all(torch.equal(value, before[name]) for name, value in target.state_dict().items())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"norm.weight": None}, "norm.weight: the weights hold no such parameter"),
        ({"norm.weight": torch.ones(7)}, r"norm.weight: has shape \(7,\) and cannot become \(24,\)"),
    ],
)
def test_a_missing_or_misshapen_parameter_is_refused_before_anything_is_copied(change, sentence):
    source, target = make(), make(seed=1)
    state = {name: value for name, value in (source.state_dict() | change).items() if value is not None}
    before = target.cls_token.clone()
    with pytest.raises(ConfigError, match=sentence):
        adapt(target, state, source=source.architecture)
    assert torch.equal(target.cls_token, before)


def test_fewer_channels_are_refused():
    with pytest.raises(ConfigError, match="takes 1 input channels, its weights were made for 2"):
        transplant(make(in_channels=2), make())
