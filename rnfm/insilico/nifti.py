"""Plain NIfTI files: sform and qform set, no text in the header, the same bytes for the same voxels."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnfm.insilico.acquire import stored
from rnfm.insilico.patient import Examination

GZIP_LEVEL = 1  # half the time of the usual level 6 for a tenth more bytes


def write_pair(examined: Examination, image: Path, mask: Path, mask_values: NDArray[np.uint16] | None = None) -> None:
    """Write a scan and its mask (`mask_values` instead of the annotator's, if given) in the scanner's storage order."""
    scan, axcodes = examined.scan, examined.scanner.axcodes
    for path, array in ((image, scan.image), (mask, scan.mask if mask_values is None else mask_values)):
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, *stored(array, scan.sampled, axcodes))


def write(path: Path, array: NDArray[Any], affine: NDArray[np.float64]) -> None:
    """Write one array; `.nii` uncompressed, `.nii.gz` with fast gzip and no time stamp."""
    import nibabel

    image = nibabel.nifti1.Nifti1Image(array, affine)
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    image.header.set_xyzt_units("mm", "sec")
    data = image.to_bytes()
    # The whole folder is synced when it is published (rnfm.core.artifact), so a plain write is enough here.
    path.write_bytes(gzip.compress(data, GZIP_LEVEL, mtime=0) if path.suffix == ".gz" else data)
