"""Brain-TR-GammaKnife: a tree with its ids, region names and spreadsheet columns as published; labels by course and lesion."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from rnfm.cohort import IndexConfig, index, table
from rnfm.cohort.adapters import brain_tr_gammaknife, choose
from rnfm.core.errors import DataError

LESION_HEAD = [
    "unique_pt_id", "Treatment Course", "Lesion #", "Lesion Location", "mri_type", "duration_tx_to_imag (months)", "Fractions",
    "Lesion Name in NRRD files",
]  # fmt: skip
COURSE_HEAD = [
    "unique_pt_id",
    "Course #",
    "Diagnosis (Only want Mets)",
    "Primary Diagnosis",
    "Age at Diagnosis",
    "Gender",
]
LESIONS = [
    [103, 1, 1, "Rt Occipital", "recurrence", 9, 1, "GK.103_1_L_RtOccipital"],
    [103, 1, 2, "left frontal", "stable", 4, 1, "GK.103_1_L_LtFrontal"],
    [103, 2, 1, "Lt Parietal", "stable", 3, 1, "GK.103_2_L_LtParietal"],
    [270, 1, 1, "R Cerebellum met", "recurrence", 6, 5, "GK.270_1_L_RtCerebellumMet"],
]
COURSES = [
    [103, 1, "Brain mets", "Lung", 61, "Male"],
    [103, 2, "Brain mets", "Lung", 61, "Male"],
    [270, 1, "Brain mets", "Breast", 93, "Female"],
]


def _book(path: Path, lesions: list[list[Any]] = LESIONS, head: list[str] = LESION_HEAD) -> None:
    book = openpyxl.Workbook()
    for title, rows in (("lesion_level", [head, *lesions]), ("course_level", [COURSE_HEAD, *COURSES])):
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)


@pytest.fixture
def tree(tmp_path: Path, dicom_files: Any, blob: Callable[..., Any]) -> Path:
    """Two patients, three courses; MR named after nothing, Skull and a helper region among the lesions, an RTDOSE."""
    root = tmp_path / "Brain-TR-GammaKnife"
    for patient, date, names in (
        ("GK_103", "20150110", ("Skull", "Rt Occipital", "Lt Frontal")),
        ("GK_103", "20160110", ("Skull", "Lt Parietal", "*aux")),
        ("GK_270", "20150301", ("Skull", "Rt Cerebellum Met", "surprise")),
    ):
        folder = root / patient / f"study{date}"
        facts = dicom_files.series(
            folder / "MR", blob(), patient=patient, date=date, description="GammaPlan 1", agent="", age="000Y"
        )
        regions = {
            name: dicom_files.ball(facts, place, radius_mm)
            for name, place, radius_mm in zip(
                names, [(12, 10, 8), (8, 8, 8), (16, 11, 6)], [30.0, 9.0, 9.0], strict=True
            )
        }
        dicom_files.structure(folder / "RTSTRUCT" / "rs.dcm", facts, regions)
        dicom_files.structure(folder / "RTDOSE" / "rd.dcm", {**facts, "modality": "RTDOSE"}, {}, number=3)
        dose = folder / "RTDOSE" / "rd.dcm"
        dose.write_bytes(dose.read_bytes().replace(b"RTSTRUCT", b"RTDOSE  "))
    _book(root / "Brain-TR-GammaKnife-Clinical-Information.xlsx")
    return root


def test_it_is_recognised_by_its_spreadsheet_or_by_its_folders(tree: Path) -> None:
    adapter, match = choose(tree)
    assert (adapter.NAME, match.score) == ("brain_tr_gammaknife", 1.0)
    (tree / "Brain-TR-GammaKnife-Clinical-Information.xlsx").unlink()
    assert choose(tree)[1].why.endswith("in 2 folders named GK_<number>")


def test_labels_lesions_and_facts(tmp_path: Path, tree: Path) -> None:
    result = index(IndexConfig(source=tree, out=tmp_path / "cohort"))
    frame = table.read(tmp_path / "cohort/cohort.parquet").astype(object)
    rows = [
        (
            row["lesion"][-4:], list(row["mask_values"]), None if row["label"] is None or row["label"] != row["label"] else row["label"],
            row["label_source"], row["day"], row["clinical_age_years"], row["clinical_sex"], row["clinical_primary"],
        )
        for row in frame.where(frame.notna(), None).sort_values(["clinical_primary", "day", "lesion"], ascending=[False, True, True]).to_dict("records")
    ]  # fmt: skip
    recurrence, stable = "follow-up: recurrence", "follow-up: stable"
    assert rows == [
        ("L101", [1], 0, recurrence, 0, 61.0, "M", "Lung"),
        ("L102", [2], None, stable, 0, 61.0, "M", "Lung"),
        ("L203", [3], None, stable, 365, 61.0, "M", "Lung"),
        ("L101", [1], 0, recurrence, 0, 90.0, "F", "Breast"),
        ("L102", [2], None, None, 0, 90.0, "F", "Breast"),
    ]
    assert set(frame["months_since_srs"]) == {0.0}
    assert not [name for name in frame.columns if "duration" in name or "diagnosis" in name]
    assert (result.counts.patients, result.counts.scans, result.counts.masked_scans) == (2, 3, 3)
    assert (
        "1 of 2 lesions of the structure set are not in the clinical"
        in (tmp_path / "cohort/findings.jsonl").read_text()
    )
    summary = (tmp_path / "cohort/summary.md").read_text()
    assert "`stable` lesions have no label, for they are neither necrosis nor progression" in summary


def test_without_the_spreadsheet_there_are_lesions_and_no_labels(tmp_path: Path, tree: Path) -> None:
    (tree / "Brain-TR-GammaKnife-Clinical-Information.xlsx").unlink()
    result = index(IndexConfig(source=tree, out=tmp_path / "cohort"))
    assert (result.counts.lesions, result.counts.labelled) == (5, {1: 0, 0: 0})
    assert result.counts.findings.get("lesion_missing") is None


def test_a_wrong_spreadsheet_is_refused_by_sheet_and_column(tmp_path: Path, tree: Path) -> None:
    sheet = tree / "Brain-TR-GammaKnife-Clinical-Information.xlsx"
    _book(sheet, head=["Patient", *LESION_HEAD[1:]])
    with pytest.raises(DataError, match="has no sheet 'lesion_level' with the columns unique_pt_id"):
        index(IndexConfig(source=tree, out=tmp_path / "cohort"))
    sheet.write_bytes(b"PK\x03\x04")
    with pytest.raises(DataError, match=r"clinical spreadsheet: cannot be read \(BadZipFile\)"):
        index(IndexConfig(source=tree, out=tmp_path / "cohort"))


@pytest.mark.parametrize(
    ("region", "location", "file"),
    [
        ("Rt Occipital", "right occipital", "GK.270_3_L_RtOccipital"),
        ("L Frontal-2", "Left frontal 2", "GK.103_1_L_LtFrontal2"),
    ],
)
def test_spellings_of_one_lesion_are_levelled(region: str, location: str, file: str) -> None:
    assert len({brain_tr_gammaknife.level(name) for name in (region, location, file)}) == 1
