"""Masked autoencoding (He et al. 2022) of volumes. `config.py` the settings, `objective.py` the model, `yardstick.py` the
predictors that learned nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnfm.objective.mae.config import MaeConfig

if TYPE_CHECKING:
    from rnfm.model.backbone import Backbone
    from rnfm.objective.mae.objective import MaskedAutoencoder

OBJECTIVE_CONFIG = MaeConfig

__all__ = ["OBJECTIVE_CONFIG", "MaeConfig", "build"]


def build(config: MaeConfig, backbone: Backbone) -> MaskedAutoencoder:
    """The objective around `backbone`, with a fresh decoder. Raises ConfigError for a backbone without tokens."""
    from rnfm.objective.mae.objective import MaskedAutoencoder

    return MaskedAutoencoder(config, backbone)
