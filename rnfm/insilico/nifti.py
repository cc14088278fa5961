"""Plain NIfTI files: sform and qform set, no text in the header, the same bytes for the same voxels."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnfm.core import files
from rnfm.insilico.acquire import stored
from rnfm.insilico.patient import Examination

GZIP_LEVEL = 1  # half the time of the usual level 6 for a tenth more bytes


def write_pair(examined: Examination, image: Path, mask: Path, mask_values: NDArray[np.uint16] | None = None) -> None:
    """Write a scan and its mask (`mask_values` instead of the annotator's, if given) in the scanner's storage order.

    The image comes last: where it stands, its mask does.
    """
    scan = examined.scan
    for path, array in ((mask, scan.mask if mask_values is None else mask_values), (image, scan.image)):
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, *stored(array, scan.sampled, examined.scanner))


def write(path: Path, array: NDArray[Any], affine: NDArray[np.float64]) -> None:
    """Write one array; `.nii` uncompressed, `.nii.gz` with fast gzip and no time stamp."""
    import nibabel

    image = nibabel.nifti1.Nifti1Image(array, affine)
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    image.header.set_xyzt_units("mm", "sec")
    data = image.to_bytes()
    files.write_bytes(path, gzip.compress(data, GZIP_LEVEL, mtime=0) if path.suffix == ".gz" else data)
