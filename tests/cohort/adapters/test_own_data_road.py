"""One command from a user's own data to a cohort, one more to an archive: DICOM, RTSTRUCT, CSV, BIDS, as typed on a terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from rnfm.cli.main import main
from rnfm.volume import VolumeArchive

OBLIQUE = {"across": (0.36, 0.48, -0.8), "down": (-0.8, 0.6, 0.0)}


def _road(source: Path, folder: Path, *words: str) -> VolumeArchive:
    cohort, volumes = folder / "cohort", folder / "volumes"
    assert main(["data", "index", str(source), "--out", str(cohort), *words]) == 0
    assert main(["data", "prepare", str(cohort), "--out", str(volumes), "--spacing-mm", "1.5", "1.5", "1.5"]) == 0
    return VolumeArchive.open(volumes)


def _place_mm(archive: VolumeArchive, scan: str, vox: np.ndarray) -> np.ndarray:
    affine = np.asarray(archive.affine(scan))
    return affine[:3, :3] @ vox + affine[:3, 3]


@pytest.mark.parametrize("turn", [{}, OBLIQUE], ids=["axial", "oblique"])
def test_a_dicom_tree_with_a_structure_set(tmp_path: Path, dicom_files: Any, blob: Any, turn: dict[str, Any]) -> None:
    """A bright voxel and a ball of 15 mm, planted in patient space, are where they were in the canonical archive."""
    bright, centre_vox = (28, 9, 21), (16.4, 20.2, 13.7)
    given = {"pixel_mm": (2.2, 2.2), "gap_mm": 2.6, "description": "T1 MPRAGE POST", **turn}
    facts = dicom_files.series(tmp_path / "in/series", blob((44, 40, 34), bright), **given)
    dicom_files.series(tmp_path / "in/flair", blob((44, 40, 34)), **{**given, "description": "FLAIR +C", "number": 2})
    dicom_files.structure(tmp_path / "in/rs.dcm", facts, {"Rt frontal": dicom_files.ball(facts, centre_vox, 15.0)})
    archive = _road(tmp_path / "in", tmp_path)
    (row,) = archive.cohort.to_dict("records")
    image = archive.image(row["scan"])
    expected = dicom_files.lps(facts, bright) * (-1, -1, 1)
    # The intensity rule clips the brightest voxels to one value: their middle is the place.
    found = _place_mm(archive, row["scan"], np.argwhere(image == image.max()).mean(axis=0))
    assert np.linalg.norm(found - expected) <= 0.87 * 1.5
    lesion = archive.lesion_mask(row["scan"], row["mask_values"])
    assert lesion.sum() * 1.5**3 / 1000 == pytest.approx(4 / 3 * np.pi * 1.5**3, rel=0.04)
    centre = _place_mm(archive, row["scan"], np.argwhere(lesion).mean(axis=0))
    assert np.linalg.norm(centre - dicom_files.lps(facts, centre_vox) * (-1, -1, 1)) < 0.35


def test_a_radiosurgery_tree(tmp_path: Path, dicom_files: Any, blob: Any) -> None:
    root = tmp_path / "in"
    for number, patient in enumerate(("GK_103", "GK_104")):
        facts = dicom_files.series(
            root / patient / "mr", blob() + number, patient=patient, description="planning", agent=""
        )
        regions = {
            "Skull": dicom_files.ball(facts, (12, 10, 8), 35.0),
            "Lt met": dicom_files.ball(facts, (12, 10, 8), 11.0),
        }
        dicom_files.structure(root / patient / "rs/rs.dcm", facts, regions)
    archive = _road(root, tmp_path)
    assert len(archive.scans) == 2
    for row in archive.cohort.to_dict("records"):
        assert archive.lesion_mask(row["scan"], row["mask_values"]).sum() > 500


def _head(path: Path, seed: int, mask: Path | None = None, values: tuple[int, ...] = (1,)) -> None:
    """A head of 96 mm with small cubes of the given mask values in it."""
    rng = np.random.default_rng(seed)
    x, y, z = np.indices((24, 24, 24)) - 12
    brain = x**2 + y**2 + z**2 < 100
    voxels = (rng.normal(0, 8, brain.shape) ** 2 / 8 + brain * rng.normal(400, 20, brain.shape)).astype(np.int16)
    labels = np.zeros(brain.shape, np.uint8)
    for index, value in enumerate(values):
        labels[6 + 4 * index : 9 + 4 * index, 10:13, 10:13] = value
    for file, data in ((path, voxels), (mask, labels)):
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            image = nibabel.Nifti1Image(data, np.diag([4.0, 4.0, 4.0, 1.0]))
            image.set_sform(image.affine, 1)
            nibabel.save(image, file)


def test_a_table(tmp_path: Path) -> None:
    _head(tmp_path / "in/a.nii.gz", 1, tmp_path / "in/a_m.nii.gz", (11, 12, 21))
    _head(tmp_path / "in/b.nii.gz", 2, tmp_path / "in/b_m.nii.gz")
    (tmp_path / "in/my table.csv").write_text(
        "patient,image,mask,lesion,mask_values,label,age\n"
        "a,a.nii.gz,a_m.nii.gz,1,11;12,RN,61\na,a.nii.gz,a_m.nii.gz,2,21,progression,61\nb,b.nii.gz,b_m.nii.gz,,,progression,58\n"
    )
    archive = _road(tmp_path / "in/my table.csv", tmp_path)
    assert len(archive.scans) == 2
    cohort = archive.cohort.sort_values("clinical_age_years", ascending=False)
    volumes_ml = [
        archive.lesion_mask(row["scan"], row["mask_values"]).sum() * 1.5**3 / 1000 for row in cohort.to_dict("records")
    ]
    cube_ml = 12**3 / 1000
    assert sorted(volumes_ml) == [pytest.approx(cube_ml, rel=0.25)] * 2 + [pytest.approx(2 * cube_ml, rel=0.25)]
    assert sorted(cohort["label"]) == [0, 0, 1]


def test_a_bids_tree_with_sidecars_and_a_dseg(tmp_path: Path) -> None:
    root = tmp_path / "in"
    for number in (1, 2):
        name = f"sub-{number:02d}"
        _head(
            root / f"{name}/anat/{name}_ce-gad_T1w.nii.gz",
            number,
            root / f"derivatives/seg/{name}/anat/{name}_ce-gad_dseg.nii.gz",
            (1, 2),
        )
    (root / "dataset_description.json").write_text('{"Name": "mine", "BIDSVersion": "1.9.0"}')
    (root / "T1w.json").write_text(json.dumps({"Manufacturer": "Philips", "MagneticFieldStrength": 3}))
    (root / "derivatives/seg/dseg.tsv").write_text("index\tname\n1\tenhancing lesion\n2\tedema\n")
    (root / "participants.tsv").write_text("participant_id\tlabel\nsub-01\tRN\nsub-02\tprogression\n")
    archive = _road(root, tmp_path)
    assert len(archive.scans) == 2
    for row in archive.cohort.to_dict("records"):
        assert (row["vendor"], row["field_strength_t"], list(row["mask_values"])) == ("Philips", 3.0, [1])
        assert archive.lesion_mask(row["scan"], row["mask_values"]).sum() * 1.5**3 / 1000 == pytest.approx(
            1.728, rel=0.25
        )
