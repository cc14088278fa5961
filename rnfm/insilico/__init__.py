"""Simulated T1CE lesions in real anatomy, written as ordinary scans in public layouts. Only the demo and tests import it.

Whatever is computed on these scans is in-silico and is called so; it is never mixed with clinical figures. Names are loaded
on first use, because SciPy is heavy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rnfm.insilico.patch import Patch, render_patch
    from rnfm.insilico.stage import InsilicoConfig, MakeResult, make

_HOME = {
    "InsilicoConfig": "stage",
    "MakeResult": "stage",
    "make": "stage",
    "Patch": "patch",
    "render_patch": "patch",
}

__all__ = ["InsilicoConfig", "MakeResult", "Patch", "make", "render_patch"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
