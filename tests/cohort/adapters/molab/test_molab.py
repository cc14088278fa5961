"""OpenBTAI/MOLAB: the published layout, the cohort rule with its counts, and each trap of the data set."""

from __future__ import annotations

from pathlib import Path

import openpyxl
import pytest

from rnfm.cohort import IndexConfig, index, table
from rnfm.cohort.adapters import molab
from rnfm.cohort.records import Options
from rnfm.core.errors import DataError
from rnfm.core.ledger import Reason

SRS_BEGIN, RN = 33, 43


@pytest.fixture
def tree(tmp_path: Path, clinical_sheet, molab_scan) -> Path:
    root = tmp_path / "openbtai"
    clinical_sheet(
        root,
        {
            # WBRT begins on day 200, after the first two scans; nivolumab on day 10.
            ("010005", 1): {31: 5, 32: 4, SRS_BEGIN: 30, RN: 150, 25: 200, 46: "Nivolumab", 47: 10, 71: 400},
            ("010005", 2): {31: 20, 32: 1, SRS_BEGIN: "n/a"},
            ("040114", 3): {31: 20, 32: 1, SRS_BEGIN: 90, RN: 60},
            ("040001", 2): {31: 20, 32: 1, SRS_BEGIN: 90, RN: 300},
        },
    )
    molab_scan(root, "010005", 0, (11, 12, 21))
    molab_scan(root, "010005", 120, (11,))
    molab_scan(root, "040114", 100, (31, 33))
    molab_scan(root, "040114", 130, (), mask=False)
    return root


def test_labels_follow_the_cohort_rule(tree: Path) -> None:
    scans = molab.read(tree, Options()).scans
    labels = {(scan.patient, scan.day, lesion.number): lesion.label for scan in scans for lesion in scan.lesions}
    assert labels == {
        ("010005", 0, 1): 1,
        ("010005", 0, 2): None,  # in the mask, but no radiosurgery
        ("010005", 120, 1): 1,
        ("040114", 100, 3): 1,
    }
    assert [scan.site for scan in scans] == ["openbtai-01", "openbtai-01", "openbtai-04", "openbtai-04"]


def test_mask_values_belong_to_their_lesion(tree: Path) -> None:
    first, *_, last = molab.read(tree, Options()).scans
    assert {lesion.number: lesion.mask_values for lesion in first.lesions} == {1: (11, 12), 2: (21,)}
    assert last.mask is None
    assert last.lesions == ()


def test_clinical_facts_are_those_known_on_the_day(tree: Path) -> None:
    lesion = molab.read(tree, Options()).scans[0].lesions[0]
    # Dose is per fraction: 5 Gy x 4. Nivolumab began on day 10 and whole-brain irradiation on day 200: both after day 0.
    assert lesion.clinical == {
        "age_years": 60.0,
        "sex": "F",
        "gpa": 2.5,
        "primary": "NSCLC",
        "srs_dose_gy": 20.0,
        "srs_fractions": 4.0,
        "wbrt": False,
        "immunotherapy": False,
    }
    later = molab.read(tree, Options()).scans[1].lesions[0].clinical
    assert (later["wbrt"], later["immunotherapy"]) == (False, True)


def test_outcome_columns_change_nothing(tree: Path, clinical_sheet) -> None:
    before = molab.read(tree, Options())
    book = openpyxl.load_workbook(tree / "OpenBTAI_METS_ClinicalData_Nov2023.xlsx")
    for row in range(16, 20):
        for position in (44, 45, 70, 71, 72, 73, *range(74, 93)):
            book["Hoja1"].cell(row, position + 1).value = 777
    book.save(tree / "OpenBTAI_METS_ClinicalData_Nov2023.xlsx")
    assert molab.read(tree, Options()) == before


def test_each_trap_is_a_finding(tree: Path) -> None:
    found = {(f.patient, f.lesion, f.reason): f.detail for f in molab.read(tree, Options()).findings}
    assert found == {
        ("040114", None, Reason.VALUE_IMPLAUSIBLE): "mask values [33] are not lesion x 10 + 1 or 2",
        ("040114", 3, Reason.LABEL_ORDER): "necrosis is recorded 30 days before the first radiosurgery",
        ("040001", 2, Reason.LESION_MISSING): (
            "a lesion with recorded necrosis stands in no mask, so it is not in the cohort"
        ),
    }


def test_vendor_and_field_strength(tree: Path) -> None:
    book = openpyxl.Workbook()
    head = [
        "PATIENT",
        "TIME POINT",
        "PIXELSPACING",
        "SBS",
        "STH",
        "STATION NAME",
        "REPTIME",
        "ECHOTIME",
        "MAGNETIC FIELD",
    ]
    book.active.append(head)
    book.active.append([10005.0, 19000101, 1, 1, 1, "GE", 1, 1, 1.5])
    book.active.append([10005.0, 19000501, 1, 1, 1, "GE", 1, 1, 15000])
    book.save(tree / "OpenBTAI_MORPHOLOGICAL_MEASUREMENTS.xlsx")
    reading = molab.read(tree, Options())
    assert [(s.vendor, s.field_strength_t) for s in reading.scans[:3]] == [("GE", 1.5), ("GE", None), (None, None)]
    assert "a field strength of 15000 T" in [finding.detail for finding in reading.findings]


def test_a_damaged_mask_is_a_fault_not_a_crash(tree: Path) -> None:
    mask = next(tree.rglob("010005_19000101*_msk.nii"))
    mask.write_bytes(mask.read_bytes()[:500])
    fault = molab.read(tree, Options()).scans[0].fault
    assert fault is not None
    assert fault.reason is Reason.MASK_UNREADABLE


def test_a_mask_without_its_image_is_reported(tree: Path) -> None:
    next(tree.rglob("010005_19000101*_img.nii")).unlink()
    assert molab.read(tree, Options()).scans[0].image is None


def test_shifted_columns_are_refused(tmp_path: Path, clinical_sheet, molab_scan) -> None:
    clinical_sheet(tmp_path, {("010005", 1): {}}, title="SURGERY")
    molab_scan(tmp_path, "010005", 0, (11,))
    with pytest.raises(DataError, match=r"column 44 \(AR\) of rows 13-15 is not titled RADIATION NECROSIS"):
        molab.read(tmp_path, Options())


def test_without_the_spreadsheet_nothing_is_labelled(tree: Path) -> None:
    (tree / "OpenBTAI_METS_ClinicalData_Nov2023.xlsx").unlink()
    reading = molab.read(tree, Options())
    assert {lesion.label for scan in reading.scans for lesion in scan.lesions} == {None}
    assert any("there are no labels" in note for note in reading.notes)


def test_through_the_index_stage(tree: Path, tmp_path: Path) -> None:
    result = index(IndexConfig(source=tree, out=tmp_path / "cohort"))
    frame = table.read(tmp_path / "cohort/cohort.parquet")
    chosen = frame[frame["classified"]].set_index("lesion")
    # 010005 L1: day 120 is after radiosurgery (30) and before necrosis (150). L2: no radiosurgery, so its only scan.
    # 040114 L3: necrosis (60) before radiosurgery (90), so the first follow-up (100).
    assert sorted(zip(chosen["day"], chosen["label"].fillna(-1), strict=True)) == [(0, -1), (100, 1), (120, 1)]
    assert chosen["months_since_srs"].round(3).dropna().sort_values().tolist() == [0.329, 2.957]
    assert set(frame["site"]) == {"openbtai-01", "openbtai-04"}
    assert result.counts.findings == {"label_order": 1, "lesion_missing": 1, "value_implausible": 1}
    # Digests are left out: among that many random digits six given ones do turn up.
    payload = ("cohort.parquet", "findings.jsonl", "quarantine.jsonl", "summary.md", "config.json")
    published = b"".join((tmp_path / "cohort" / name).read_bytes() for name in payload) + result.summary().encode()
    assert not any(secret in published for secret in (b"010005", b"040114", b"19000101", b"19000501", b"T1_POST"))


def test_a_mask_that_does_not_fit_the_morphology_sheet_is_a_finding(tmp_path: Path, clinical_sheet, molab_scan) -> None:
    """The sheet's unit does not matter: three lesion-scans agree up to one factor, the fourth is three times as large."""
    clinical_sheet(tmp_path, {("010005", number): {SRS_BEGIN: 30} for number in (1, 2, 3, 4)})
    molab_scan(tmp_path, "010005", 0, (11, 12, 21, 22, 31, 32, *[41] * 6))
    book = openpyxl.Workbook()
    book.active.append(["PATIENT", "TIME POINT", "STATION NAME", "MAGNETIC FIELD", "LESION", "TOTALVOLUME"])
    for lesion in (1, 2, 3, 4):
        book.active.append([10005.0, 19000101, "GE", 1.5, lesion, 1024.0])  # mm3: two voxels of 8 mm
    book.save(tmp_path / "OpenBTAI_MORPHOLOGICAL_MEASUREMENTS.xlsx")
    reading = molab.read(tmp_path, Options())
    assert [lesion.volume_ml for lesion in reading.scans[0].lesions] == pytest.approx([1.024, 1.024, 1.024, 3.072])
    assert [(finding.reason, finding.detail) for finding in reading.findings] == [
        (
            Reason.VALUE_IMPLAUSIBLE,
            "lesion 4: the mask's volume is 3 times what the morphology sheet lets expect",
        )
    ]
