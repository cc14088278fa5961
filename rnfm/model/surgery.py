"""Weights of one network into another of the same family: more input channels, another crop, another head.

| parameter            | changed by         | how it is adapted                                                        |
|----------------------|--------------------|--------------------------------------------------------------------------|
| input weight         | more in_channels   | new channels, appended last, get zero weights: features stay what they were |
| learned `position`   | another crop       | resized over the token grid, trilinear                                   |
| sin-cos position     | another crop       | not in the state; the new model computes its own                         |
| `head.*`             | another num_classes| new, as drawn                                                            |

Nothing else may differ, not even what shapes cannot show (the number of heads, the patch), and each parameter is accounted
for in the `Coverage`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from rnfm.core.errors import ConfigError
from rnfm.model.backbone import Backbone

HEAD = "head."
CHANGEABLE = {"name", "in_channels", "num_classes", "crop", "pooling"}


@dataclass
class Coverage:
    """Where each parameter of a model came from, and what of the source was left over."""

    loaded: list[str] = field(default_factory=list)
    adapted: dict[str, str] = field(default_factory=dict)
    new: dict[str, str] = field(default_factory=dict)
    unused: dict[str, str] = field(default_factory=dict)


def adapt(model: Backbone, state: Mapping[str, Tensor], *, source: Mapping[str, Any]) -> Coverage:
    """Copy `state`, of a model with architecture `source`, into `model`, in place, adapting where shapes differ.

    Raises ConfigError, before anything is copied, if the architectures differ in more than the table above, or if a
    parameter outside the head is missing or of another shape.
    """
    _require_same_family(model.architecture, source)
    coverage, ready = Coverage(), {}
    for name, target in model.state_dict().items():
        weight = state.get(name)
        if weight is not None and weight.shape == target.shape:
            ready[name] = weight
            coverage.loaded.append(name)
        elif name.startswith(HEAD):
            coverage.new[name] = f"a new head of {model.num_classes} classes"
        elif weight is None:
            raise ConfigError(name, "the weights hold no such parameter", "Give weights made for this architecture")
        else:
            ready[name], coverage.adapted[name] = _adapt_one(model, name, weight, source)
            if ready[name].shape != target.shape:
                found = f"has shape {tuple(weight.shape)} and cannot become {tuple(target.shape)}"
                raise ConfigError(name, found, "Give weights made for this architecture")
    for name in state:
        if name not in ready:
            coverage.unused[name] = "another head" if name.startswith(HEAD) else "not a parameter of this model"
    _copy(model, ready)
    return coverage


def _require_same_family(ours: Mapping[str, Any], source: Mapping[str, Any]) -> None:
    for key in sorted((set(ours) | set(source)) - CHANGEABLE):
        if ours.get(key) != source.get(key):
            raise ConfigError(
                "model", f"{key}={ours.get(key)}, its weights have {source.get(key)}", f"Keep their {key}"
            )
    if ours["in_channels"] < source["in_channels"]:
        raise ConfigError(
            "model",
            f"takes {ours['in_channels']} input channels, its weights were made for {source['in_channels']}",
            "Feed all of them: leaving one out would change what the model sees",
        )


def _adapt_one(model: Backbone, name: str, weight: Tensor, source: Mapping[str, Any]) -> tuple[Tensor, str]:
    """One parameter in its new shape, and how it got there."""
    if name == model.input_weight:
        how = f"{source['in_channels']} to {model.in_channels} input channels, the new ones with zero weights"
        return model.widen(weight, source["in_channels"]), how
    if name == "position":
        grid = [size // part for size, part in zip(source["crop"], source["patch"], strict=True)]
        return _resize(weight, grid, model.grid), f"grid {_by(grid)} to {_by(model.grid)}, trilinear"
    return weight, "as it is"


def _resize(position_NE: Tensor, source_grid: Sequence[int], grid: Sequence[int]) -> Tensor:
    volume = position_NE.float().reshape(1, *source_grid, -1).permute(0, 4, 1, 2, 3)
    resized = F.interpolate(volume, size=tuple(grid), mode="trilinear", align_corners=False)
    return resized[0].flatten(1).T.to(position_NE.dtype)


def _copy(model: Backbone, ready: Mapping[str, Tensor]) -> None:
    targets = model.state_dict()
    with torch.no_grad():
        for name, source in ready.items():
            targets[name].copy_(source)


def _by(grid: Sequence[int]) -> str:
    return "x".join(str(size) for size in grid)
