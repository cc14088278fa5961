"""One module and one registry line make an objective; nothing else changes."""

import subprocess
import sys
import textwrap

import pytest
import torch

from rnfm import objective
from rnfm.core.errors import ConfigError
from rnfm.model import create_model

TOY = '''
import torch
from rnfm.core.config import Field
from rnfm.objective import ObjectiveConfig
from rnfm.objective.contract import Losses, Needs, Objective


class ToyConfig(ObjectiveConfig):
    scale: float = Field(1.0, description="weight of the loss")


OBJECTIVE_CONFIG = ToyConfig


class Toy(Objective):
    """Make the features predict the sign of a keyed flip."""

    needs = Needs(unit="sample", backbone="any")

    def __init__(self, config, backbone):
        super().__init__("toy", backbone)
        self.scale, self.guess = config.scale, torch.nn.Linear(backbone.embed_dim, 1)

    def views(self, batch, *, seed, epoch):
        flip = ((batch["index_B"] + epoch + seed) % 2).float()
        return {"x_BCDHW": batch["x_BCDHW"] * (1 - 2 * flip).view(-1, 1, 1, 1, 1), "flip_B": flip}

    def forward(self, views):
        logits = self.guess(self.backbone(views["x_BCDHW"]))[:, 0]
        loss = self.scale * torch.nn.functional.binary_cross_entropy_with_logits(logits, views["flip_B"])
        return Losses(loss, {"toy": loss.detach()}, {})


def build(config, backbone):
    return Toy(config, backbone)
'''


def test_a_toy_objective_is_one_module_and_one_registry_line(tmp_path, monkeypatch):
    (tmp_path / "toy_objective.py").write_text(TOY)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(objective.OBJECTIVES, "toy", "toy_objective")

    module = objective.get("toy")
    torch.manual_seed(0)
    backbone = create_model("vit_micro", crop=8, patch=4, dim=12, depth=1, heads=2)
    toy = module.build(module.OBJECTIVE_CONFIG(scale=2.0), backbone)
    batch = {"x_BCDHW": torch.randn(8, 1, 8, 8, 8) + 1, "index_B": torch.arange(8)}
    optimiser = torch.optim.AdamW(toy.parameters(), lr=1e-2)
    curve = []
    for epoch in range(20):
        losses = toy(toy.views(batch, seed=0, epoch=epoch))
        optimiser.zero_grad()
        losses.total.backward()
        optimiser.step()
        curve.append(losses.total.item())
    assert curve[-1] < 0.7 * curve[0]
    assert toy.ema() == []
    assert toy.health(losses.outputs) == {}
    assert toy.trivial_losses(toy.views(batch, seed=0, epoch=0)) == {}


def test_an_unknown_objective_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match=r"^objective: 'mea' is not an objective \(did you mean 'mae'\?\)\. Use one of: mae\.$"):  # fmt: skip
        objective.get("mea")


def test_a_setting_out_of_range_is_refused():
    from rnfm.core import config

    with pytest.raises(ConfigError, match=r"mask_ratio: input should be less than 1, got 1.5"):
        config.from_dict(objective.get("mae").OBJECTIVE_CONFIG, {"mask_ratio": 1.5})


@pytest.mark.parametrize("name", sorted(objective.OBJECTIVES))
def test_settings_are_read_without_torch(name):
    code = f"""
        import sys
        from rnfm import objective
        config = objective.get({name!r}).OBJECTIVE_CONFIG()
        assert all(info.description for info in type(config).model_fields.values())
        assert "torch" not in sys.modules and "numpy" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)
