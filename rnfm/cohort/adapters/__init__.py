"""Layouts that `rnfm data index` knows: one file each, found by one line here.

`choose` asks every adapter how well a tree fits. It takes the best one from a score of 0.5, and otherwise refuses the
tree and names the nearest.
"""

from __future__ import annotations

from pathlib import Path

from rnfm.cohort.adapters import bids, folder, molab
from rnfm.cohort.records import Adapter, Match
from rnfm.core.errors import ConfigError

# Specific layouts first: at equal scores the earlier one is taken.
ADAPTERS: dict[str, Adapter] = {adapter.NAME: adapter for adapter in (molab, bids, folder)}
ENOUGH = 0.5


def choose(root: Path, layout: str = "auto") -> tuple[Adapter, Match]:
    """The adapter for `root`: the one named, or the best fitting. ConfigError if none fits, naming the nearest."""
    scores = {name: adapter.matches(root) for name, adapter in ADAPTERS.items()}
    best = max(scores, key=lambda name: scores[name].score)
    name = best if layout == "auto" else layout
    if scores[name].score == 0 or (layout == "auto" and scores[name].score < ENOUGH):
        cause = (
            f"is not in the {name} layout" if layout != "auto" else f"is in none of the layouts {', '.join(ADAPTERS)}"
        )
        # Of an entirely strange tree the last resort says it best: no image at all.
        last = name if layout != "auto" else list(ADAPTERS)[-1]
        hint = f"; nearest is {best}: {scores[best].why}" if scores[best].score else f": {scores[last].why}"
        raise ConfigError("source folder", cause + hint, "Give the data set's own top folder, or another --layout")
    return ADAPTERS[name], scores[name]
