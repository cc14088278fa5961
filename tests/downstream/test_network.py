"""One network on training crops: keyed randomness, the class weight, what is frozen, and how fast each part learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rnfm.core import DataError
from rnfm.downstream import FinetuneConfig
from rnfm.downstream.crops import Crops
from rnfm.downstream.network import learn, make_backbone, seeded
from rnfm.downstream.protocol import Fit

FIT = Fit("holdout", -1, np.arange(0), np.arange(0), ())
SHORT = {
    "volumes": [Path("v")],
    "split": Path("s"),
    "out": Path("o"),
    "crop": 16,
    "epochs": 2,
    "shift_vox": 0,
    "device": "cpu",
}


def crops_of(count: int = 12, positives: int = 4) -> Crops:
    random = np.random.default_rng(0)
    label = (np.arange(count) < positives).astype(np.int64)
    image = random.normal(size=(count, 16, 16, 16)) + 2 * label[:, None, None, None]
    return Crops(image.astype(np.float16), image > 1, label, np.array([f"p{i}" for i in range(count)]), 0)


def fitted(**changes):
    config = FinetuneConfig(**SHORT | changes)
    make, _ = make_backbone(config)
    return learn(config, make, crops_of(), FIT, seed=0), make


def test_two_runs_are_equal_bit_for_bit_whatever_the_global_generator_holds():
    first, _ = fitted()
    torch.manual_seed(99)
    second, _ = fitted()
    assert first.losses == second.losses
    np.testing.assert_array_equal(first.logits(crops_of()), second.logits(crops_of()))


def test_another_fold_is_another_model():
    config = FinetuneConfig(**SHORT)
    make, _ = make_backbone(config)
    other = learn(config, make, crops_of(), Fit("cv", 1, np.arange(0), np.arange(0), ()), seed=0)
    assert not np.array_equal(other.logits(crops_of()), fitted()[0].logits(crops_of()))


def test_the_global_generator_is_left_as_it_was():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with seeded(1):
        torch.rand(7)
    assert torch.equal(torch.rand(3), expected)


def test_the_class_weight_is_taken_out_of_the_logit():
    network, _ = fitted()
    assert network.shift == pytest.approx(-np.log(8 / 4))
    assert fitted(balance=False)[0].shift == 0.0


def test_a_network_that_learns_nothing_but_its_bias_gives_the_prevalence():
    """With the class weight 2 the best constant logit is 0; taken out, the probability is that of the training rows."""
    config = FinetuneConfig(**SHORT | {"epochs": 1, "lr": 1e-12})
    make, _ = make_backbone(config)

    def silent(seed: int):
        model = make(seed)
        torch.nn.init.zeros_(model.head.weight)
        return model

    network = learn(config, silent, crops_of(), FIT, seed=0)
    np.testing.assert_allclose(network.probability(crops_of()), 4 / 12, atol=1e-6)


def test_the_loss_falls():
    network, _ = fitted(epochs=8)
    assert network.losses[-1] < 0.7 * network.losses[0]


def changed(network, start) -> set[str]:
    before = start.state_dict()
    return {name for name, value in network.model.state_dict().items() if not torch.equal(value, before[name])}


def test_a_frozen_backbone_does_not_move_and_its_head_does(foundation):
    network, _ = fitted(foundation=foundation, freeze="backbone")
    source, _ = make_backbone(FinetuneConfig(**SHORT | {"foundation": foundation}))
    assert changed(network, source(0)) == {"head.weight", "head.bias"}


def test_the_foundation_moves_more_slowly_than_the_head(foundation):
    def distance(scale: float) -> float:
        network, make = fitted(foundation=foundation, backbone_lr_scale=scale, epochs=1, weight_decay=0)
        start = make(0).state_dict()["blocks.0.mlp.0.weight"]
        return float((network.model.state_dict()["blocks.0.mlp.0.weight"] - start).abs().mean())

    assert distance(0.01) < 0.05 * distance(1.0)


def test_a_loss_that_is_no_number_stops_with_a_sentence():
    crops = crops_of()
    crops.image_NDHW[:] = np.inf
    config = FinetuneConfig(**SHORT)
    make, _ = make_backbone(config)
    with pytest.raises(DataError) as caught:
        learn(config, make, crops, FIT, seed=0)
    assert str(caught.value) == "fine-tuning: the loss is no number after epoch 1. Lower lr."
