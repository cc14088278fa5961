"""Twenty steps of masked autoencoding by a plain AdamW loop, against the curve in git.

Double precision, so that another processor's order of summation stays far below the tolerance. Run this file as a program
to write the curve anew after a change that is meant to change it.
"""

import json
from pathlib import Path

import pytest
import torch

from rnfm import objective
from rnfm.core import keyed
from rnfm.model import create_model

CURVE = Path(__file__).parents[1] / "golden" / "mae_curve.json"
STEPS, BATCH = 20, 4


def volumes(indices):
    """A bright ball in a gradient, placed by the sample's key: (B, 1, 16, 16, 16) float64."""
    axis = torch.linspace(-1, 1, 16, dtype=torch.float64)
    d, h, w = torch.meshgrid(axis, axis, axis, indexing="ij")
    made = []
    for index in indices.tolist():
        a, b, c, radius = keyed.rng(0, "golden", index).uniform(0.2, 0.6, size=4)
        made.append(((d - a) ** 2 + (h + b) ** 2 + (w - c) ** 2 < radius**2) * 2.0 + a * d - b * w)
    return torch.stack(made).unsqueeze(1)


def curve():
    torch.manual_seed(0)
    backbone = create_model("vit_micro", crop=16, patch=4, dim=48, depth=2, heads=4)
    mae = objective.get("mae").build(objective.get("mae").OBJECTIVE_CONFIG(decoder_depth=1), backbone).double()
    optimiser = torch.optim.AdamW(mae.parameters(), lr=2e-3, betas=(0.9, 0.95), weight_decay=0.05)
    losses = []
    for step in range(STEPS):
        index_B = torch.arange(BATCH) + BATCH * (step % 2)
        views = mae.views({"x_BCDHW": volumes(index_B), "index_B": index_B}, seed=0, epoch=step // 2)
        loss = mae(views).total
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


def test_the_curve_of_twenty_steps_is_the_one_in_git():
    expected = json.loads(CURVE.read_text())
    found = curve()
    assert found == pytest.approx(expected["losses"], rel=1e-5)
    assert sum(found[-4:]) < 0.6 * sum(found[:4])


if __name__ == "__main__":
    facts = {"losses": curve(), "made_by": "tests/objective/test_golden.py", "torch": torch.__version__}
    CURVE.write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")
