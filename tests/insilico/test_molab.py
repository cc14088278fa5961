"""The MOLAB imitation against the published description, by names and by column positions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openpyxl
import pytest

from rnfm.insilico import molab, plan
from rnfm.insilico.morphology import Measures
from rnfm.insilico.scanners import SITE_A

# Written down from the description of the published spreadsheet, not from the code.
PATIENT, AGE, SEX, GPA, LESION, PRIMARY = 0, 1, 2, 3, 4, 5
WBRT_DOSE, WBRT_FRACTIONS, WBRT_BEGIN, WBRT_END = 23, 24, 25, 26
SRS_DOSE, SRS_FRACTIONS, SRS_BEGIN, SRS_END = 31, 32, 33, 34
RN_TIME, FIRST_DRUG, COMMENTS, DEATH, MR1, MR2 = 43, 46, 70, 71, 74, 75
BLANKS = (" ", "n/a")


@pytest.fixture(scope="module")
def patients() -> list[plan.Patient]:
    return plan.site_a(0, 40)


@pytest.fixture(scope="module")
def rows(patients: list[plan.Patient], tmp_path_factory: pytest.TempPathFactory) -> list[list[Any]]:
    root = tmp_path_factory.mktemp("molab")
    molab.write_clinical(root, patients, 0)
    page = openpyxl.load_workbook(root / "OpenBTAI_METS_ClinicalData_Nov2023.xlsx")["Hoja1"]
    return [[cell.value for cell in row] for row in page.iter_rows()]


def body(rows: list[list[Any]]) -> list[list[Any]]:
    return rows[15:-2]


def test_shape_of_the_sheet(rows: list[list[Any]]) -> None:
    assert {len(row) for row in rows} == {93}
    assert len(rows) == 15 + 40 + 2
    assert rows[14][PATIENT] == "PATIENT ID"
    assert rows[14][RN_TIME] == "RADIATION NECROSIS"
    assert [rows[14][column] for column in range(MR1, 93)] == [f"MR{visit}" for visit in range(1, 20)]
    assert rows[13][31] == "SRS 1"
    assert all(row[LESION] is None for row in rows[-2:])


def test_every_cell_of_a_lesion_has_its_place(rows: list[list[Any]], patients: list[plan.Patient]) -> None:
    lesions = [(patient, lesion) for patient in patients for lesion in patient.lesions]
    for row, (patient, lesion) in zip(body(rows), lesions, strict=True):
        assert row[PATIENT] == patient.identity
        assert row[AGE] == patient.clinical.age_years
        assert row[SEX] == {"F": 1, "M": 2}[patient.clinical.sex]
        assert row[LESION] == lesion.number
        assert 1 <= row[PRIMARY] <= 12
        assert row[SRS_DOSE] * row[SRS_FRACTIONS] == pytest.approx(lesion.clinical.srs_dose_gy, abs=1e-3)
        assert row[SRS_BEGIN] == lesion.srs_day <= row[SRS_END]
        assert (row[RN_TIME] in BLANKS) if lesion.label == 0 else (row[RN_TIME] == lesion.rn_day)
        assert row[COMMENTS] in BLANKS
        assert row[MR1] == 0
        later = [visit.day for visit in patient.visits if visit.day > 0]
        assert list(row[MR2 : MR2 + len(later)]) == later
        assert all(cell in BLANKS for cell in row[MR2 + len(later) : 93])
        assert row[92] in BLANKS


def test_treatments_stand_where_they_are_read(rows: list[list[Any]], patients: list[plan.Patient]) -> None:
    owners = [patient for patient in patients for _ in patient.lesions]
    assert {patient.clinical.wbrt for patient in owners} == {True, False}
    for row, patient in zip(body(rows), owners, strict=True):
        if patient.clinical.wbrt:
            assert (row[WBRT_DOSE], row[WBRT_FRACTIONS]) == (3, 10)
            assert row[WBRT_BEGIN] < row[WBRT_END] < row[SRS_BEGIN]
        else:
            assert row[WBRT_BEGIN] in BLANKS
        names = [row[column] for column in range(FIRST_DRUG, COMMENTS, 3)]
        immune = any(str(name).endswith("mab") for name in names)
        assert immune == patient.clinical.immunotherapy
        for column in range(FIRST_DRUG, COMMENTS, 3):
            assert row[column] in BLANKS or row[column + 1] < row[SRS_BEGIN]


def test_rows_of_a_patient_agree(rows: list[list[Any]]) -> None:
    seen: dict[str, list[Any]] = {}
    shared = [AGE, SEX, GPA, PRIMARY, WBRT_DOSE, WBRT_BEGIN, DEATH, MR2]
    for row in body(rows):
        values = [None if row[column] in BLANKS else row[column] for column in shared]
        assert seen.setdefault(row[PATIENT], values) == values


def test_names_of_files(patients: list[plan.Patient], tmp_path: Path) -> None:
    patient, visit = patients[0], plan.Visit("classified", 534)
    image, mask = molab.paths(tmp_path, patient, visit)
    code = patient.identity
    assert image == tmp_path / code / code / "NIFTI" / f"{code}_19010619_T1CE_img.nii"
    assert mask == image.with_name(f"{code}_19010619_T1CE_msk.nii")


@pytest.mark.parametrize(("day", "text"), [(0, "19000101"), (58, "19000228"), (59, "19000301"), (533, "19010618")])
def test_time_points_count_from_1900(day: int, text: str) -> None:
    assert molab.timepoint(day) == text  # 1900 was no leap year


def test_morphological_table(patients: list[plan.Patient], tmp_path: Path) -> None:
    measures = Measures(4.0, 3.0, 1.0, 2.5, 21.0, 13.0, 0.9)
    row = molab.morphology_row(
        patients[0], plan.Visit("classified", 533), SITE_A[0], lesion=2, spacing_mm=(1.0, 1.0, 2.0), measures=measures
    )
    molab.write_morphology(tmp_path, [row])
    page = openpyxl.load_workbook(tmp_path / "OpenBTAI_MORPHOLOGICAL_MEASUREMENTS.xlsx").worksheets[0]
    header, found = ([cell.value for cell in line] for line in page.iter_rows())
    assert header == (
        ["PATIENT", "TIME POINT", "PIXELSPACING", "SBS", "STH", "STATION NAME", "REPTIME", "ECHOTIME", "MAGNETIC FIELD"]
        + ["LESION", "TOTALVOLUME", "CEVOLUME", "NECVOLUME", "CERIMWIDTH", "MAXDIAMETER3D", "TOTALSURFACE"]
        + ["RENDVOLUME", "SURFACEREGULARITY"]
    )
    code = float(patients[0].identity)
    scanner = ["GE MEDICAL SYSTEMS", 8.2, 3.2, 1.5]
    assert found == [code, 19010618, 1, 2, 2, *scanner, 2, 4, 3, 1, 2.5, 21, 13, 4, 0.9]
