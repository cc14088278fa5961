"""The contract between an objective and the engine; the engine knows nothing else about objectives.

    batch {"x_BCDHW", "index_B"} --views(seed, epoch)--> views --forward--> Losses(total, parts, outputs)
                                                           |                           |
                                                           +--> trivial_losses         +--> health

`views` holds every random choice. It is keyed by (seed, epoch, index of the sample), so that it does not depend on batch
size, rank, order or a restart. `forward` is deterministic, and every use of the parameters goes through it (ZeRO needs that).
`total` is a mean over samples: the mean of the ranks' totals, for equal shares, is the total of one rank with everything.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Literal, NamedTuple

from torch import Tensor, nn

from rnfm.core.errors import ConfigError
from rnfm.model.backbone import Backbone


class Losses(NamedTuple):
    """`total` carries the gradient; `parts` (scalars) and `outputs` (for pictures and health) are detached."""

    total: Tensor
    parts: dict[str, Tensor]
    outputs: dict[str, Tensor]


class Needs(NamedTuple):
    """What an objective asks of the data and of the backbone."""

    unit: Literal["sample", "two_crops", "two_timepoints"] = "sample"
    mask: bool = False
    labels: bool = False
    backbone: Literal["tokens", "any"] = "any"


class Momentum(NamedTuple):
    """A teacher the engine keeps: teacher = m * teacher + (1 - m) * student, m going from `start` to `end` by a cosine."""

    student: nn.Module
    teacher: nn.Module
    start: float
    end: float


class Objective(nn.Module, ABC):
    """Base of all objectives: a backbone, what else its loss needs, and the loss."""

    needs: ClassVar[Needs]

    def __init__(self, name: str, backbone: Backbone) -> None:
        super().__init__()
        if self.needs.backbone == "tokens" and not backbone.has_tokens:
            kind = backbone.architecture["name"]
            raise ConfigError(
                f"objective {name}",
                f"it hides tokens, and {kind} has none",
                "Use a ViT, or an objective that takes any backbone",
            )
        self.backbone = backbone

    @abstractmethod
    def views(self, batch: Mapping[str, Tensor], *, seed: int, epoch: int) -> dict[str, Tensor]:
        """What `forward` sees. `batch`: `x_BCDHW` float, `index_B` int64 (indices of the samples in the archive)."""

    @abstractmethod
    def forward(self, views: dict[str, Tensor]) -> Losses:
        """The losses of one batch."""

    def ema(self) -> list[Momentum]:
        """Momentum teachers, updated by the engine after each step; none unless an objective says so."""
        return []

    def health(self, outputs: Mapping[str, Tensor]) -> dict[str, float]:
        """Numbers that tell learning from merely running, of one batch's `outputs`."""
        return {}

    def trivial_losses(self, views: Mapping[str, Tensor]) -> dict[str, float]:
        """The same loss for predictors that learned nothing, by name; a model worth keeping beats them."""
        return {}
