"""Networks behind one interface (`Backbone`): the 3D ViT family, a CNN to compare with, and surgery on their weights.

    >>> from rnfm.model import create_model
    >>> model = create_model("vit_micro", crop=(32, 32, 32), patch=8)
    >>> model.grid, model.embed_dim
    ((4, 4, 4), 96)

Names are loaded on first use, because torch is heavy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rnfm.model.backbone import Backbone, Features
    from rnfm.model.patches import patchify, sincos3d, unpatchify
    from rnfm.model.registry import create_model, names
    from rnfm.model.surgery import Coverage, adapt
    from rnfm.model.vit import VisionTransformer

_HOME = {
    "Backbone": "backbone",
    "Features": "backbone",
    "patchify": "patches",
    "unpatchify": "patches",
    "sincos3d": "patches",
    "create_model": "registry",
    "names": "registry",
    "Coverage": "surgery",
    "adapt": "surgery",
    "VisionTransformer": "vit",
}

__all__ = [
    "Backbone",
    "Coverage",
    "Features",
    "VisionTransformer",
    "adapt",
    "create_model",
    "names",
    "patchify",
    "sincos3d",
    "unpatchify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
