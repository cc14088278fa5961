"""Rollout against hand-set attention and naive loops; maps on their grid."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rnfm.core.errors import ConfigError
from rnfm.explain import attention_map, class_map, pooled_map, rollout, upsample_map
from rnfm.model import create_model


def attentions(layers, batch, heads, tokens, seed=0, dtype=torch.float64):
    torch.manual_seed(seed)
    return [torch.randn(batch, heads, tokens, tokens, dtype=dtype).mul(2).softmax(-1) for _ in range(layers)]


def naive(layers, fusion, alpha):
    fuse = {"mean": lambda v: sum(v) / len(v), "max": max, "min": min}[fusion]
    products = []
    for b in range(layers[0].shape[0]):
        product = None
        for layer in layers:
            heads, tokens = layer.shape[1], layer.shape[2]
            mixed = np.zeros((tokens, tokens))
            for i in range(tokens):
                for j in range(tokens):
                    mixed[i, j] = alpha * fuse([float(layer[b, h, i, j]) for h in range(heads)]) + (1 - alpha) * (
                        i == j
                    )
                mixed[i] /= sum(mixed[i])
            product = mixed if product is None else np.dot(mixed, product)
        products.append(product)
    return np.stack(products)


@pytest.mark.parametrize("fusion", ["mean", "max", "min"])
@pytest.mark.parametrize("alpha", [0.5, 0.9, 0.0])
def test_rollout_equals_the_loops(fusion, alpha):
    layers = attentions(layers=3, batch=2, heads=3, tokens=5)
    np.testing.assert_allclose(rollout(layers, fusion, alpha), naive(layers, fusion, alpha), atol=1e-14)


def test_hand_set_attention_two_layers():
    """Layer 1: the class token looks at patch 1 only. Layer 2: it looks at patch 2 only, and patch 2 looks at itself.

    A'_1 = [[.5 .5 0] [0 1 0] [0 0 1]], A'_2 = [[.5 0 .5] [0 1 0] [0 0 1]]; their product's first row, last layer down,
    is [.25 .25 .5]. The product the other way round would give [.25 .5 .25].
    """
    eye = torch.eye(3)
    first, second = eye.clone(), eye.clone()
    first[0], second[0] = torch.tensor([0.0, 1, 0]), torch.tensor([0.0, 0, 1])
    product = rollout([first[None, None], second[None, None]])
    assert product[0].tolist() == [[0.25, 0.25, 0.5], [0, 1, 0], [0, 0, 1]]


def test_hand_set_heads_are_fused_as_asked():
    heads = torch.tensor([[[0.8, 0.2], [0.5, 0.5]], [[0.4, 0.6], [0.5, 0.5]]])[None]
    first_row = {fusion: rollout([heads], fusion)[0, 0].tolist() for fusion in ("mean", "max", "min")}
    assert first_row["mean"] == pytest.approx([0.8, 0.2])
    assert first_row["max"] == pytest.approx([0.9 / 1.2, 0.3 / 1.2])
    assert first_row["min"] == pytest.approx([0.7 / 0.8, 0.1 / 0.8])


@settings(max_examples=40, deadline=None)
@given(
    layers=st.integers(1, 4),
    heads=st.integers(1, 3),
    tokens=st.integers(2, 6),
    alpha=st.floats(0, 1),
    fusion=st.sampled_from(["mean", "max", "min"]),
    seed=st.integers(0, 1000),
)
def test_rows_sum_to_one_and_shares_are_not_negative(layers, heads, tokens, alpha, fusion, seed):
    product = rollout(attentions(layers, 2, heads, tokens, seed), fusion, alpha)
    torch.testing.assert_close(product.sum(-1), torch.ones(2, tokens, dtype=torch.float64))
    assert product.min() >= 0


def test_a_row_that_the_minimum_empties_stays_with_its_own_token():
    heads = torch.tensor([[[0.0, 1.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]])[None]
    assert rollout([heads], "min", alpha=1.0)[0].tolist() == [[1, 0], [0, 1]]


def test_the_class_map_leaves_the_class_token_out_and_keeps_the_order_of_tokens():
    product = torch.zeros(1, 9, 9)
    product[0, 0] = torch.arange(9) / 36
    shares = class_map(product, (2, 1, 4))
    assert shares.shape == (1, 2, 1, 4)
    torch.testing.assert_close(shares[0, 1, 0], torch.tensor([5, 6, 7, 8]) / 36)


def test_the_pooled_map_weights_the_rows_of_the_tokens_that_are_pooled():
    product = rollout(attentions(2, 1, 2, 5))
    weights = torch.tensor([[0.5, 0.0, 0.0, 0.5]])
    expected = (product[0, 1, 1:] + product[0, 4, 1:]) / 2
    torch.testing.assert_close(pooled_map(product, (1, 2, 2), weights)[0].flatten(), expected)


def test_upsampling_keeps_a_constant_and_interpolates_between_centres():
    assert torch.equal(upsample_map(torch.full((1, 2, 2, 2), 0.3), (8, 8, 8)), torch.full((1, 8, 8, 8), 0.3))
    line = upsample_map(torch.tensor([0.0, 1.0]).reshape(1, 2, 1, 1), (4, 1, 1))
    assert line.flatten().tolist() == [0.0, 0.25, 0.75, 1.0]


@pytest.mark.parametrize("pooling", ["cls", "mean", "mask"])
def test_the_map_of_a_model_follows_its_pooling(pooling):
    torch.manual_seed(0)
    model = create_model(
        "vit_micro", in_channels=2, crop=(8, 4, 12), patch=4, pooling=pooling, dim=12, depth=2, heads=2
    )
    x = torch.rand(2, 2, 8, 4, 12)
    product = rollout(model.forward_features(x, attention=True).attentions)
    weights = {"cls": None, "mean": torch.full((2, 6), 1 / 6), "mask": model.patch_weights(x)}[pooling]
    rows = product[:, 0, 1:] if weights is None else (weights[:, :, None] * product[:, 1:, 1:]).sum(1)
    expected = upsample_map(rows.reshape(2, 2, 1, 3), (8, 4, 12))
    torch.testing.assert_close(attention_map(model, x), expected)
    assert attention_map(model, x).shape == (2, 8, 4, 12)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (([torch.eye(3)[None, None]], "median"), "fusion='median' is not known. Use one of mean, max, min"),
        (([torch.eye(3)[None, None]], "mean", 1.5), "alpha=1.5 is not between 0 and 1"),
        (([],), "no attention weights were given"),
        (([torch.eye(3)[None]],), r"layers have shapes \(1, 3, 3\), not one"),
        (([torch.eye(3)[None, None], torch.eye(4)[None, None]],), r"\(1, 1, 3, 3\), \(1, 1, 4, 4\)"),
    ],
)
def test_refusals(arguments, sentence):
    with pytest.raises(ConfigError, match=sentence):
        rollout(*arguments)


def test_a_grid_of_another_size_is_refused():
    with pytest.raises(ConfigError, match="4 patch tokens do not fill the grid 2x2x2"):
        class_map(torch.eye(5)[None], (2, 2, 2))


def test_a_network_without_attention_is_refused():
    with pytest.raises(ConfigError, match="a CNN has no attention weights"):
        attention_map(create_model("resnet10", crop=16), torch.zeros(1, 1, 16, 16, 16))
