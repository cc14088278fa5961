"""From a tree to a verified volume archive, for every layout: two commands, masks that survive, and no identity in anything said.

DICOM and tables (CSV) have trees of their own kind; their roads are tested beside their adapters.
"""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rnfm.cli.main import main
from rnfm.cohort.keys import KeyTable
from rnfm.core.ledger import Ledger
from rnfm.volume import VolumeArchive

_SPEC = importlib.util.spec_from_file_location("layout_trees", Path(__file__).with_name("trees.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
trees: Any = sys.modules.setdefault("layout_trees", importlib.util.module_from_spec(_SPEC))
_SPEC.loader.exec_module(trees)

SPACING = [f"{trees.SPACING_MM:g}"] * 3


@pytest.mark.parametrize("name", trees.TREES)
def test_index_then_prepare(tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str) -> None:
    tree = trees.TREES[name]
    source, cohort, volumes = tree.write(tmp_path / "download"), tmp_path / "out/cohort", tmp_path / "out/volumes"
    assert main(["data", "index", str(source), "--out", str(cohort)]) == 0
    assert main(["data", "prepare", str(cohort), "--out", str(volumes), "--spacing_mm", *SPACING]) == 0
    assert main(["data", "verify", str(volumes), "--deep"]) == 0
    said = "".join(capfd.readouterr())
    assert f"layout {name}, because there are" in said

    archive = VolumeArchive.open(volumes)
    scans = _by_original(cohort, archive)
    assert set(scans) == {scan.name for scan in tree.scans}
    for scan in tree.scans:
        code, rows = scans[scan.name]
        assert _voxels(archive.mask(code)) == dict.fromkeys(scan.values, trees.CUBE_VOXELS), scan.name
        marked = [archive.lesion_mask(code, row.mask_values) for row in rows.itertuples() if row.lesion or scan.values]
        assert sum(int(mask.sum()) for mask in marked) == trees.CUBE_VOXELS * len(scan.lesion), scan.name
        assert rows["has_mask"].tolist() == [scan.mask is not None] * len(rows)
        assert rows["day"].dropna().tolist() == ([] if scan.day is None else [scan.day] * len(rows))
    assert _patients(scans) == _groups((scan.patient, scan.name) for scan in tree.scans)
    stray = sum(scan.stray for scan in tree.scans)
    assert _ledgers(cohort).get("stray_label", 0) == stray

    spoken = said.replace(str(tmp_path), "") + _published(cohort) + _published(volumes)
    assert not [secret for secret in tree.secrets if secret in spoken]
    assert tree.secrets[0] in (tmp_path / "out/cohort.keys.csv").read_text()


def _by_original(cohort: Path, archive: VolumeArchive) -> dict[str, tuple[str, pd.DataFrame]]:
    """Original scan id -> its code and its rows of the cohort table."""
    keys = KeyTable.open(cohort.with_name(f"{cohort.name}.keys.csv")).scans()
    return {keys[code].original: (code, rows) for code, rows in archive.cohort.groupby("scan")}


def _voxels(mask_DHW: np.ndarray) -> dict[int, int]:
    return {int(value): int(n) for value, n in Counter(mask_DHW[mask_DHW > 0].tolist()).items()}


def _patients(scans: dict[str, tuple[str, pd.DataFrame]]) -> set[frozenset[str]]:
    return _groups((rows["patient"].iloc[0], name) for name, (_, rows) in scans.items())


def _groups(pairs: Any) -> set[frozenset[str]]:
    """The scans of each patient, whatever the patient is called."""
    groups: dict[str, set[str]] = {}
    for patient, scan in pairs:
        groups.setdefault(patient, set()).add(scan)
    return {frozenset(group) for group in groups.values()}


def _ledgers(cohort: Path) -> dict[str, int]:
    assert Ledger.read(cohort / "quarantine.jsonl") == []
    return dict(Counter(str(entry.reason) for entry in Ledger.read(cohort / "findings.jsonl")))


def _published(folder: Path) -> str:
    """Names and texts of all files, tables spelt out. Shards hold voxels and are left out."""
    parts = []
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        parts.append(file.relative_to(folder).as_posix())
        if file.suffix == ".parquet":
            parts.append(pd.read_parquet(file).to_csv())
        elif file.suffix in (".json", ".jsonl", ".md"):
            parts.append(file.read_text())
    return "\n".join(parts)
