"""One scan from file to network input: the pure function that `prepare` and `predict` share, so that both do the same.

    file --load--> source grid --canonicalise--> RAS, spacing --foreground--> N4 --> intensity rule --window--> (D, H, W)
    mask file ---------------- label-safe -----> the same grid ---------------------------------------> the same window
    brain mask (if any) ------ label-safe -----> blanks what lies outside, and is the foreground

The window is the box around foreground and lesions, plus a margin, grown on both sides to a multiple of 16 voxels. It
takes real voxels wherever the grid has them and the background value (the rule's value of 0) beyond.

Every mask must lie on the scan's own grid; stored with its axes in another order (LAS for RAS, ...) it is turned, without
a finding: its header says so, and nothing is guessed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rnfm.cohort import likeness
from rnfm.core.contract import InputContract
from rnfm.core.errors import ConfigError
from rnfm.core.ledger import Reason
from rnfm.volume import bias, brain, findings, intensity
from rnfm.volume.brain import FindBrain
from rnfm.volume.faults import ScanFault
from rnfm.volume.findings import Finding
from rnfm.volume.geometry import canonicalise, turned
from rnfm.volume.grids import Grid, Shape, Volume, grids_differ_by
from rnfm.volume.reading import load_mask, read_image

PAD_VOX = 16
MARGIN_MM = 4.0
GRID_TOLERANCE_VOX = 0.25  # mask to scan: float32 headers differ by 1e-4, a wrong grid by half a voxel or more


@dataclass(frozen=True, eq=False)
class PreparedScan:
    """A canonical scan: `image` float32 (D, H, W) under the intensity rule, `mask` uint16 (source's own values) or None.

    `affine` maps its voxels to RAS mm. `intensity` holds the rule's fitted parameters, `background` the value of empty
    space. `voxels_sha256` names the decoded source voxels whatever file held them; by `thumbnail` (rnfm.cohort.likeness)
    changed copies are found.
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
    thumbnail: np.ndarray
    findings: tuple[Finding, ...]


@dataclass(frozen=True, eq=False)
class Canonical:
    """A scan on its canonical grid, still in raw values: `data` float32, `head` bool, `mask` uint16 or None, all (D, H, W)."""

    data: np.ndarray
    head: np.ndarray
    mask: np.ndarray | None
    affine: np.ndarray
    source: Grid
    voxels_sha256: str
    findings: tuple[Finding, ...]


def prepare_one(
    path: Path | str,
    mask_path: Path | str | None,
    contract: InputContract,
    *,
    margin_mm: float = MARGIN_MM,
    find_brain: FindBrain | None = None,
) -> PreparedScan:
    """Read, canonicalise and normalise one scan and its mask. The same files and contract give the same bits.

    `find_brain` is needed, and only allowed, where the contract blanks what lies outside the brain. Raises ScanFault: all
    that `load` raises; for the masks MISSING_FILE, MASK_UNREADABLE, MASK_GEOMETRY, MASK_EMPTY, BRAIN_FAILED; BIAS_FAILED. Raises ConfigError where the contract cannot be kept.
    """
    if contract.intensity.rule == "nyul" and not contract.intensity.landmarks:
        raise ConfigError("intensity", "rule nyul has no landmarks", "Fit them: see `rnfm data prepare --help`")
    scan = canonical(path, mask_path, contract, find_brain)
    parameters = intensity.fit_intensity(scan.data[scan.head], contract.intensity)
    background = float(intensity.apply_intensity(np.zeros(1), parameters, contract.intensity)[0])
    spacing = np.array(contract.spacing_mm)
    start, stop = window(scan.head if scan.mask is None else scan.head | (scan.mask > 0), margin_mm / spacing)
    affine = scan.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ start
    return PreparedScan(
        image=intensity.apply_intensity(cut(scan.data, start, stop, fill=0), parameters, contract.intensity),
        mask=None if scan.mask is None else cut(scan.mask, start, stop, fill=0),
        affine=affine,
        source_shape=scan.source[0],
        source_affine=scan.source[1],
        intensity=parameters,
        background=background,
        foreground_voxels=int(scan.head.sum()),
        voxels_sha256=scan.voxels_sha256,
        thumbnail=likeness.thumbnail(scan.data, scan.head, contract.spacing_mm),
        findings=scan.findings,
    )


def canonical(
    path: Path | str, mask_path: Path | str | None, contract: InputContract, find_brain: FindBrain | None = None
) -> Canonical:
    """All of `prepare_one` that comes before the intensity rule (which may have been fitted on what this gives)."""
    _require_brain(contract, find_brain)
    source, header = read_image(path)
    grid = (source.shape, source.affine)
    found = findings.of_header(source, header) + findings.blank_slices(source.data)
    sha256 = voxels_sha256(source.data)
    brain_mask = None if find_brain is None else _brain_of(path, find_brain, source)
    volume = canonicalise(source, contract.spacing_mm)
    del source  # its memory is needed below
    mask = None if mask_path is None else _mask_of(path, mask_path, grid)
    mask_DHW = None if mask is None else canonicalise(mask, contract.spacing_mm, is_mask=True).data
    del mask
    data = volume.data
    if brain_mask is None:
        head = intensity.foreground(data)
    else:
        head = canonicalise(brain_mask, contract.spacing_mm, is_mask=True).data > 0
        found += brain.findings_of(head, mask_DHW, float(np.prod(contract.spacing_mm)))
        data = np.where(head, data, np.float32(0))
    found += findings.no_contrast(data, head, mask_DHW)
    data = bias.without_bias(data, head, contract.bias)
    return Canonical(data, head, mask_DHW, volume.affine, grid, sha256, tuple(found))


def voxels_sha256(data: np.ndarray) -> str:
    """sha256 of shape and float32 voxels, the first axis fastest, as in a file: the same for one image however it was stored."""
    digest = hashlib.sha256("x".join(str(n) for n in data.shape).encode())
    for slice_ji in data.T:  # one by one, so that no second copy of the scan is made
        digest.update(np.ascontiguousarray(slice_ji, dtype="<f4").data)
    return digest.hexdigest()


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


def _require_brain(contract: InputContract, find_brain: FindBrain | None) -> None:
    if contract.brain.rule != "none" and find_brain is None:
        cause = (
            f"the contract blanks what lies outside the brain (rule {contract.brain.rule}), and no brain mask is given"
        )
        raise ConfigError("brain", cause, "Give the scan's brain mask (--brain-mask), or the program (--brain-command)")
    if contract.brain.rule == "none" and find_brain is not None:
        raise ConfigError("brain", "the contract keeps the whole head, so no brain mask is used", "Leave it out")


def _mask_of(path: Path | str, mask_path: Path | str, grid: Grid) -> Volume:
    """The lesion mask on the scan's own grid."""
    try:
        mask = load_mask(mask_path, grid[0])
    except ScanFault as fault:
        raise fault.of_mask(path) from None
    return _on_grid(mask, grid, ScanFault(Reason.MASK_GEOMETRY, "its mask", path))


def _brain_of(path: Path | str, find_brain: FindBrain, source: Volume) -> Volume:
    """The brain mask (uint16, 1 = brain) on the scan's own grid."""
    try:
        found = find_brain(source)
    except ScanFault as fault:
        raise fault.of(path) from None
    found = _on_grid(found, (source.shape, source.affine), ScanFault(Reason.BRAIN_FAILED, "its brain mask", path))
    return Volume((found.data > 0).astype(np.uint16), found.affine)


def _on_grid(mask: Volume, grid: Grid, fault: ScanFault) -> Volume:
    """The mask with its axes in the order of `grid`. Raises `fault`, its detail completed, if it is another grid."""
    shape, affine = grid
    same = turned(mask, grid)
    if same is None and sorted(mask.shape) != sorted(shape):
        sizes = " against ".join(" x ".join(map(str, one)) for one in (mask.shape, shape))
        raise ScanFault(fault.reason, f"{fault.detail} has another size: {sizes} voxels", fault.thing)
    if same is None:
        raise ScanFault(fault.reason, f"{fault.detail} has axes in no order that fits the scan's", fault.thing)
    gap = grids_differ_by(shape, affine, same.affine)
    if gap > GRID_TOLERANCE_VOX:
        raise ScanFault(fault.reason, f"{fault.detail} lies {gap:.3g} voxels away from it", fault.thing)
    return Volume(same.data, affine)
