"""Writing one NIfTI file: a header made afresh, so that nothing of a source's header (names, dates) can travel along."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np

from rnfm.core import files
from rnfm.core.errors import ConfigError
from rnfm.volume.grids import Volume, spacing_of

KINDS = {"bool": "uint8", "float64": "float32", "float16": "float32", "int64": "int32", "uint32": "int32"}


def save_nifti(volume: Volume, path: Path | str) -> None:
    """Write `.nii` or `.nii.gz`, whole or not at all; the same volume gives the same bytes.

    dtypes kept: float32, uint8, uint16, int16, int32; bool becomes uint8 and wider types the nearest of these. The sform
    holds the affine (code 1, scanner); the qform too, where the axes are orthogonal. Raises ConfigError for other names.
    """
    path = Path(path)
    require_nifti_name(path)
    data = volume.data.astype(KINDS.get(volume.data.dtype.name, volume.data.dtype.name), copy=False)
    header = nibabel.Nifti1Header()
    header.set_data_dtype(data.dtype)
    header.set_xyzt_units("mm")
    image = nibabel.Nifti1Image(data, None, header)
    image.set_sform(volume.affine, code=1)
    orthogonal = _is_orthogonal(volume.affine)  # a quaternion cannot hold a shear
    image.set_qform(volume.affine if orthogonal else None, code=int(orthogonal))
    content = image.to_bytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    # No name and no time in gzip's header: equal volumes, equal bytes.
    files.write_bytes(path, gzip.compress(content, 6, mtime=0) if path.name.endswith(".gz") else content)


def require_nifti_name(path: Path) -> None:
    """Raise ConfigError unless the name ends with .nii or .nii.gz."""
    if not path.name.endswith((".nii", ".nii.gz")):
        raise ConfigError(path, "is not the name of a NIfTI file", "End it with .nii.gz")


def _is_orthogonal(affine: np.ndarray) -> bool:
    axes = affine[:3, :3] / spacing_of(affine)
    return bool(np.allclose(axes.T @ axes, np.eye(3), atol=1e-4))
