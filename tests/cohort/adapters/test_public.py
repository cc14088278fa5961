"""Every public layout: patients, visits, masks, labels, days and clinical facts of its own small tree, and what is refused."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from rnfm.cohort.adapters import ADAPTERS, LAYOUTS, choose
from rnfm.cohort.layout import Layout
from rnfm.cohort.records import Options, Reading, ScanRecord
from rnfm.core.errors import ConfigError, DataError
from rnfm.core.ledger import Reason

_SPEC = importlib.util.spec_from_file_location("layout_trees", Path(__file__).with_name("trees.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
trees: Any = sys.modules.setdefault("layout_trees", importlib.util.module_from_spec(_SPEC))
_SPEC.loader.exec_module(trees)
TREES, cubes, write_nifti = trees.TREES, trees.cubes, trees.write_nifti

PUBLIC = tuple(name for name in LAYOUTS if isinstance(getattr(ADAPTERS[name], "LAYOUT", None), Layout))
MASKED = tuple(name for name in PUBLIC if any(scan.mask for scan in TREES[name].scans))
VOXEL_ML = trees.SPACING_MM**3 / 1000


def _read(root: Path) -> tuple[str, Reading]:
    adapter, _ = choose(root)
    return adapter.NAME, adapter.read(root, Options())


def _files(root: Path, scan: Any) -> tuple[str | None, ...]:
    return tuple(
        file.relative_to(root).as_posix() if isinstance(file, Path) else file for file in (scan.image, scan.mask)
    )


def _lesion(scan: ScanRecord) -> tuple[int, tuple[int, ...], float] | None:
    if not scan.lesions:
        return None
    (lesion,) = scan.lesions
    assert lesion.volume_ml is not None
    return lesion.number, lesion.mask_values, round(lesion.volume_ml, 6)


def _expected_lesion(scan: Any) -> tuple[int, tuple[int, ...], float] | None:
    if not scan.lesion:
        return None
    is_binary = scan.values == (1,)
    return 1, () if is_binary else scan.lesion, round(trees.CUBE_VOXELS * len(scan.lesion) * VOXEL_ML, 6)


def test_eleven_data_sets_are_declared_and_every_one_has_a_tree() -> None:
    assert len(PUBLIC) == 11
    assert set(PUBLIC) <= set(TREES)
    assert all(name == ADAPTERS[name].NAME for name in LAYOUTS)


@pytest.mark.parametrize("name", PUBLIC)
def test_scans_masks_days_and_lesions(tmp_path: Path, name: str) -> None:
    tree = TREES[name]
    root = tree.write(tmp_path)
    layout, reading = _read(root)
    assert layout == name
    assert ADAPTERS[name].namespace(root) == tree.namespace
    assert [(scan.scan, scan.patient) for scan in reading.scans] == [(scan.name, scan.patient) for scan in tree.scans]
    assert [_files(root, scan) for scan in reading.scans] == [_files(root, scan) for scan in tree.scans]
    assert [scan.day for scan in reading.scans] == [scan.day for scan in tree.scans]
    assert [_lesion(scan) for scan in reading.scans] == [_expected_lesion(scan) for scan in tree.scans]
    assert [scan.order for scan in reading.scans] == list(range(len(tree.scans)))


@pytest.mark.parametrize("name", PUBLIC)
def test_stray_values_are_found_and_nothing_else(tmp_path: Path, name: str) -> None:
    _, reading = _read(TREES[name].write(tmp_path))
    found = [(finding.scan, finding.reason) for finding in reading.findings]
    assert found == [(scan.name, Reason.STRAY_LABEL) for scan in TREES[name].scans if scan.stray]


@pytest.mark.parametrize("name", PUBLIC)
def test_the_summary_says_what_counts_as_lesion(tmp_path: Path, name: str) -> None:
    _, reading = _read(TREES[name].write(tmp_path))
    said = " ".join(reading.notes)
    assert not [sentence for sentence in TREES[name].says if sentence not in said]
    assert not [secret for secret in TREES[name].secrets if secret in said]


@pytest.mark.parametrize("name", MASKED)
def test_a_scan_whose_mask_is_missing_stays_without_one(tmp_path: Path, name: str) -> None:
    root = TREES[name].write(tmp_path, only=lambda path: "seg" not in path.lower() and "tumor" not in path.lower())
    _, reading = _read(root)
    assert len(reading.scans) == len(TREES[name].scans)
    assert all(scan.mask is None and not scan.lesions and scan.fault is None for scan in reading.scans)


@pytest.mark.parametrize("name", PUBLIC)
def test_a_tree_without_its_contrast_images_is_refused_and_named(tmp_path: Path, name: str) -> None:
    tree = TREES[name]
    images = {scan.image for scan in tree.scans} | {path for path in tree.others if path.endswith("/CT1.nii.gz")}
    root = tree.write(tmp_path, only=lambda path: path not in images)
    with pytest.raises(
        ConfigError, match=rf"nearest is {name}: there are \d+ files of such a tree, but no image named"
    ):
        choose(root)


@pytest.mark.parametrize("name", PUBLIC)
def test_it_is_recognised_from_above_and_from_below(tmp_path: Path, name: str) -> None:
    root = TREES[name].write(tmp_path / "download")
    assert name == choose(tmp_path)[0].NAME
    below = next(file for file in sorted(root.rglob("*.nii.gz")) if file.name == Path(TREES[name].scans[0].image).name)
    # The last folder that all layouts need: patient/visit for some, the case itself for others.
    depth = {"lumiere": 6, "proteas": 4, "nyumets": 5, "yale": 3, "upenn_gbm": 3, "pretreat": 3}.get(name, 2)
    assert name == choose(below.parents[depth - 1])[0].NAME


@pytest.mark.parametrize("name", ["upenn_gbm", "ucsf_pdgm"])
def test_age_and_sex_are_all_that_is_taken_from_a_clinical_table(tmp_path: Path, name: str) -> None:
    _, reading = _read(TREES[name].write(tmp_path))
    known = [dict(scan.clinical) for scan in reading.scans]
    assert known == [{"age_years": scan.age, "sex": scan.sex} for scan in TREES[name].scans]
    assert [dict(scan.lesions[0].clinical) for scan in reading.scans if scan.lesions] == [
        facts for facts, scan in zip(known, reading.scans, strict=True) if scan.lesions
    ]


@pytest.mark.parametrize(("name", "key"), [("upenn_gbm", "ID"), ("ucsf_pdgm", "ID")])
def test_a_strange_clinical_table_is_one_sentence(tmp_path: Path, name: str, key: str) -> None:
    root = TREES[name].write(tmp_path)
    (table,) = root.glob("*.csv")
    table.write_text("subject,age\nHANSEN,61\n")
    with pytest.raises(DataError, match=f"the data set's clinical CSV: has no column '{key}'") as caught:
        ADAPTERS[name].read(root, Options())
    assert "HANSEN" not in str(caught.value)


@pytest.mark.parametrize("name", ["upenn_gbm", "ucsf_pdgm"])
def test_without_its_table_a_data_set_is_read_and_it_is_said(tmp_path: Path, name: str) -> None:
    root = TREES[name].write(tmp_path)
    for table in root.glob("*.csv"):
        table.unlink()
    _, reading = _read(root)
    assert not any(scan.clinical for scan in reading.scans)
    assert "in the source folder: no age, no sex" in " ".join(reading.notes)


def test_one_patient_of_both_brats_sets_has_one_id(tmp_path: Path) -> None:
    readings = {name: _read(TREES[name].write(tmp_path / name))[1] for name in ("brats_mets", "pretreat")}
    mets, pretreat = ({scan.patient for scan in reading.scans} for reading in readings.values())
    assert mets & pretreat == {"BraTS-MET-00002"}
    mets, pretreat = ({scan.scan for scan in reading.scans} for reading in readings.values())
    assert not mets & pretreat


def test_both_brats_sets_in_one_folder_are_not_mixed(tmp_path: Path) -> None:
    for name in ("brats_mets", "pretreat"):
        TREES[name].write(tmp_path)
    with pytest.raises(
        ConfigError, match=r"fits 2 layouts: brats_mets \(there are 4 images .*\); pretreat \(there are 2"
    ):
        choose(tmp_path)
    for name, count in (("brats_mets", 4), ("pretreat", 2)):
        assert len(choose(tmp_path, name)[0].read(tmp_path, Options()).scans) == count


def test_a_renamed_pretreat_folder_is_read_when_named(tmp_path: Path) -> None:
    root = TREES["pretreat"].write(tmp_path).rename(tmp_path / "mets")
    assert choose(root)[0].NAME == "brats_mets"
    adapter, match = choose(root, "pretreat")
    assert match.why.startswith("there are 2 images named alike, but none named Pretreat-MetsToBrain-Masks/")
    assert [scan.scan for scan in adapter.read(root, Options()).scans] == [s.name for s in TREES["pretreat"].scans]


def test_another_challenge_of_the_same_form_is_read_when_named(tmp_path: Path) -> None:
    root = tmp_path / "PED"
    for case in ("BraTS-PED-00011-000", "BraTS-PED-00011-001"):
        for part in ("t1c", "t2f", "seg"):
            write_nifti(root / case / f"{case}-{part}.nii.gz", cubes((1, 3)))
    with pytest.raises(
        ConfigError, match="nearest is brats_gli: there are 2 images named alike, but none named BraTS-GLI"
    ):
        choose(root)
    scans = choose(root, "brats_gli")[0].read(root, Options()).scans
    assert [(scan.patient, scan.lesions[0].mask_values) for scan in scans] == [("BraTS-PED-00011", (1, 3))] * 2


def test_proteas_folders_a_and_b_are_one_patient(tmp_path: Path) -> None:
    # 45 folders of 40 patients, as published: five patients have two courses.
    root = tmp_path / "PROTEAS"
    folders = [f"P{number:02d}{course}" for number in range(1, 41) for course in (("a", "b") if number <= 5 else ("",))]
    assert len(folders) == 45
    for folder in folders:
        path = root / folder / "BraTS/baseline/t1c.nii.gz"
        path.parent.mkdir(parents=True)
        path.touch()
    scans = ADAPTERS["proteas"].read(root, Options()).scans
    assert (len(scans), len({scan.patient for scan in scans})) == (45, 40)


def test_a_case_at_two_places_is_used_once_and_said(tmp_path: Path) -> None:
    root = TREES["brats_mets"].write(tmp_path)
    case = "BraTS-MET-00641-000"
    copy = root / "Zweite Ablage" / case / f"{case}-t1c.nii.gz"
    write_nifti(copy, cubes((1,)))
    reading = ADAPTERS["brats_mets"].read(root, Options())
    (scan,) = [scan for scan in reading.scans if scan.scan == case]
    assert scan.image is not None
    assert scan.image.parent.parent.name == "UCSD - Training"  # the one with a mask
    (finding,) = [finding for finding in reading.findings if finding.reason is Reason.DUPLICATE]
    assert (finding.scan, finding.detail) == (
        case,
        "files of this name lie at 2 places of the source folder; the first that has a mask is used",
    )


def test_a_mask_without_lesion_values_and_an_empty_one_are_findings(tmp_path: Path) -> None:
    root = TREES["brats_mets"].write(tmp_path)
    for case, values in (("BraTS-MET-00002-000", (2, 4)), ("BraTS-MET-00002-001", ())):
        write_nifti(root / case / f"{case}-seg.nii.gz", cubes(values))
    reading = ADAPTERS["brats_mets"].read(root, Options())
    assert [(finding.scan, finding.reason) for finding in reading.findings] == [
        ("BraTS-MET-00002-000", Reason.LESION_MISSING),
        ("BraTS-MET-00002-001", Reason.LESION_MISSING),
    ]
    assert [len(scan.lesions) for scan in reading.scans] == [0, 0, 1, 0]
    assert [scan.mask is not None for scan in reading.scans] == [False, False, True, False]


def test_a_broken_mask_refuses_its_scan(tmp_path: Path) -> None:
    root = TREES["stanford"].write(tmp_path)
    mask = root / "train/Mets_005/seg.nii.gz"
    mask.write_bytes(mask.read_bytes()[:200])
    (fault,) = [scan.fault for scan in ADAPTERS["stanford"].read(root, Options()).scans if scan.fault]
    assert fault.reason is Reason.MASK_UNREADABLE


def test_a_manual_mask_wins_over_an_automated_one(tmp_path: Path) -> None:
    root = TREES["upenn_gbm"].write(tmp_path)
    first, *_ = ADAPTERS["upenn_gbm"].read(root, Options()).scans
    assert first.mask is not None
    assert first.mask.parent.name == "images_segm"
    first.mask.unlink()
    # The automated one that lies there as well is a scan of a head, so no label map.
    first, *_ = ADAPTERS["upenn_gbm"].read(root, Options()).scans
    assert first.mask is not None
    assert first.mask.parent.name == "automated_segm"


def test_native_lumiere_masks_go_with_native_images(tmp_path: Path) -> None:
    root = TREES["lumiere"].write(tmp_path)
    week = root / "Imaging/Patient-002/week-013"
    write_nifti(week / "DeepBraTumIA-segmentation/native/segmentation/ct1_seg_mask.nii.gz", cubes((1, 3)))
    scan = ADAPTERS["lumiere"].read(root, Options()).scans[2]
    assert _files(week, scan) == ("CT1.nii.gz", "DeepBraTumIA-segmentation/native/segmentation/ct1_seg_mask.nii.gz")


def test_a_date_that_no_calendar_has_is_no_day_and_said(tmp_path: Path) -> None:
    root = tmp_path / "yale"
    for stamp in ("2012-02-30", "20120301", "2012_03_05_11-00"):
        write_nifti(root / "p1" / stamp / "x_POST.nii.gz", cubes((1,)))
    reading = ADAPTERS["yale"].read(root, Options())
    assert [scan.day for scan in reading.scans] == [None, 4, 0]
    assert "1 scan without a readable day: in the order of the names." in reading.notes
