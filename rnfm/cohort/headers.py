"""Reading headers: what can be refused without decoding a voxel.

`rnfm data prepare` decodes and judges the voxels; here only the first bytes of each file are read, so that thousands of
scans are listed in seconds. Details never quote a library's message, because those hold paths.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnfm.cohort.records import Fault, Finding, ScanRecord
from rnfm.core.ledger import Reason

LARGEST_VOXELS = 1 << 30  # a 1024^3 volume; headers of a few bytes have claimed terabytes
SPACING_RANGE_MM = (0.1, 10.0)
SMALLEST_EXTENT_MM = 60.0  # a whole head is never thinner; slices of 5 mm saved as 1 mm are


@dataclass(frozen=True)
class Header:
    """Size and voxel size as the file claims them, axes as in the file."""

    shape_vox: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]


@dataclass(frozen=True)
class Inspected:
    """A scan with the header of its image, or with the fault that refuses it."""

    scan: ScanRecord
    header: Header | None
    fault: Fault | None
    findings: tuple[Finding, ...] = ()


def inspect(scan: ScanRecord) -> Inspected:
    """Read the headers of image and mask and compare their sizes."""
    if scan.fault:
        return Inspected(scan, None, scan.fault)
    if scan.image is None:
        return Inspected(scan, None, Fault(Reason.MISSING_FILE, "a mask without its image"))
    image = read_header(scan.image)
    if isinstance(image, Fault):
        return Inspected(scan, None, image)
    if scan.mask is not None:
        mask = read_header(scan.mask)
        if isinstance(mask, Fault):
            return Inspected(scan, None, Fault(Reason.MASK_UNREADABLE, f"{mask.reason}: {mask.detail}"))
        if mask.shape_vox != image.shape_vox:
            sizes = f"mask {_size(mask.shape_vox)}, image {_size(image.shape_vox)} voxels"
            return Inspected(scan, None, Fault(Reason.MASK_GEOMETRY, sizes))
    return Inspected(scan, image, None, tuple(_implausible(scan, image)))


def read_header(path: Path) -> Header | Fault:
    """Size and spacing of a NIfTI file, or why it is refused: lost, unreadable, not 3-D, colour, too large, no affine."""
    import nibabel

    # nibabel reports header trouble through a logger, with the path in it.
    logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)
    if not path.is_file():
        return Fault(Reason.MISSING_FILE, "no such file")
    try:
        image: Any = nibabel.load(path)
        header, affine = image.header, image.affine
        codes = int(header["sform_code"]), int(header["qform_code"])
        shape, zooms = tuple(int(n) for n in image.shape), tuple(float(z) for z in header.get_zooms())
        kind = image.get_data_dtype().kind
    except PermissionError:
        return Fault(Reason.UNREADABLE, "may not be read by this user")
    except Exception as error:  # whatever a hostile header raises inside the library is one refusal
        return Fault(Reason.UNREADABLE, f"no readable NIfTI header ({type(error).__name__})")
    fault = _fault(shape, kind, codes, affine)
    if fault is not None:
        return fault
    spacing_mm = round(zooms[0], 6), round(zooms[1], 6), round(zooms[2], 6)
    return Header((shape[0], shape[1], shape[2]), spacing_mm)


def _fault(shape: tuple[int, ...], kind: str, codes: tuple[int, int], affine: Any) -> Fault | None:
    import numpy as np

    if len(shape) < 3 or any(n != 1 for n in shape[3:]) or min(shape) < 1:
        return Fault(Reason.NOT_3D, f"{_size(shape) or 'no'} voxels")
    if kind not in "iuf":
        return Fault(Reason.BAD_DTYPE, "neither integers nor real numbers")
    if math.prod(shape) > LARGEST_VOXELS:
        return Fault(Reason.TOO_LARGE, f"claims {_size(shape)} voxels")
    if codes == (0, 0):
        return Fault(Reason.NO_ORIENTATION, "neither sform nor qform is set")
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        return Fault(Reason.BAD_AFFINE, "the affine is not finite or not invertible")
    return None


def _implausible(scan: ScanRecord, header: Header) -> list[Finding]:
    low, high = SPACING_RANGE_MM
    extent_mm = [n * s for n, s in zip(header.shape_vox, header.spacing_mm, strict=True)]
    claims = f"header claims {' x '.join(f'{s:g}' for s in header.spacing_mm)} mm"
    details = []
    if min(header.spacing_mm) < low or max(header.spacing_mm) > high:
        details.append(f"{claims}, outside {low:g} to {high:g} mm")
    elif min(extent_mm) < SMALLEST_EXTENT_MM:
        details.append(f"{claims}, so only {min(extent_mm):.0f} mm are covered along one axis")
    return [
        Finding(patient=scan.patient, scan=scan.scan, reason=Reason.SPACING_IMPLAUSIBLE, detail=detail)
        for detail in details
    ]


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in shape)
