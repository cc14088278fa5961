"""Batched, keyed augmentation on the device. torch comes with `augment`, not with the configuration.

x_BCDHW = augment(x_BCDHW, index_B, seed=0, epoch=3, config=AugmentConfig(noise=0.05, flip=("right",)))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rnfm.augment.config import AugmentConfig

if TYPE_CHECKING:
    from rnfm.augment.batched import augment

__all__ = ["AugmentConfig", "augment"]


def __getattr__(name: str) -> Any:
    if name == "augment":
        from rnfm.augment.batched import augment

        return augment
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
