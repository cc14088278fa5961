"""Any folder: pairing of images with masks, patients and time points out of names, and trees it must not guess at."""

from __future__ import annotations

from pathlib import Path

import pytest

from rnfm.cohort.adapters import folder
from rnfm.cohort.records import Options
from rnfm.core.errors import ConfigError


def _pairs(root: Path, options: Options) -> dict[str, str | None]:
    reading = folder.read(root, options)
    return {scan.scan: scan.mask and scan.mask.relative_to(root).as_posix() for scan in reading.scans}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (("a_1.nii", "a_1_mask.nii", "a_2.nii"), {"a_1": "a_1_mask.nii", "a_2": None}),
        (("img/a_1.nii.gz", "masks/a_1.nii.gz"), {"img/a_1": "masks/a_1.nii.gz"}),
        (("p1/t1c.nii.gz", "p1/seg.nii.gz", "p2/t1c.nii.gz"), {"p1/t1c": "p1/seg.nii.gz", "p2/t1c": None}),
        (("p1_t1ce.nii", "p1_seg.nii.gz"), {"p1_t1ce": "p1_seg.nii.gz"}),
        # Two folders hold a scan of this name and one mask lies elsewhere: whose it is cannot be known.
        (("x/a.nii", "y/a.nii", "labels/a.nii"), {"x/a": None, "y/a": None}),
    ],
)
def test_masks_find_their_image(tmp_path: Path, nifti, files: tuple[str, ...], expected: dict[str, str | None]) -> None:
    for name in files:
        nifti(tmp_path / name)
    assert _pairs(tmp_path, Options()) == expected


def test_a_masks_folder_pairs_by_equal_names(tmp_path: Path, nifti) -> None:
    for name in ("scans/a_1.nii.gz", "scans/a_2.nii.gz", "elsewhere/a_1.nii", "elsewhere/b_9.nii.gz"):
        nifti(tmp_path / name)
    reading = folder.read(tmp_path / "scans", Options(masks=tmp_path / "elsewhere"))
    assert [scan.mask and scan.mask.name for scan in reading.scans] == ["a_1.nii", None]
    assert "1 mask files belong to no image and were left aside." in reading.notes
    assert "1 images have no mask file." in reading.notes


def test_globs_choose_images_and_masks(tmp_path: Path, nifti) -> None:
    for name in ("c1/c1-t1c.nii.gz", "c1/c1-t2w.nii.gz", "c1/c1-seg.nii.gz", "c1/c1-t1n.nii.gz"):
        nifti(tmp_path / name)
    options = Options(image_glob="**/*-t1c.nii.gz", mask_glob="**/*-seg.nii.gz")
    assert _pairs(tmp_path, options) == {"c1/c1-t1c": "c1/c1-seg.nii.gz"}


def test_a_tree_of_several_sequences_is_not_swallowed(tmp_path: Path, nifti) -> None:
    for name in ("c1/c1-t1c.nii.gz", "c1/c1-t2w.nii.gz"):
        nifti(tmp_path / name)
    assert folder.matches(tmp_path).score < 0.5
    with pytest.raises(ConfigError, match=r"several sequences \(t2w\).*--image-glob"):
        folder.read(tmp_path, Options())


@pytest.mark.parametrize(
    ("files", "patients"),
    [
        (("btp01_tp2.nii", "btp01_tp10.nii", "qin01_tp1.nii"), ["btp01", "btp01", "qin01"]),
        (("p1/s1.nii", "p1/s2.nii", "p2/s1.nii"), ["p1", "p1", "p2"]),
        (("t1c/a_1.nii", "t1c/b_1.nii"), ["a", "b"]),
        (("_x.nii", "y.nii"), ["_x", "y"]),
    ],
)
def test_patients_out_of_names(tmp_path: Path, nifti, files: tuple[str, ...], patients: list[str]) -> None:
    for name in files:
        nifti(tmp_path / name)
    assert [scan.patient for scan in folder.read(tmp_path, Options()).scans] == patients


def test_time_points_are_ordered_by_number(tmp_path: Path, nifti) -> None:
    for name in ("a_tp10.nii", "a_tp9.nii"):
        nifti(tmp_path / name)
    assert [scan.scan for scan in folder.read(tmp_path, Options()).scans] == ["a_tp9", "a_tp10"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (Options(image_glob="/etc/*.nii"), "image_glob: must be a pattern inside the source folder"),
        (Options(image_glob="../*.nii"), "image_glob: must be a pattern inside the source folder"),
        (Options(image_glob="*.mha"), "image_glob: matches no NIfTI file in the source folder"),
        (Options(mask_glob="*_none.nii"), "mask_glob: matches no NIfTI file in the source folder"),
        (Options(masks=Path("/nowhere")), "masks: no such folder"),
    ],
)
def test_wrong_options_are_refused(tmp_path: Path, nifti, options: Options, sentence: str) -> None:
    nifti(tmp_path / "a_1.nii")
    with pytest.raises(ConfigError, match=sentence.replace("*", r"\*")):
        folder.read(tmp_path, options)


@pytest.mark.realdata
def test_real_scans(real_data: Path) -> None:
    reading = folder.read(real_data / "t1c", Options(masks=real_data / "masks"))
    assert len(reading.scans) == 16
    assert sorted({scan.patient for scan in reading.scans}) == [
        f"{s}{n:02d}" for s, top in (("btp", 5), ("qin", 6)) for n in range(1, top + 1)
    ]
    assert all(scan.mask is not None and scan.mask.name == scan.image.name for scan in reading.scans if scan.image)
