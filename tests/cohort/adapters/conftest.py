"""A MOLAB imitation: the published names, and the clinical spreadsheet written by column position."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pytest

COLUMNS = 93


@pytest.fixture(scope="session")
def clinical_sheet() -> Callable[..., Path]:
    """`clinical_sheet(root, {(patient, lesion): {position: value}})`: every other cell of a lesion's row is blank."""

    def write(
        root: Path, lesions: Mapping[tuple[str, int], Mapping[int, Any]], *, title: str = "RADIATION NECROSIS"
    ) -> Path:
        book = openpyxl.Workbook()
        sheet = book.active
        sheet.title = "Hoja1"
        for number in range(1, 13):
            sheet.append([f"preamble {number}"])
        for row in (("PATIENT ID", title), ("", "(time, days)"), ("id", "RN")):
            sheet.append([row[0], *[None] * 42, row[1], *[None] * (COLUMNS - 44)])
        for (patient, lesion), given in lesions.items():
            cells: list[Any] = [" " if position % 2 else "n/a" for position in range(COLUMNS)]
            cells[0], cells[1], cells[2], cells[3], cells[4], cells[5] = patient, 60, 1, 2.5, lesion, 2
            for position, value in given.items():
                cells[position] = value
            sheet.append(cells)
        sheet.append(["n/a: not available"])
        sheet.append(["Times in days since MR1"])
        root.mkdir(parents=True, exist_ok=True)
        path = root / "OpenBTAI_METS_ClinicalData_Nov2023.xlsx"
        book.save(path)
        return path

    return write


@pytest.fixture(scope="session")
def molab_scan(nifti: Any) -> Callable[..., None]:
    """`molab_scan(root, patient, day, {value: voxels})` writes `_img.nii` and `_msk.nii` of one study."""

    def write(root: Path, patient: str, day: int, values: tuple[int, ...], *, mask: bool = True) -> None:
        stamp = (date(1900, 1, 1) + timedelta(days=day)).strftime("%Y%m%d")
        base = root / patient / patient / "NIFTI" / f"{patient}_{stamp}_T1_POST"
        nifti(base.with_name(base.name + "_img.nii"))
        if mask:
            voxels = np.zeros((8, 8, 8), np.uint16)
            voxels.ravel()[: len(values)] = values
            nifti(base.with_name(base.name + "_msk.nii"), voxels)

    return write


@pytest.fixture(scope="session")
def dicom_files() -> Any:
    """A `DicomMaker` (dicom_maker.py beside this file)."""
    pytest.importorskip("pydicom", reason="needs rnfm[dicom]")
    spec = importlib.util.spec_from_file_location("dicom_maker", Path(__file__).with_name("dicom_maker.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.DicomMaker()


@pytest.fixture(scope="session")
def blob() -> Callable[..., np.ndarray]:
    """`blob(shape, bright=(i, j, k))`: a noisy head-like volume with one voxel of 4000 in it."""

    def make(shape: tuple[int, int, int] = (24, 20, 16), bright: tuple[int, int, int] = (15, 6, 4)) -> np.ndarray:
        voxels = np.random.default_rng(3).integers(0, 300, shape).astype(np.uint16)
        voxels[4:-4, 4:-4, 2:-2] += 700
        voxels[bright] = 4000
        return voxels

    return make
