"""Where a network looks: attention rollout and maps in the space of its input. Models and arrays in, maps out.

Names are loaded on first use, because torch is heavy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rnfm.explain.attention import attention_map, class_map, pooled_map, rollout, upsample_map

__all__ = ["attention_map", "class_map", "pooled_map", "rollout", "upsample_map"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.attention"), name)
