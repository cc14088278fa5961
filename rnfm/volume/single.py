"""One scan from file to network input: the pure function that `prepare` and `predict` share, so that both do the same.

    file --load--> source grid --canonicalise--> RAS, spacing --foreground--> intensity rule --window--> (D, H, W)
    mask file ---------------- label-safe -----> the same grid ------------------------------> the same window

The window is the box around foreground and lesions, plus a margin, grown on both sides to a multiple of 16 voxels. It
takes real voxels wherever the grid has them and the background value (the rule's value of 0) beyond.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rnfm.core.contract import InputContract
from rnfm.core.ledger import Reason
from rnfm.volume import findings, intensity
from rnfm.volume.faults import ScanFault
from rnfm.volume.findings import Finding
from rnfm.volume.geometry import Shape, Volume, canonicalise, grids_differ_by
from rnfm.volume.reading import load_mask, read_image

PAD_VOX = 16
MARGIN_MM = 4.0
GRID_TOLERANCE_VOX = 0.25  # mask to scan: float32 headers differ by 1e-4, a wrong grid by half a voxel or more


@dataclass(frozen=True, eq=False)
class PreparedScan:
    """A canonical scan: `image` float32 (D, H, W) under the intensity rule, `mask` uint16 (source's own values) or None.

    `affine` maps its voxels to RAS mm. `intensity` holds the rule's fitted parameters, `background` the value of empty
    space. `voxels_sha256` names the decoded source voxels whatever file held them.
    """

    image: np.ndarray
    mask: np.ndarray | None
    affine: np.ndarray
    source_shape: Shape
    source_affine: np.ndarray
    intensity: dict[str, float]
    background: float
    foreground_voxels: int
    voxels_sha256: str
    findings: tuple[Finding, ...]


def prepare_one(
    path: Path | str, mask_path: Path | str | None, contract: InputContract, *, margin_mm: float = MARGIN_MM
) -> PreparedScan:
    """Read, canonicalise and normalise one scan and its mask. The same files and contract give the same bits.

    Raises ScanFault: all that `load` raises, and for the mask MISSING_FILE, MASK_UNREADABLE, MASK_GEOMETRY, MASK_EMPTY.
    """
    source, header = read_image(path)
    source_mask = None if mask_path is None else _mask_of(path, mask_path, source)
    found = findings.of_header(source, header) + findings.blank_slices(source.data)
    sha256 = voxels_sha256(source.data)
    canonical = canonicalise(source, contract.spacing_mm)
    mask = None if source_mask is None else canonicalise(source_mask, contract.spacing_mm, is_mask=True).data
    head = intensity.foreground(canonical.data)
    found += findings.no_contrast(canonical.data, head, mask)
    parameters = intensity.fit_intensity(canonical.data[head], contract.intensity)
    image = intensity.apply_intensity(canonical.data, parameters, contract.intensity)
    background = float(intensity.apply_intensity(np.zeros(1), parameters, contract.intensity)[0])
    start, stop = window(head if mask is None else head | (mask > 0), margin_mm / np.array(canonical.spacing_mm))
    affine = canonical.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ start
    return PreparedScan(
        image=cut(image, start, stop, fill=background),
        mask=None if mask is None else cut(mask, start, stop, fill=0),
        affine=affine,
        source_shape=source.shape,
        source_affine=source.affine,
        intensity=parameters,
        background=background,
        foreground_voxels=int(head.sum()),
        voxels_sha256=sha256,
        findings=tuple(found),
    )


def voxels_sha256(data: np.ndarray) -> str:
    """sha256 of shape and float32 voxels in C order: the same for one image however it was stored or compressed."""
    head = "x".join(str(n) for n in data.shape).encode()
    return hashlib.sha256(head + np.ascontiguousarray(data, dtype="<f4").tobytes()).hexdigest()


def window(where: np.ndarray, margin_vox: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First voxel and one past the last (3,) of the window around `where`; either may lie outside the array.

    The margin stops at the edge of the array; only the growth to a multiple of 16 goes beyond.
    """
    start, stop = intensity.box(where)
    margin = np.ceil(margin_vox).astype(int)
    start, stop = np.maximum(start - margin, 0), np.minimum(stop + margin, where.shape)
    grow = -(stop - start) % PAD_VOX
    return start - grow // 2, stop + grow - grow // 2


def cut(data: np.ndarray, start: np.ndarray, stop: np.ndarray, *, fill: float) -> np.ndarray:
    """`data[start:stop]` where that may reach outside; there it is `fill`. A new C-ordered array."""
    out = np.full(tuple(stop - start), fill, data.dtype)
    low, high = np.maximum(start, 0), np.minimum(stop, data.shape)
    inside = tuple(slice(a, b) for a, b in zip(low - start, high - start, strict=True))
    out[inside] = data[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    return out


def _mask_of(path: Path | str, mask_path: Path | str, source: Volume) -> Volume:
    """The mask, if it lies on the scan's own grid."""
    try:
        mask = load_mask(mask_path)
    except ScanFault as fault:
        raise fault.of_mask(path) from None
    if mask.shape != source.shape:
        sizes = " against ".join(" x ".join(map(str, shape)) for shape in (mask.shape, source.shape))
        raise ScanFault(Reason.MASK_GEOMETRY, f"its mask has another size: {sizes} voxels", path)
    gap = grids_differ_by(source.shape, source.affine, mask.affine)
    if gap > GRID_TOLERANCE_VOX:
        raise ScanFault(Reason.MASK_GEOMETRY, f"its mask lies {gap:.3g} voxels away from it", path)
    return mask
