"""The transformer against a float64 NumPy forward pass written from the paper's equations, and its two attention modes."""

import math

import numpy as np
import pytest
import torch

from rnfm.core.errors import ConfigError
from rnfm.model import create_model, patchify, sincos3d

TINY = {"dim": 24, "depth": 2, "heads": 3}


def tiny(seed=0, **settings):
    torch.manual_seed(seed)
    arguments = {"crop": (4, 6, 8), "patch": 2, **TINY, **settings}
    return create_model("vit_micro", **arguments).double()


def numpy_forward(model, tokens_BNE):
    """Blocks and final norm by the textbook, a head and a row at a time."""
    p = {name: value.detach().numpy() for name, value in model.state_dict().items()}

    def norm(x, name):
        mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        return (x - mean) / np.sqrt(var + 1e-6) * p[f"{name}.weight"] + p[f"{name}.bias"]

    def linear(x, name):
        return x @ p[f"{name}.weight"].T + p.get(f"{name}.bias", 0)

    erf = np.vectorize(math.erf)
    x = np.concatenate([np.broadcast_to(p["cls_token"], (len(tokens_BNE), 1, model.embed_dim)), tokens_BNE], axis=1)
    heads, width = model.architecture["heads"], model.embed_dim // model.architecture["heads"]
    maps = []
    for layer in range(model.architecture["depth"]):
        qkv = linear(norm(x, f"blocks.{layer}.norm1"), f"blocks.{layer}.attention.qkv")
        q, k, v = np.split(qkv, 3, axis=-1)
        mixed, weights = np.zeros_like(x), np.zeros((len(x), heads, x.shape[1], x.shape[1]))
        for b in range(len(x)):
            for head in range(heads):
                part = slice(head * width, (head + 1) * width)
                scores = np.exp(q[b, :, part] @ k[b, :, part].T / math.sqrt(width))
                weights[b, head] = scores / scores.sum(axis=1, keepdims=True)
                mixed[b, :, part] = weights[b, head] @ v[b, :, part]
        x = x + linear(mixed, f"blocks.{layer}.attention.out")
        hidden = linear(norm(x, f"blocks.{layer}.norm2"), f"blocks.{layer}.mlp.0")
        x = x + linear(hidden * 0.5 * (1 + erf(hidden / math.sqrt(2))), f"blocks.{layer}.mlp.2")
        maps.append(weights)
    return norm(x, "norm"), maps


def test_forward_equals_the_numpy_reference():
    model = tiny(in_channels=2)
    with torch.no_grad():
        for parameter in model.parameters():  # biases and norms away from their initial zeros and ones
            parameter.add_(0.1 * torch.randn_like(parameter))
        x = torch.randn(2, 2, 4, 6, 8, dtype=torch.float64)
        features = model.forward_features(x, attention=True)
        embed = model.patch_embed
        tokens = patchify(x, 2).numpy() @ embed.weight.numpy().T + embed.bias.numpy()
        expected, maps = numpy_forward(model, tokens + sincos3d((2, 3, 4), 24).double().numpy())
    np.testing.assert_allclose(features.cls_BE, expected[:, 0], atol=1e-10)
    np.testing.assert_allclose(features.patch_BNE, expected[:, 1:], atol=1e-10)
    np.testing.assert_allclose(torch.stack(features.attentions), np.stack(maps), atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_asking_for_attention_does_not_change_the_features(dtype):
    model = tiny().to(dtype)
    x = torch.randn(2, 1, 4, 6, 8)
    with_maps, without = model.forward_features(x, attention=True), model.forward_features(x)
    tolerance = 2e-6 if dtype is torch.float32 else 5e-2
    torch.testing.assert_close(with_maps.cls_BE, without.cls_BE, atol=tolerance, rtol=0)
    torch.testing.assert_close(with_maps.patch_BNE, without.patch_BNE, atol=tolerance, rtol=0)
    assert without.attentions == []
    assert [tuple(layer.shape) for layer in with_maps.attentions] == [(2, 3, 25, 25)] * 2
    torch.testing.assert_close(with_maps.attentions[0].float().sum(-1), torch.ones(2, 3, 25), atol=1e-2, rtol=0)


def test_tokens_carry_their_positions_so_their_order_does_not_matter():
    model = tiny()
    tokens = model.tokens_of(torch.randn(2, 1, 4, 6, 8, dtype=torch.float64))
    order = torch.randperm(tokens.shape[1])
    straight, shuffled = model.encode(tokens), model.encode(tokens[:, order])
    torch.testing.assert_close(straight.cls_BE, shuffled.cls_BE)
    torch.testing.assert_close(straight.patch_BNE[:, order], shuffled.patch_BNE)


def test_sincos_positions_are_not_part_of_the_state_and_learned_ones_are():
    assert "position" not in tiny().state_dict()
    learned = tiny(position="learned")
    assert learned.state_dict()["position"].shape == (24, 24)
    assert learned.position.requires_grad


def test_every_parameter_is_trained():
    model = tiny(num_classes=2, pooling="cls", position="learned")
    model(torch.randn(2, 1, 4, 6, 8, dtype=torch.float64)).square().sum().backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


def test_the_fused_qkv_is_drawn_as_three_square_maps():
    model = tiny(dim=96, heads=4)
    bound = math.sqrt(6 / (96 + 96))
    weight = model.blocks[0].attention.qkv.weight
    assert 0.97 * bound < weight.abs().max() <= bound


def test_input_of_another_shape_is_refused():
    with pytest.raises(ConfigError, match=r"has shape \(1, 2, 4, 6, 8\), expected \(B, 1, 4, 6, 8\)"):
        tiny()(torch.zeros(1, 2, 4, 6, 8))
