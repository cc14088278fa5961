"""The quality page: facts of each scan, and its thumbnail as a JPEG inside the page. Pure functions of an archive.

A thumbnail is three planes of the canonical volume at one scale, in the radiological convention (the patient's right on
the left of the picture): axial, coronal, sagittal (anterior on the left).
"""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
from scipy import ndimage

from rnfm.core.progress import track
from rnfm.viz.html import render
from rnfm.volume.archive import VolumeArchive
from rnfm.volume.geometry import Spacing, Volume

TEMPLATE = Path(__file__).parent / "templates" / "qc.html.j2"
HEIGHT_PX = 150
OUTLINE_RGB = np.array([0.34, 0.71, 0.91])  # light blue, as in every overlay of this project


def page_of(archive: VolumeArchive) -> str:
    """The page as HTML text."""
    said: dict[str, list[dict[str, str]]] = {}
    for entry in archive.findings:
        said.setdefault(entry.code, []).append({"reason": str(entry.reason), "detail": entry.detail})
    rows: list[Any] = list(archive.scans.itertuples(index=False))
    cards = [card(archive, row, said.get(row.scan, [])) for row in track(rows, len(rows), "qc")]
    cards.sort(key=lambda one: not one["findings"])  # stable: within each half, the order of the cohort
    contract = archive.contract
    return render(
        TEMPLATE,
        title="Quality of the canonical volumes",
        cards=cards,
        refused=[{"code": e.code, "reason": str(e.reason), "detail": e.detail} for e in archive.refused],
        patients=archive.scans["patient"].nunique(),
        flagged=len(said),
        spacing=_x(contract.spacing_mm, ".3g"),
        intensity=contract.intensity.rule,
        digest=archive.digest[:12],
    )


def card(archive: VolumeArchive, row: Any, findings: list[dict[str, str]]) -> dict[str, Any]:
    """All that the page says of one scan."""
    image, mask = archive.image(row.scan), archive.mask(row.scan)
    source = Volume(np.empty((1, 1, 1)), np.array(row.source_affine).reshape(4, 4))
    voxel_ml = float(np.prod(archive.contract.spacing_mm)) / 1000
    return {
        "scan": row.scan,
        "patient": row.patient,
        "site": row.site,
        "size": _x(image.shape, "d"),
        "source": f"{source.axes}, {_x(row.source_shape_vox, 'd')} voxels of {_x(source.spacing_mm, '.3g')} mm",
        "head_ml": f"{row.foreground_voxels * voxel_ml:.0f}",
        "lesion_ml": f"{np.count_nonzero(mask) * voxel_ml:.2f}" if row.has_mask else None,
        "parts": int(ndimage.label(mask)[1]),
        "findings": findings,
        "picture": thumbnail(image, mask, archive.contract.spacing_mm),
    }


def thumbnail(image: np.ndarray, mask: np.ndarray, spacing_mm: Spacing) -> str:
    """Three planes (D, H, W) with the mask's outline, as a data URI."""
    low, high = float(image.min()), float(np.percentile(image, 99.7))
    grey = np.clip((image - low) / max(high - low, 1e-6), 0, 1)
    centre = _centre(mask if mask.any() else image > low)
    scale = HEIGHT_PX / max(n * mm for n, mm in zip(image.shape, spacing_mm, strict=True))
    panels = [
        _panel(np.take(grey, centre[normal], normal), np.take(mask, centre[normal], normal), scale, steps)
        for normal in (2, 1, 0)
        for steps in [[mm for axis, mm in enumerate(spacing_mm) if axis != normal]]
    ]
    height = max(panel.shape[0] for panel in panels)
    sheet = np.hstack([_on_black(panel, height) for panel in panels])
    buffer = io.BytesIO()
    matplotlib.image.imsave(buffer, sheet, format="jpeg", pil_kwargs={"quality": 85, "subsampling": 0})
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _panel(grey: np.ndarray, mask: np.ndarray, scale: float, steps_mm: list[float]) -> np.ndarray:
    """One plane as RGB (rows downwards, columns), nearest voxels at `scale` pixels a mm, both axes turned."""
    across, down = (
        np.minimum((np.arange(max(1, round(n * mm * scale))) + 0.5) / (mm * scale), n - 1).astype(int)[::-1]
        for n, mm in zip(grey.shape, steps_mm, strict=True)
    )
    picture = np.repeat(grey[np.ix_(across, down)].T[..., None], 3, axis=2)
    inside = mask[np.ix_(across, down)].T > 0
    picture[inside & ~ndimage.binary_erosion(inside)] = OUTLINE_RGB
    return picture


def _centre(where: np.ndarray) -> tuple[int, int, int]:
    """The voxel of the largest component that is nearest to its centre of mass."""
    labels, _ = ndimage.label(where)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    middle = ndimage.center_of_mass(labels == sizes.argmax())
    x, y, z = (round(float(place)) for place in middle)
    return x, y, z


def _on_black(panel: np.ndarray, height: int) -> np.ndarray:
    above = (height - panel.shape[0]) // 2
    return np.pad(panel, ((above, height - panel.shape[0] - above), (1, 1), (0, 0)))


def _x(numbers: Any, form: str) -> str:
    return " x ".join(format(number, form) for number in numbers)
