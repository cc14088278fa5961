"""Three planes of one volume as a small picture, and the outlines of its lesions as vectors on top. Pure functions of arrays.

    +---------+---------+----------+    axial, coronal, sagittal; each in a square of `side_px`, all at one scale
    |    A    |    S    |     S    |    radiological convention: the patient's right is on the left of the picture,
    | R     L | R     L | A      P |    anterior on the left of the sagittal plane
    +---------+---------+----------+

The picture is a grey JPEG. An outline is an SVG path in the picture's pixels, so that it stays sharp at any size, can be
switched off to look at what is below it, and costs some hundred bytes.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

NORMALS = (2, 1, 0)  # the axis that is cut by the axial, the coronal and the sagittal plane
WINDOW = (0.5, 99.5)  # percentiles of the volume that become black and white [%]
SAMPLE_VOX = 60_000  # what is said of a whole volume is found on about this many of its voxels, evenly spread
QUALITY = 80
Mm3 = tuple[float, float, float]


@dataclass(frozen=True)
class Planes:
    """`jpeg`: grey, (side_px, 3 * side_px). `outlines`: mask value -> SVG path data, for the values met by a plane."""

    side_px: int
    jpeg: bytes
    outlines: dict[int, str]


@dataclass(frozen=True)
class _Panel:
    """Where a plane of `shape` voxels (across, down) lies in the sheet: `scale` in pixels a voxel, corner in pixels."""

    shape: tuple[int, int]
    scale: tuple[float, float]
    corner: tuple[float, float]


def three_planes(
    image_DHW: NDArray[Any], mask_DHW: NDArray[Any] | None, spacing_mm: Mm3, *, side_px: int = 192
) -> Planes:
    """The planes that show most of the largest lesion, or the middle of the head where there is none.

    image_DHW: numbers, axes right, anterior, superior; mask_DHW: whole numbers of the same shape, 0 outside, or None.
    """
    from PIL import Image

    low, high = np.percentile(sample(image_DHW), WINDOW)
    centre = _centre(image_DHW, mask_DHW)
    scale = side_px / max(n * mm for n, mm in zip(image_DHW.shape, spacing_mm, strict=True))
    sheet = Image.new("L", (3 * side_px, side_px))
    outlines: dict[int, str] = {}
    for number, normal in enumerate(NORMALS):
        plane = np.take(image_DHW, centre[normal], normal)
        grey = (255 * np.clip((plane - low) / max(high - low, 1e-6), 0, 1)).astype(np.uint8)
        steps = [mm * scale for axis, mm in enumerate(spacing_mm) if axis != normal]
        size = [max(1, round(n * step)) for n, step in zip(plane.shape, steps, strict=True)]
        corner = number * side_px + (side_px - size[0]) // 2, (side_px - size[1]) // 2
        turned = Image.fromarray(np.ascontiguousarray(grey[::-1, ::-1].T))
        sheet.paste(turned.resize((size[0], size[1]), Image.Resampling.BILINEAR), corner)
        if mask_DHW is not None:
            panel = _Panel((plane.shape[0], plane.shape[1]), (steps[0], steps[1]), corner)
            for value, path in _outlines(np.take(mask_DHW, centre[normal], normal), panel):
                outlines[value] = outlines.get(value, "") + path
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return Planes(side_px, buffer.getvalue(), outlines)


def sample(volume_DHW: NDArray[Any]) -> NDArray[Any]:
    """Every k-th voxel along each axis (a view), so that about SAMPLE_VOX are left; small volumes whole."""
    step = max(1, round((volume_DHW.size / SAMPLE_VOX) ** (1 / 3)))
    return volume_DHW[tuple(slice(min(step, n) // 2, None, step) for n in volume_DHW.shape)]


def _centre(image: NDArray[Any], mask: NDArray[Any] | None) -> list[int]:
    """Along each axis the plane with most voxels of the largest component of the mask; without one, of what is bright."""
    if mask is not None and (boxes := ndimage.find_objects((mask > 0).view(np.int8))):
        where = mask[boxes[0]] > 0
        labels, count = ndimage.label(where)
        largest = np.argmax(np.bincount(labels[where], minlength=count + 1)) if count else 0
        start = [box.start for box in boxes[0]]
        return [first + _fullest(labels == largest, axis) for axis, first in enumerate(start)]
    few = sample(image)
    bright = few > np.percentile(few, 60)
    places = np.argwhere(bright if bright.any() else np.ones_like(bright))
    return [
        min(n - 1, round((float(place) + 0.5) * n / m))
        for place, n, m in zip(places.mean(axis=0), image.shape, few.shape, strict=True)
    ]


def _fullest(where: NDArray[np.bool_], axis: int) -> int:
    """Index of the plane with most voxels set; of several, the middle one."""
    counts = where.sum(axis=tuple(other for other in range(3) if other != axis))
    best = np.flatnonzero(counts == counts.max())
    return int(best[len(best) // 2])


def _outlines(mask_2d: NDArray[Any], panel: _Panel) -> list[tuple[int, str]]:
    """(value, path) for every value in the plane; the line runs half-way between inside and outside voxels."""
    from contourpy import contour_generator

    found = []
    for value in np.unique(mask_2d[mask_2d > 0]):
        where = np.pad(mask_2d == value, 1).astype(np.float64)
        # Rows of `lines` are (second axis, first axis); the padding moved both by one voxel.
        lines = [np.asarray(line)[:, ::-1] - 1 for line in contour_generator(z=where).lines(0.5)]
        found.append((int(value), "".join(_path(line, panel) for line in lines)))
    return found


def _path(line_vox: NDArray[np.float64], panel: _Panel) -> str:
    """A closed line in voxels of the plane as path data in pixels, both axes turned, straight runs as one step."""
    points = np.array(panel.corner) + (np.array(panel.shape) - 0.5 - line_vox) * panel.scale
    steps = np.diff(points, axis=0)
    turns = steps[1:, 0] * steps[:-1, 1] - steps[1:, 1] * steps[:-1, 0]
    corners = np.concatenate([points[:1], points[1:-1][np.abs(turns) > 1e-9]])
    tenths = np.rint(10 * corners).astype(int)
    return f"M{_tenths(tenths[0])}l" + " ".join(_tenths(b - a) for a, b in pairwise(tenths)) + "z"


def _tenths(pair: Sequence[int] | NDArray[np.int_]) -> str:
    """Two whole tenths as '12.5,-3': SVG takes '.5' and '-.5' too, which is shorter."""
    return ",".join(f"{int(n) / 10:g}".replace("0.", ".") if abs(int(n)) < 10 else f"{int(n) / 10:g}" for n in pair)
