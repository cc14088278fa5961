"""Slices of a volume as pictures: scan, mask outline and map; a sheet of many slices.

A 2-D array is an axial slice (R, A): its first axis runs to the patient's right, its second to anterior. It is drawn in the
radiological convention, anterior up and the patient's right on the left of the picture, with the letters to say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnfm.core.errors import DataError
from rnfm.viz.figure import INK, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OUTLINE = "#56b4e9"  # light blue: seen on grey and on every colour of the map


def overlay_figure(image_2d: ArrayLike, mask_2d: ArrayLike, map_2d: ArrayLike) -> Figure:
    """Two panels of one slice: the scan with the lesion outlined, and the same with the map on top.

    image_2d, map_2d: (R, A) numbers; mask_2d: (R, A), > 0 inside. The map is stretched to its own range; where it is low
    the scan shows through. Raises DataError if the shapes differ.
    """
    image, mask, heat = _slice("image", image_2d), _slice("mask", mask_2d), _slice("map", map_2d)
    if not image.shape == mask.shape == heat.shape:
        shapes = f"image {image.shape}, mask {mask.shape}, map {heat.shape}"
        raise DataError("overlay", f"slices differ in shape: {shapes}", "Give three slices of one grid")
    with styled():
        figure = new_figure(5.2, 2.75)
        left, right = figure.subplots(1, 2)
        for axes, title in ((left, "Scan and lesion"), (right, "Attention")):
            _show(axes, image)
            axes.set_title(title, fontsize=8.5, fontweight="normal")
            if mask.max() > 0:
                axes.contour((mask > 0).T.astype(float), levels=[0.5], colors=[OUTLINE], linewidths=1.1)
        strength = _stretch(heat, 0, 100)
        right.imshow(strength.T, origin="lower", cmap="inferno", alpha=(0.75 * strength).T, vmin=0, vmax=1)
        for axes in (left, right):
            axes.invert_xaxis()
    return figure


def montage(images: Sequence[ArrayLike], *, labels: Sequence[str] = (), columns: int = 6) -> Figure:
    """A sheet of (R, A) slices, row by row, each with its label; an empty list gives an empty sheet."""
    columns = max(1, min(columns, len(images) or 1))
    rows = max(1, -(-len(images) // columns))
    with styled():
        figure = new_figure(1.35 * columns, 1.5 * rows)
        for number, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
            axes.set_axis_off()
            if number < len(images):
                _show(axes, _slice(f"image {number}", images[number]))
                axes.invert_xaxis()
                axes.set_title(labels[number] if number < len(labels) else "", fontsize=6.5, fontweight="normal")
    return figure


def _slice(name: str, values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=float)
    if array.ndim != 2 or array.size == 0:
        raise DataError(name, f"has shape {array.shape}, a slice has two axes", "Give one slice (R, A)")
    return np.nan_to_num(array, nan=0.0, posinf=0.0, neginf=0.0)


def _show(axes: Axes, image: NDArray[np.float64]) -> None:
    """Grey image without axes; the x axis still has to be turned (after all layers are on)."""
    axes.imshow(_stretch(image, 1, 99).T, origin="lower", cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_axis_off()
    for x, letter in ((0.97, "L"), (0.03, "R")):
        axes.text(
            x,
            0.97,
            letter,
            transform=axes.transAxes,
            color="white",
            fontsize=7,
            ha="center",
            va="top",
            bbox={"facecolor": INK, "edgecolor": "none", "alpha": 0.55, "pad": 1},
        )


def _stretch(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Percentiles low..high to 0..1; a constant slice becomes 0."""
    bottom, top = np.percentile(values, (low, high))
    return np.clip((values - bottom) / (top - bottom), 0, 1) if top > bottom else np.zeros_like(values)
