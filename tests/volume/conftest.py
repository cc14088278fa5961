"""Tiny scans, masks and cohorts for the tests of this room, made with nibabel and pyarrow by hand, not by our own writers."""

from __future__ import annotations

import csv
import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import nibabel
import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from rnfm.core.artifact import publish

REAL = os.environ.get("RNFM_REAL_DATA")
HEAD_AFFINE = np.array([[-3.0, 0, 0, 60], [0, -3, 0, 66], [0, 0, 3, -60], [0, 0, 0, 1]])  # LPS, 3 mm


@pytest.fixture(scope="session")
def real_scans() -> list[tuple[Path, Path]]:
    """(image, mask) of the 16 real scans."""
    if not REAL:
        pytest.skip("RNFM_REAL_DATA does not name the folder with the real scans")
    images = sorted((Path(REAL) / "t1c").glob("*.nii.gz"))
    return [(image, Path(REAL) / "masks" / image.name) for image in images]


def head(seed: int = 0, lesion: float = 2.2) -> tuple[np.ndarray, np.ndarray]:
    """A ball of 'brain' with a brighter ball in it, in noisy air: 40 x 44 x 40 voxels; the mask marks the inner ball."""
    noise = np.random.default_rng(seed)
    x, y, z = np.indices((40, 44, 40)) - np.array([20, 22, 20]).reshape(3, 1, 1, 1)
    brain, inner = x**2 + y**2 + z**2 < 15**2, (x - 5) ** 2 + y**2 + (z + 3) ** 2 < 4**2
    raw = noise.normal(0, 8, brain.shape) ** 2 / 8 + brain * noise.normal(400, 20, brain.shape)
    return (raw * np.where(inner, lesion, 1)).astype(np.int16), inner.astype(np.uint8)


@pytest.fixture
def head_arrays() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    return head


@pytest.fixture
def save() -> Callable[..., Path]:
    """Write an array as an ordinary NIfTI file with both forms set."""

    def write(path: Path, data: np.ndarray, affine: np.ndarray = HEAD_AFFINE) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        image = nibabel.Nifti1Image(data, affine)
        image.set_sform(affine, 1)
        image.set_qform(affine, 1)
        nibabel.save(image, path)
        return path

    return write


@dataclass
class TinyCohort:
    """A published cohort artefact, its key table, and the scans' codes in order."""

    path: Path
    keys: Path
    codes: list[str]
    images: list[Path]
    masks: list[Path | None]


@pytest.fixture
def make_cohort(tmp_path: Path, save: Callable[..., Path]) -> Callable[..., TinyCohort]:
    """n scans of n patients under names that must never be said; every second has a mask with the values 1 (and 2 named)."""

    def make(n: int = 4, name: str = "cohort") -> TinyCohort:
        codes, images, masks = [f"S-{i:08X}" for i in range(n)], [], []
        for i in range(n):
            raw, inner = head(seed=i)
            images.append(save(tmp_path / "source" / f"Mustermann-{i}.nii.gz", raw))
            masks.append(save(tmp_path / "source" / f"Mustermann-{i}-seg.nii.gz", inner) if i % 2 == 0 else None)
        table = pa.table(
            {
                "patient": [f"P-{i:08X}" for i in range(n)],
                "scan": codes,
                "lesion": pa.array([f"P-{i:08X}-L1" if m else None for i, m in enumerate(masks)], pa.string()),
                "site": ["A" if i < n // 2 else "B" for i in range(n)],
                "has_mask": [m is not None for m in masks],
                "mask_values": pa.array([[1] if m else [] for m in masks], pa.list_(pa.int16())),
                "classified": [True] * n,
                "label": pa.array([[0, 1, None][i % 3] for i in range(n)], pa.int8()),
            }
        )
        path = tmp_path / name
        with publish(path, "cohort", 1, contract={}, lineage={"config_hash": "x", "inputs": {}}) as draft:
            parquet.write_table(table, draft.path / "cohort.parquet")
        keys = tmp_path / f"{name}.keys.csv"
        with open(keys, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["namespace", "kind", "original", "code", "image", "mask"])
            for code, image, mask in zip(codes, images, masks, strict=True):
                writer.writerow(["tiny", "scan", image.name, code, image, mask or ""])
        return TinyCohort(path, keys, codes, images, masks)

    return make


@pytest.fixture
def recipes(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module dangerous_recipes, where worker processes find it too."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return importlib.import_module("dangerous_recipes")
