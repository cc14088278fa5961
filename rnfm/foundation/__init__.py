"""The foundation artefact: a pre-trained backbone that can never be loaded wrongly in silence.

    >>> from rnfm import foundation
    >>> model, report = foundation.load("run/foundation", in_channels=2)      # doctest: +SKIP
    >>> print(report.summary())                                               # doctest: +SKIP

Loading needs torch, safetensors and `rnfm.core` only. Names are loaded on first use, because torch is heavy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from rnfm.foundation.exports import ExportConfig, ExportResult, export

if TYPE_CHECKING:
    from rnfm.foundation.loading import LoadReport, load
    from rnfm.foundation.saving import save

_HOME = {"LoadReport": "loading", "load": "loading", "save": "saving"}

__all__ = ["ExportConfig", "ExportResult", "LoadReport", "export", "load", "save"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
