"""Makers of tiny trees. They share nothing with the adapters: names and columns are spelt out as the data sets publish them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

NiftiMaker = Callable[..., Path]


@pytest.fixture(scope="session")
def nifti() -> NiftiMaker:
    """`nifti(path, data=None, shape=..., spacing_mm=...)` writes one file and returns its path."""

    def make(
        path: Path,
        data: np.ndarray | None = None,
        *,
        shape: tuple[int, ...] = (8, 8, 8),
        spacing_mm: float = 8.0,
    ) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        voxels = np.ones(shape, np.uint8) if data is None else data
        image = nibabel.Nifti1Image(voxels, np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0]))
        image.header.set_sform(image.affine, code=1)
        image.header.set_qform(image.affine, code=1)
        nibabel.save(image, path)
        return path

    return make


@pytest.fixture
def bids_tree(tmp_path: Path, nifti: NiftiMaker) -> Path:
    """Four participants at two centres, two sessions of the first; RN, progression, 1, n/a."""
    root = tmp_path / "bids"
    root.mkdir()
    (root / "dataset_description.json").write_text('{"Name": "Site B (2nd centre)", "BIDSVersion": "1.9.0"}')
    (root / "participants.tsv").write_text(
        "participant_id\tage\tsex\tsite\tlabel\tlabel_source\twbrt\tdate_of_birth\tsurvival_days\n"
        "sub-01\t61\tM\tnorth\tRN\tpathology\tyes\t1950-02-03\t100\n"
        "sub-02\t95\tfemale\tnorth\tprogression\tfollow-up\tno\t1951-02-03\t200\n"
        "sub-03\t50.5\tF\tsouth\t1\tn/a\tno\t1952-02-03\t300\n"
        "sub-04\tn/a\tn/a\tsouth\tn/a\tn/a\tn/a\tn/a\tn/a\n"
    )
    for session in ("1", "2"):
        name = f"sub-01_ses-{session}"
        nifti(root / f"sub-01/ses-{session}/anat/{name}_T1w.nii.gz")
        nifti(root / f"sub-01/ses-{session}/anat/{name}_ce-gad_T1w.nii.gz")
        nifti(root / f"derivatives/lesions/sub-01/ses-{session}/anat/{name}_desc-lesion_mask.nii.gz")
        nifti(root / f"derivatives/fs/sub-01/ses-{session}/anat/{name}_desc-brain_mask.nii.gz")
    (root / "sub-01/sub-01_sessions.tsv").write_text(
        "session_id\tacq_time\tmonths_since_srs\nses-1\t2020-01-10T09:00:00\t2.0\nses-2\t2020-04-25\t5.5\n"
    )
    for subject in ("02", "03", "04"):
        nifti(root / f"sub-{subject}/anat/sub-{subject}_ce-gad_T1w.nii.gz")
    for subject in ("02", "03"):
        nifti(root / f"derivatives/lesions/sub-{subject}/anat/sub-{subject}_mask.nii.gz")
    return root


@pytest.fixture(scope="session")
def real_data() -> Path:
    path = os.environ.get("RNFM_REAL_DATA")
    if not path:
        pytest.skip("RNFM_REAL_DATA is not set")
    return Path(path)
