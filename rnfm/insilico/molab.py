"""Site A in the layout of MOLAB / OpenBTAI (Ocaña-Tienda et al., Sci Data 2023;10:208).

    site_a/
    +-- OpenBTAI_METS_ClinicalData_Nov2023.xlsx        sheet Hoja1, one row a lesion, headers on rows 13-15
    +-- OpenBTAI_MORPHOLOGICAL_MEASUREMENTS.xlsx       one row a lesion-scan
    +-- 010001/010001/NIFTI/010001_19000101_T1CE_img.nii   and ..._msk.nii

Mask values are lesion * 10 + segment (1 enhancing, 2 necrotic). The first MRI of every patient is 1900-01-01, whether or
not it is among the files. All times in the table are days since then.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from rnfm.core import keyed
from rnfm.insilico import sheet
from rnfm.insilico.morphology import Measures
from rnfm.insilico.plan import Lesion, Patient, Visit
from rnfm.insilico.scanners import Scanner

CLINICAL_FILE = "OpenBTAI_METS_ClinicalData_Nov2023.xlsx"
MORPHOLOGY_FILE = "OpenBTAI_MORPHOLOGICAL_MEASUREMENTS.xlsx"
FIRST_DAY = date(1900, 1, 1)
SEX = {"F": 1, "M": 2}
PRIMARY = {"breast": 1, "NSCLC": 2, "SCLC": 3, "melanoma": 4, "kidney": 5, "colon": 6}
IMMUNOTHERAPIES = ("Pembrolizumab", "Nivolumab", "Ipilimumab", "Atezolizumab")
OTHER_DRUGS = ("Carboplatin", "Cisplatin", "Capecitabine", "Paclitaxel")
TITLE_ROWS, FOOTER_ROWS = 12, 2
MAX_VISITS = 19


def _columns() -> list[tuple[str, str, str]]:
    """The three header rows of every column of the clinical table, in order: 93 of them."""
    general = ["PATIENT ID", "AGE AT FIRST MR", "SEX (1 F, 2 M)", "GPA"]
    tumour = ["LESION ID", "PRIMARY TUMOR", "SUBTYPE"]
    markers = [
        "ER",
        "PR",
        "HER2",
        "KI67",
        "EGFR",
        "ALK",
        "ROS1",
        "PDL1",
        "KRAS",
        "BRAF",
        "NRAS",
        "CKIT",
        "MSI",
        "OTHER",
    ]
    columns = [("PATIENT", "", name) for name in general] + [("TUMOR", "", name) for name in tumour]
    columns += [("TUMOR", "MOLECULAR MARKERS", name) for name in markers]
    columns += [("TUMOR", "STAGING", name) for name in ("TNM", "STAGE")]
    for treatment, courses in (("WBRT", 2), ("SRS", 3)):
        for course in range(1, courses + 1):
            parts = ("DOSE/FRACTION (Gy)", "FRACTIONS", "BEGIN", "END")
            columns += [("RADIOTHERAPY", f"{treatment} {course}", part) for part in parts]
    columns += [("RADIOTHERAPY", "", "RADIATION NECROSIS")]
    columns += [("SURGERY", "", part) for part in ("SURGERY", "TIME OF SURGERY")]
    columns += [("DRUGS", f"DRUG {drug}", part) for drug in range(1, 9) for part in ("NAME", "BEGIN", "END")]
    columns += [("", "", "COMMENTS")] + [("DEATH", "", part) for part in ("DEATH", "TIME OF DEATH", "CAUSE")]
    return columns + [("MR", "", f"MR{visit}") for visit in range(1, MAX_VISITS + 1)]


COLUMNS = _columns()
NAMES = [" ".join(part for part in column[1:] if part) for column in COLUMNS]
MORPHOLOGY_COLUMNS = [
    "PATIENT",
    "TIME POINT",
    "PIXELSPACING",
    "SBS",
    "STH",
    "STATION NAME",
    "REPTIME",
    "ECHOTIME",
    "MAGNETIC FIELD",
    "LESION",
    "TOTALVOLUME",
    "CEVOLUME",
    "NECVOLUME",
    "CERIMWIDTH",
    "MAXDIAMETER3D",
    "TOTALSURFACE",
    "RENDVOLUME",
    "SURFACEREGULARITY",
]


def paths(root: Path, patient: Patient, visit: Visit) -> tuple[Path, Path]:
    """Image and mask of one visit."""
    stem = root / patient.identity / patient.identity / "NIFTI" / f"{patient.identity}_{timepoint(visit.day)}_T1CE"
    return stem.with_name(stem.name + "_img.nii"), stem.with_name(stem.name + "_msk.nii")


def timepoint(day: int) -> str:
    """A day of the shifted calendar, YYYYMMDD; day 0 is 1900-01-01."""
    moment = FIRST_DAY + timedelta(days=day)
    return f"{moment:%Y%m%d}"


def write_clinical(root: Path, patients: list[Patient], seed: int) -> None:
    """The clinical spreadsheet: title rows, headers on Excel rows 13-15, lesions from row 16, two footer rows."""
    width = len(COLUMNS)
    title: list[list[Any]] = [["OpenBTAI: brain metastases, clinical data (in-silico cohort)"]]
    title += [[None]] * (TITLE_ROWS - 1)
    headers: list[list[Any]] = [[column[level] or None for column in COLUMNS] for level in range(3)]
    rows = [clinical_row(patient, lesion, seed) for patient in patients for lesion in patient.lesions]
    footer: list[list[Any]] = [["Times are days since MR1."], ["n/a: not available."]]
    sheet.write(root / CLINICAL_FILE, "Hoja1", title + headers + rows + [row + [None] * (width - 1) for row in footer])


def clinical_row(patient: Patient, lesion: Lesion, seed: int) -> list[Any]:
    """One lesion's 93 cells. Cells without a value hold ' ' or 'n/a', as in the original."""
    rng = keyed.rng(seed, "site_a", "lesion", lesion.index, "spreadsheet")
    cells = {
        **_person(patient, keyed.rng(seed, "site_a", "patient", patient.index, "spreadsheet")),
        **_radiosurgery(lesion, fractions=1 if rng.random() < 0.85 else 3),
        "LESION ID": lesion.number,
        "RADIATION NECROSIS": lesion.rn_day,
    }
    blanks = np.where(rng.random(len(NAMES)) < 0.7, " ", "n/a").tolist()
    return [blank if cells.get(name) is None else cells[name] for name, blank in zip(NAMES, blanks, strict=True)]


def _person(patient: Patient, rng: np.random.Generator) -> dict[str, Any]:
    """What is the same in all rows of a patient."""
    clinical = patient.clinical
    first_srs_day = min(lesion.srs_day for lesion in patient.lesions)
    return {
        "PATIENT ID": patient.identity,
        "AGE AT FIRST MR": clinical.age_years,
        "SEX (1 F, 2 M)": SEX[clinical.sex],
        "GPA": float(rng.integers(1, 8)) / 2,
        "PRIMARY TUMOR": PRIMARY[clinical.primary],
        **(_wbrt(first_srs_day - int(rng.integers(40, 300))) if clinical.wbrt else {}),
        **_drugs(clinical.immunotherapy, first_srs_day, rng),
        **_death(patient.visits[-1].day, rng),
        # The first MRI is day 0 whether or not it is among the files.
        **{f"MR{place}": day for place, day in enumerate(sorted({0, *(visit.day for visit in patient.visits)}), 1)},
    }


def _radiosurgery(lesion: Lesion, fractions: int) -> dict[str, Any]:
    return {
        "SRS 1 DOSE/FRACTION (Gy)": round(lesion.clinical.srs_dose_gy / fractions, 4),
        "SRS 1 FRACTIONS": fractions,
        "SRS 1 BEGIN": lesion.srs_day,
        "SRS 1 END": lesion.srs_day + 2 * (fractions - 1),
    }


def _wbrt(begin_day: int) -> dict[str, Any]:
    """Whole-brain radiotherapy: ten fractions of 3 Gy in two working weeks."""
    parts = (("DOSE/FRACTION (Gy)", 3.0), ("FRACTIONS", 10), ("BEGIN", begin_day), ("END", begin_day + 11))
    return {f"WBRT 1 {name}": value for name, value in parts}


def _drugs(immunotherapy: bool, first_srs_day: int, rng: np.random.Generator) -> dict[str, Any]:
    """Immunotherapy where the patient had it, begun before the first radiosurgery; often a chemotherapy too."""
    names = [str(rng.choice(IMMUNOTHERAPIES))] if immunotherapy else []
    names += [str(rng.choice(OTHER_DRUGS))] if rng.random() < 0.5 else []
    cells: dict[str, Any] = {}
    for drug, name in enumerate(names, 1):
        begin = first_srs_day - int(rng.integers(20, 120))
        cells |= {f"DRUG {drug} NAME": name, f"DRUG {drug} BEGIN": begin, f"DRUG {drug} END": begin + 120}
    return cells


def _death(last_day: int, rng: np.random.Generator) -> dict[str, Any]:
    """Half of the patients die after the last scan; the columns are there because readers must not use them."""
    if rng.random() < 0.5:
        return {"DEATH": 0}
    return {"DEATH": 1, "TIME OF DEATH": last_day + int(rng.integers(90, 900)), "CAUSE": int(rng.integers(1, 4))}


def morphology_row(
    patient: Patient, visit: Visit, scanner: Scanner, *, lesion: int, spacing_mm: tuple[float, ...], measures: Measures
) -> list[Any]:
    """One lesion-scan of the morphological table. Patient ids are numbers there, as in the original."""
    in_plane = [step for axis, step in enumerate(spacing_mm) if axis != scanner.slice_axis]
    slice_mm = spacing_mm[scanner.slice_axis]
    return [
        float(patient.identity),
        int(timepoint(visit.day)),
        round(in_plane[0], 4),
        round(slice_mm, 4),
        round(slice_mm, 4),
        scanner.vendor,
        scanner.tr_ms,
        scanner.te_ms,
        scanner.field_t,
        lesion,
        *(round(value, 5) for value in (measures.total_cc, measures.enhancing_cc, measures.necrotic_cc)),
        *(round(value, 4) for value in (measures.rim_width_mm, measures.max_diameter_mm, measures.surface_cm2)),
        round(measures.total_cc, 5),
        round(measures.regularity, 5),
    ]


def write_morphology(root: Path, rows: list[list[Any]]) -> None:
    """The morphological spreadsheet."""
    sheet.write(root / MORPHOLOGY_FILE, "Sheet1", [list(MORPHOLOGY_COLUMNS), *rows])
