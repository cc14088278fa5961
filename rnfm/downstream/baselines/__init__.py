"""Baselines that could shame us: one file each, found by its line here.

A file offers `BASELINE`, a `rnfm.downstream.tabular.Baseline`: features of lesions, and the methods that learn from them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from rnfm.core.errors import ConfigError, nearest

if TYPE_CHECKING:
    from rnfm.downstream.tabular import Baseline

NAMES = (
    "volume_only",
    "mean_intensity",
    "clinical_only",
    "radiomics",
)


def canonical_name(name: str) -> str:
    """`volume-only` and `volume_only` are one. Raises ConfigError for an unknown baseline."""
    plain = name.replace("-", "_")
    if plain not in NAMES:
        raise ConfigError(
            f"baseline {name!r}", f"is not known{nearest(plain, NAMES)}", f"Use one of {', '.join(NAMES)}"
        )
    return plain


def load(name: str) -> Baseline:
    """The baseline of that name."""
    module = import_module(f"rnfm.downstream.baselines.{canonical_name(name)}")
    return module.BASELINE
