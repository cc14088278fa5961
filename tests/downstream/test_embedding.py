"""Which tokens speak for a lesion: exact weights on a hand-made grid."""

from __future__ import annotations

import torch

from rnfm.downstream.embedding import embed_batch, rim, weighted
from rnfm.model import create_model


def test_the_rim_of_one_voxel_is_the_cube_around_it():
    mask = torch.zeros(1, 1, 7, 7, 7)
    mask[0, 0, 3, 3, 3] = 1
    shell = rim(mask, 2)
    assert shell.sum() == 5**3 - 1
    assert shell[0, 0, 3, 3, 3] == 0
    assert shell[0, 0, 1, 1, 1] == 1
    assert rim(mask, 1).sum() == 26


def test_tokens_weigh_by_the_part_of_their_patch_that_is_covered():
    tokens = torch.eye(8)[None]  # eight patches of a 2 x 2 x 2 grid, one-hot, so the result shows the weights
    where = torch.zeros(1, 1, 4, 4, 4)
    where[0, 0, :2, :2, :2] = 1  # patch 0 whole
    where[0, 0, 0, 0, 2] = 1  # one voxel of patch 1
    found = weighted(tokens, where, (2, 2, 2))
    torch.testing.assert_close(found[0], torch.tensor([8 / 9, 1 / 9, 0, 0, 0, 0, 0, 0]))


def test_where_nothing_is_covered_all_tokens_weigh_alike():
    tokens = torch.arange(8.0).reshape(1, 8, 1)
    assert weighted(tokens, torch.zeros(1, 1, 4, 4, 4), (2, 2, 2)).item() == 3.5


def test_parts_are_joined_in_order_and_the_mask_is_not_seen_by_the_network():
    torch.manual_seed(0)
    model = create_model("vit_micro", crop=(16, 16, 16), patch=8).eval()
    x = torch.randn(2, 2, 16, 16, 16)
    x[:, 1] = (x[:, 1] > 1).float()
    with torch.inference_mode():
        found = embed_batch(model, x, ["cls", "mean", "lesion"], 2)
        alone = model.forward_features(x[:, :1])
        x[:, 1] = 0
        blind = embed_batch(model, x, ["cls", "mean"], 2)
    assert found.shape == (2, 3 * 96)
    torch.testing.assert_close(found[:, :96], alone.cls_BE)
    torch.testing.assert_close(found[:, 96:192], alone.patch_BNE.mean(1))
    torch.testing.assert_close(blind, found[:, :192])
