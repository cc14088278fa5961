"""Collapse numbers on embeddings whose answer is known."""

import pytest
import torch

from rnfm.objective.health import effective_rank, embedding_std


def test_equal_embeddings_have_no_spread_and_no_rank():
    z = torch.full((6, 4), 0.3)
    assert embedding_std(z) == 0
    assert effective_rank(z) == 0


def test_embeddings_on_a_line_have_rank_one():
    z = torch.linspace(-1, 1, 7).unsqueeze(1) * torch.tensor([[1.0, 2.0, -3.0]]) + 5
    assert effective_rank(z) == pytest.approx(1, abs=1e-5)


def test_equal_spread_along_k_orthogonal_axes_has_rank_k():
    z = torch.cat((torch.eye(3), -torch.eye(3)))
    z = torch.cat((z, torch.zeros(6, 2)), dim=1)
    assert effective_rank(z) == pytest.approx(3)
    # Each used channel holds +1, -1 and four zeros: sd sqrt(1/3); two channels hold nothing.
    assert embedding_std(z) == pytest.approx((1 / 3) ** 0.5 * 3 / 5)
