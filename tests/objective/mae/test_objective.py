"""The masked autoencoder: what is hidden, what may be seen, and that ranks and batches do not matter."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rnfm.core import keyed
from rnfm.core.errors import ConfigError
from rnfm.model import create_model, patchify
from rnfm.objective.mae import MaeConfig, build

TOKENS = 27


def make(normalise=False, in_channels=1, **config):
    torch.manual_seed(0)
    backbone = create_model("vit_micro", in_channels=in_channels, crop=12, patch=4, dim=24, depth=2, heads=3)
    return build(MaeConfig(normalise=normalise, decoder_depth=1, **config), backbone).double()


def batch_of(indices, channels=1):
    rows = [keyed.rng(1, "x", i).normal(size=(channels, 12, 12, 12)).cumsum(axis=1) for i in indices]
    return {"x_BCDHW": torch.from_numpy(np.stack(rows)), "index_B": torch.tensor(list(indices))}


@settings(max_examples=20, deadline=None)
@given(ratio=st.floats(0.05, 0.95), seed=st.integers(0, 2**40), epoch=st.integers(0, 1000))
def test_every_sample_hides_exactly_its_share(ratio, seed, epoch):
    views = make(mask_ratio=ratio).views(batch_of([3, 8]), seed=seed, epoch=epoch)
    hidden = round(ratio * TOKENS)
    assert views["mask_BN"].sum(dim=1).tolist() == [hidden] * 2
    for keep, mask in zip(views["keep_BV"], views["mask_BN"], strict=True):
        assert keep.tolist() == [token for token in range(TOKENS) if not mask[token]]


def test_every_token_is_hidden_equally_often():
    indices = range(2000)
    batch = {"x_BCDHW": torch.zeros(2000, 1, 1, 1, 1), "index_B": torch.arange(2000)}
    share = make().views(batch, seed=0, epoch=0)["mask_BN"].float().mean(dim=0)
    expected = 20 / 27
    five_sd = 5 * (expected * (1 - expected) / len(indices)) ** 0.5
    assert (share - expected).abs().max() < five_sd


def test_masks_follow_seed_epoch_and_sample_and_not_the_batch():
    mae = make()
    whole = mae.views(batch_of([4, 7, 9]), seed=5, epoch=2)["mask_BN"]
    parts = [mae.views(batch_of([i]), seed=5, epoch=2)["mask_BN"] for i in (9, 4)]
    assert torch.equal(torch.cat(parts), whole[[2, 0]])
    for other in ({"seed": 6, "epoch": 2}, {"seed": 5, "epoch": 3}):
        assert not torch.equal(mae.views(batch_of([4, 7, 9]), **other)["mask_BN"], whole)


def test_two_ranks_with_half_the_batch_average_to_one_rank():
    mae = make()

    def gradients(indices):
        mae.zero_grad()
        losses = mae(mae.views(batch_of(indices), seed=0, epoch=0))
        losses.total.backward()
        return losses.total.item(), [p.grad.clone() for p in mae.parameters()]

    whole, left, right = gradients([0, 1, 2, 3]), gradients([0, 1]), gradients([2, 3])
    assert (left[0] + right[0]) / 2 == pytest.approx(whole[0], rel=1e-12)
    for one, a, b in zip(whole[1], left[1], right[1], strict=True):
        torch.testing.assert_close((a + b) / 2, one, rtol=1e-9, atol=1e-12)


def test_predictions_are_blind_to_hidden_voxels():
    mae = make()
    views = mae.views(batch_of([0, 1]), seed=0, epoch=0)
    views["x_BCDHW"].requires_grad_()
    predictions = []
    mae.decoder.register_forward_hook(lambda module, inputs, pred: predictions.append(pred))
    mae(views)
    predictions[0].square().sum().backward()
    seen = patchify(views["x_BCDHW"].grad, 4)[~views["mask_BN"]]
    assert patchify(views["x_BCDHW"].grad, 4)[views["mask_BN"]].abs().max() == 0
    assert (seen != 0).all()

    with torch.no_grad():
        first = mae(views).outputs["pred_BNP"]
        views["x_BCDHW"] = torch.where(mae._hidden_voxels(views["mask_BN"]), 1e3, views["x_BCDHW"])
        assert torch.equal(mae(views).outputs["pred_BNP"], first)


def test_the_loss_is_the_mean_squared_error_of_the_hidden_patches():
    for normalise in (False, True):
        mae = make(normalise)
        views = mae.views(batch_of([0, 1]), seed=0, epoch=0)
        losses = mae(views)
        target, errors = patchify(views["x_BCDHW"], 4).numpy(), []
        for b, n in views["mask_BN"].nonzero().tolist():
            patch = target[b, n]
            if normalise:
                patch = (patch - patch.mean()) / np.sqrt(patch.var(ddof=1) + 1e-6)
            errors.append(np.mean((losses.outputs["pred_BNP"][b, n].numpy() - patch) ** 2))
        assert float(losses.total.detach()) == pytest.approx(np.mean(errors), rel=1e-10)


def test_half_precision_networks_are_scored_in_single_precision():
    mae = make(normalise=True)
    views = mae.views(batch_of([0, 1]), seed=0, epoch=0)
    exact = mae(views).total
    views["x_BCDHW"] = views["x_BCDHW"].bfloat16()
    half = mae.bfloat16()(views)
    assert half.outputs["pred_BNP"].dtype == torch.bfloat16
    assert half.total.dtype == torch.float32
    assert half.total.item() == pytest.approx(exact.item(), rel=0.02)


def test_every_parameter_is_trained_and_nothing_else_carries_gradient():
    mae = make()
    losses = mae(mae.views(batch_of([0, 1]), seed=0, epoch=0))
    losses.total.backward()
    silent = [name for name, p in mae.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []
    assert not any(value.requires_grad for value in (*losses.parts.values(), *losses.outputs.values()))
    assert mae.ema() == []


def test_several_channels_are_restored_together():
    mae = make(in_channels=2)
    outputs = mae(mae.views(batch_of([0], channels=2), seed=0, epoch=0)).outputs
    assert outputs["pred_BNP"].shape == outputs["target_BNP"].shape == (1, TOKENS, 4**3 * 2)


@pytest.mark.parametrize("normalise", [False, True])
def test_pictures_show_what_was_hidden_and_restored(normalise):
    mae = make(normalise)
    views = mae.views(batch_of([0]), seed=0, epoch=0)
    outputs = mae(views).outputs | {"pred_BNP": mae(views).outputs["target_BNP"]}  # a perfect prediction
    pictures, hidden = mae.pictures(views, outputs), mae._hidden_voxels(views["mask_BN"])
    torch.testing.assert_close(pictures["restored"], views["x_BCDHW"])
    assert pictures["masked"][hidden].abs().max() == 0
    assert torch.equal(pictures["masked"][~hidden], views["x_BCDHW"][~hidden])
    flat = mae.pictures(views, outputs | {"pred_BNP": torch.full_like(outputs["pred_BNP"], 9.0)})
    assert torch.equal(flat["restored"][~hidden], views["x_BCDHW"][~hidden])
    assert not torch.equal(flat["restored"][hidden], views["x_BCDHW"][hidden])


def test_health_tells_a_painter_of_one_value_from_a_perfect_one():
    mae = make()
    outputs = mae(mae.views(batch_of([0, 1, 2]), seed=0, epoch=0)).outputs
    perfect = mae.health(outputs | {"pred_BNP": outputs["target_BNP"]})
    assert perfect["prediction_spread"] == pytest.approx(1)
    assert mae.health(outputs | {"pred_BNP": torch.ones_like(outputs["pred_BNP"])})["prediction_spread"] == 0
    assert set(perfect) == {"prediction_spread", "embedding_std", "embedding_rank"}
    assert 0 < perfect["embedding_rank"] <= 2
    json.dumps(perfect)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"mask_ratio": 0.99}, "mask_ratio=0.99 of 27 tokens leaves nothing visible or nothing hidden"),
        ({"mask_ratio": 0.01}, "leaves nothing visible or nothing hidden"),
        ({"decoder_dim": 10, "decoder_heads": 4}, "decoder_heads=4 do not divide decoder_dim=10"),
    ],
)
def test_settings_that_do_not_fit_are_refused(config, sentence):
    with pytest.raises(ConfigError, match=sentence):
        make(**config)


def test_a_network_without_tokens_is_refused_in_one_sentence():
    cnn = create_model("resnet10", crop=16)
    with pytest.raises(ConfigError, match=r"^objective mae: it hides tokens, and resnet10 has none\. Use a ViT"):
        build(MaeConfig(), cnn)
