"""RTSTRUCT regions -> a label mask on the grid of a converted image.

    contour points [mm, patient LPS] --x(-1, -1, 1)--> RAS --inverse affine--> voxels (i, j, k)
    all contours of one region in one slice k --parity of crossings--> filled pixels

A pixel belongs to a region if a ray from its centre crosses the outlines of that slice an odd number of times. So a contour
inside another is a hole, one inside the hole is an island (the XOR rule of DICOM PS3.3 C.8.8.6.3), and 'keyhole' contours
that reach a hole by a seam come out the same. Working in millimetres makes the converter's flips irrelevant.

A contour belongs to a slice if it lies flat in it, to within a quarter of the slice distance; others are counted, never
moved. Regions that overlap are painted from the largest to the smallest, so that none swallows another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnfm.cohort.adapters.dicom import fields as dicom_fields

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SLICE_TOLERANCE = 0.25  # of the slice distance
LARGEST_BYTES = 1 << 29
CLOSED = {"CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "CLOSED_PLANAR_XOR"}
# Whole names, after sides, numbers and PRV are taken off: 'Brainstem met L' is a lesion, 'Brainstem PRV' is not.
ORGANS = frozenset((
    "skull", "brain", "whole brain", "brain stem", "brainstem", "external", "body", "skin", "head", "scalp",
    "bone", "air", "eye", "eyes", "lens", "globe", "retina", "orbit", "optic nerve", "optic nerves",
    "optic tract", "optic apparatus", "optics", "chiasm", "optic chiasm", "cochlea", "hippocampus", "hippocampi",
    "pituitary", "spinal cord", "cord", "lacrimal", "lacrimal gland", "parotid", "mandible", "cerebellum",
    "cerebrum", "thalamus", "ventricle", "ventricles", "frame", "fiducials", "couch", "isodose", "dose", "matrix",
    "avoidance", "ring", "normal brain", "brain ptv", "brain gtv", "dura", "carotid", "basilar",
))  # fmt: skip
NO_LESION_TYPES = frozenset((
    "EXTERNAL", "ISOCENTER", "MARKER", "SUPPORT", "FIXATION", "BOLUS", "REGISTRATION", "CONTROL", "DOSE_REGION",
    "DOSE_MEASUREMENT",
))  # fmt: skip
_SIDES = re.compile(r"\b(?:l|r|lt|rt|left|right|prv|oar|both|bilat|bilateral|\d+|mm)\b")
_MARGIN = re.compile(r"(?:ptv|ctv)")


@dataclass(frozen=True)
class Region:
    """One region: contours are (points, 3) in RAS mm."""

    number: int
    contours: tuple[NDArray[np.float64], ...]


@dataclass(frozen=True)
class Painted:
    """`mask` (i, j, k); `stray`: contours on no slice; `volumes_ml`: by value, 0 for a region that covers no voxel centre;
    `overlap_vox`: voxels claimed twice; `gaps`: values of regions that skip slices."""

    mask: NDArray[np.uint16]
    contours: int
    stray: int
    volumes_ml: dict[int, float]
    overlap_vox: int
    gaps: tuple[int, ...]


def lesion_regions(regions: Sequence[tuple[int, str, str]]) -> list[tuple[int, str]]:
    """(number, name) of the regions that are lesions: no organ, no aid, and no margin (PTV, CTV) where the lesion itself is drawn.

    >>> lesion_regions([(1, "Skull", ""), (2, "Lt frontal", "GTV"), (3, "PTV frontal", ""), (4, "Optic Nerve_R", "")])
    [(2, 'Lt frontal')]
    """
    kept = [(number, name) for number, name, kind in regions if kind not in NO_LESION_TYPES and not is_organ(name)]
    lesions = [(number, name) for number, name in kept if not _MARGIN.search(name.lower())]
    return lesions or kept


def is_organ(name: str) -> bool:
    """Whether the name is that of an organ, a helper line (any with `*`) or nothing at all."""
    words = re.sub(r"[^a-z0-9]+", " ", name.lower())
    bare = " ".join(_SIDES.sub(" ", words).split())
    return "*" in name or bare in ORGANS or not words.strip()


@dicom_fields.quiet()
def read_regions(file: Path, numbers: Sequence[int]) -> list[Region] | None:
    """The closed contours of these regions, in RAS mm; None for a file that cannot be read or is absurdly large."""

    header = dicom_fields.read_header(file, None) if file.stat().st_size <= LARGEST_BYTES else None
    if header is None:
        return None
    found: dict[int, list[NDArray[np.float64]]] = {number: [] for number in numbers}
    try:
        for item in getattr(header, "ROIContourSequence", None) or ():
            number = int(item.ReferencedROINumber)
            for contour in (getattr(item, "ContourSequence", None) or ()) if number in found else ():
                if str(contour.get("ContourGeometricType", "CLOSED_PLANAR")).upper() in CLOSED:
                    found[number].append(_points_ras_mm(contour))
    except (AttributeError, TypeError, ValueError):
        return None
    return [Region(number, tuple(contours)) for number, contours in found.items()]


def _points_ras_mm(contour: Any) -> NDArray[np.float64]:
    import numpy as np

    points = np.asarray([float(value) for value in contour.ContourData]).reshape(-1, 3)
    if not np.isfinite(points).all():
        raise ValueError("a contour point that is no number")
    ras: NDArray[np.float64] = points * (-1.0, -1.0, 1.0)
    return ras


def paint(
    regions: Sequence[Region], values: Mapping[int, int], affine: NDArray[np.float64], shape_vox: tuple[int, int, int]
) -> Painted:
    """A mask with `values[region.number]` in each region, on the grid of `affine` (voxel -> RAS mm) and `shape_vox`.

    The third axis must be the slice axis, as dcm2niix writes it.
    """
    import numpy as np

    inverse = np.linalg.inv(affine)
    filled: list[tuple[int, NDArray[np.bool_]]] = []
    gaps: list[int] = []
    contours = stray = 0
    for region in regions:
        slices: dict[int, list[NDArray[np.float64]]] = {}
        for points_mm in region.contours:
            points_vox = points_mm @ inverse[:3, :3].T + inverse[:3, 3]
            contours += 1
            k = round(float(points_vox[:, 2].mean()))
            if not 0 <= k < shape_vox[2] or np.abs(points_vox[:, 2] - k).max() > SLICE_TOLERANCE:
                stray += 1
            elif len(points_vox) >= 3:
                slices.setdefault(k, []).append(points_vox[:, :2])
        inside = np.zeros(shape_vox, np.bool_)
        for k, outlines in slices.items():
            inside[:, :, k] = fill(outlines, (shape_vox[0], shape_vox[1]))
        value = values[region.number]
        gaps += [value] if slices and max(slices) - min(slices) + 1 > len(slices) else []
        filled.append((value, inside))
    mask = np.zeros(shape_vox, np.uint16)
    for value, inside in sorted(filled, key=lambda item: (-int(item[1].sum()), item[0])):
        mask[inside] = value
    claimed = sum(int(inside.sum()) for _, inside in filled)
    voxel_ml = abs(float(np.linalg.det(affine[:3, :3]))) / 1000
    volumes_ml = {value: round(int((mask == value).sum()) * voxel_ml, 6) for value, _ in filled}
    return Painted(mask, contours, stray, volumes_ml, claimed - int((mask > 0).sum()), tuple(sorted(gaps)))


def fill(outlines: Sequence[NDArray[np.float64]], shape_vox: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels (i, j) whose centre lies inside an odd number of the closed outlines, each (points, 2) in voxels.

    Each edge toggles, in every column j it crosses, all pixels beyond the crossing; a running parity does the rest.

    >>> import numpy as np
    >>> fill([np.array([[0.5, 0.5], [2.5, 0.5], [2.5, 2.5], [0.5, 2.5]])], (4, 4)).sum()
    np.int64(4)
    """
    import numpy as np

    toggles = np.zeros((shape_vox[0] + 1, shape_vox[1]), np.int64)
    for outline in outlines:
        for (i0, j0), (i1, j1) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
            low, high = sorted((j0, j1))
            # Half open in j, so that a vertex on a pixel's line counts once.
            columns = np.arange(max(int(np.ceil(low)), 0), min(int(np.ceil(high)), shape_vox[1]))
            if columns.size:
                crossings = i0 + (columns - j0) * (i1 - i0) / (j1 - j0)
                np.add.at(toggles, (np.clip(np.ceil(crossings).astype(int), 0, shape_vox[0]), columns), 1)
    parity: NDArray[np.bool_] = (np.cumsum(toggles, axis=0) % 2).astype(np.bool_)[:-1]
    return parity
