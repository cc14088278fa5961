"""What looks wrong about a scan that can nevertheless be used: one finding, one word of the ledger, one phrase.

Only what a person should look at is named, so a whole-head scan and a skull-stripped one of good quality give none.
The limits are constants here, calibrated on 16 public scans (Brain-Tumor-Progression and QIN-BRAIN-DSC-MRI, TCIA).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from rnfm.core.ledger import Reason
from rnfm.volume.grids import Volume
from rnfm.volume.reading import Header

EXTENT_MM = (60.0, 350.0)  # of a field of view that holds a head, or a useful slab of one
SPACING_MM = (0.1, 10.0)
THICK_SLICES = 3.0  # largest over smallest spacing
FORMS_GAP_VOX = 0.5
CLEAN_AIR = 0.4  # share of the voxels of full slices that have the value of a blank one, from which air is noiseless
ENHANCING = 1.25  # lesion's 95th percentile over tissue: 1.46 to 2.07 in 14 enhancing scans, 1.04 in the 2 others


@dataclass(frozen=True)
class Finding:
    """`reason` is a word of the ledger's findings; `detail` is for people and names nobody."""

    reason: Reason
    detail: str


def of_header(volume: Volume, header: Header) -> list[Finding]:
    """Findings that the grid alone shows: SPACING_IMPLAUSIBLE, ANISOTROPIC, FORMS_DISAGREE."""
    found = []
    spacing = volume.spacing_mm
    extent = [n * mm for n, mm in zip(volume.shape, spacing, strict=True)]
    claim = f"{_x(spacing, '.3g')} mm voxels, a field of view of {_x(extent, '.0f')} mm"
    if min(extent) < EXTENT_MM[0] or max(extent) > EXTENT_MM[1]:
        found.append(Finding(Reason.SPACING_IMPLAUSIBLE, f"{claim}: no head is that small or large"))
    elif min(spacing) < SPACING_MM[0] or max(spacing) > SPACING_MM[1]:
        found.append(Finding(Reason.SPACING_IMPLAUSIBLE, claim))
    if max(spacing) >= THICK_SLICES * min(spacing):
        found.append(Finding(Reason.ANISOTROPIC, f"{_x(spacing, '.3g')} mm voxels"))
    if header.forms_gap_vox > FORMS_GAP_VOX:
        gap = f"by {header.forms_gap_vox:.3g} voxels" if np.isfinite(header.forms_gap_vox) else "(the qform is invalid)"
        found.append(Finding(Reason.FORMS_DISAGREE, f"sform and qform disagree {gap}; the sform is used"))
    return found


def blank_slices(raw: np.ndarray) -> list[Finding]:
    """BLANK_SLICES: slices of one single value, along the axis with the fewest voxels.

    Between other slices they are always named. At the ends they are named only where the air around the other slices is
    noisy, so that they cannot be real; in a skull-stripped scan they are merely what lies beyond the brain.
    """
    axis = 2 - int(np.argmin(raw.shape[::-1]))
    slices = np.moveaxis(raw, axis, 0)
    blank = np.array([one.min() == one.max() for one in slices])
    full = np.flatnonzero(~blank)
    if not blank.any() or not full.size:
        return []
    inside = int(blank[full[0] : full[-1] + 1].sum())
    ends = int(blank.sum()) - inside
    padding = np.unique([one.flat[0] for one in slices[blank]])
    noisy = np.isin(slices[~blank], padding).mean() < CLEAN_AIR
    named = [f"{inside} between others"] * bool(inside) + [f"{ends} at the ends"] * bool(ends and noisy)
    if not named:
        return []
    return [Finding(Reason.BLANK_SLICES, f"{' and '.join(named)} of {len(blank)} slices hold one single value")]


def no_contrast(raw: np.ndarray, head: np.ndarray, mask: np.ndarray | None) -> list[Finding]:
    """NO_CONTRAST: the lesion is no brighter than tissue, so perhaps no contrast agent was given.

    The 95th percentile of the lesion is compared with the commonest value in the head outside it (white and grey matter,
    which do not enhance). A heuristic with limits: it says nothing without a mask (vessels, fat and surface coils give
    scans with and without contrast the same bright tail); a lesion that does not enhance, or a mask of oedema or of a
    resection cavity only, is named although contrast was given; a pre-contrast scan with haemorrhage is not.
    """
    if mask is None or not (mask > 0).any():
        return []
    tissue = _mode(raw[head & (mask == 0)])
    lesion = float(np.percentile(raw[mask > 0], 95))
    if tissue is None or lesion >= ENHANCING * tissue:
        return []
    return [
        Finding(
            Reason.NO_CONTRAST, f"the lesion's bright end is {lesion / tissue:.2f} times tissue; enhancing is >= 1.25"
        )
    ]


def _mode(values: np.ndarray) -> float | None:
    """The commonest value, from a smoothed histogram; None where there are too few voxels or it is not positive."""
    if values.size < 1000:
        return None
    counts, edges = np.histogram(values, 200, (float(values.min()), float(np.percentile(values, 99))))
    peak = int(ndimage.gaussian_filter1d(counts.astype(np.float64), 4).argmax())
    mode = float(edges[peak] + edges[peak + 1]) / 2
    return mode if mode > 0 else None


def _x(numbers: tuple[float, ...] | list[float], form: str) -> str:
    return " x ".join(format(number, form) for number in numbers)
