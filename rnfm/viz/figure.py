"""One look for every figure, and the way from a figure to the inside of a page: figure -> PNG bytes -> data URI.

Figures are made without pyplot (no global state, no window, safe in threads). Colours are Okabe & Ito's, which stay apart
for colour-blind readers; wherever two curves meet, line styles differ too, so that a grey print can be read.
"""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, QUIET, HAIR = "#1d2733", "#5d6b7a", "#d5dbe1"
ACCENT = "#0072b2"
PALETTE = (ACCENT, "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
DASHES: tuple[Any, ...] = (
    "solid",
    (0, (5, 2)),
    (0, (1, 1.4)),
    (0, (6, 2, 1, 2)),
    (0, (3, 1.5)),
    (0, (8, 2, 1, 2, 1, 2)),
)
DPI = 192  # twice the 96 px of a CSS inch: pages show a figure at half its pixels, so it stays sharp

STYLE: Any = {
    "font.family": ["Liberation Sans", "Arial", "Helvetica", "DejaVu Sans"],
    "font.size": 9,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "text.color": INK,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.6,
}


def new_figure(width_in: float, height_in: float) -> Figure:
    """An empty figure of the given size [inch]; draw on it inside `styled()`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def styled() -> Any:
    """A context in which new axes take the house style; the caller's own matplotlib settings come back after it."""
    import logging

    import matplotlib

    # A font of the list that is not installed is not news: the next one is taken.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    return matplotlib.rc_context(STYLE)


def say_empty(axes: Axes, sentence: str) -> None:
    """Fill `axes` with a sentence in place of data that do not exist."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, sentence, ha="center", va="center", color=QUIET, wrap=True, transform=axes.transAxes)


def figure_png(figure: Figure) -> bytes:
    """The figure as PNG; the same figure gives the same bytes (no time stamp, no version)."""
    buffer = io.BytesIO()
    with styled():
        figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def width_px(png: bytes) -> int:
    """Width at which a page shows `png` so that its type has the size it was drawn with [CSS px]."""
    return round(int.from_bytes(png[16:20], "big") * 96 / DPI)


def data_uri(png: bytes) -> str:
    """PNG bytes as the `src` of an image that needs no file."""
    return "data:image/png;base64," + base64.b64encode(png).decode()
