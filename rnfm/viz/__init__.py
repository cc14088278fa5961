"""Figures and pages: pure functions of arrays and tables. matplotlib and Jinja2 are imported when something is drawn."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rnfm.viz.figure import data_uri, figure_png, width_px
    from rnfm.viz.html import external_references, render
    from rnfm.viz.plots import ForestRow, RocCurve, calibration_figure, curve_figure, forest_figure, roc_figure
    from rnfm.viz.slices import montage, overlay_figure

__all__ = [
    "ForestRow",
    "RocCurve",
    "calibration_figure",
    "curve_figure",
    "data_uri",
    "external_references",
    "figure_png",
    "forest_figure",
    "montage",
    "overlay_figure",
    "render",
    "roc_figure",
    "width_px",
]

_HOME = {
    **dict.fromkeys(("data_uri", "figure_png", "width_px"), "figure"),
    **dict.fromkeys(("external_references", "render"), "html"),
    **dict.fromkeys(("montage", "overlay_figure"), "slices"),
}


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module(f"rnfm.viz.{_HOME.get(name, 'plots')}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
