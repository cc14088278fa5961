"""Data sets that share an id namespace are the same patients, under one key table and only there."""

from __future__ import annotations

from pathlib import Path

import pytest

from rnfm.cohort import IndexConfig, OverlapConfig, index, overlap, table
from rnfm.cohort.keys import KeyTable


@pytest.fixture
def two_trees(tmp_path: Path, nifti) -> tuple[Path, Path]:
    """BraTS-METS with patients 2, 3 and 4; Pretreat-MetsToBrain-Masks with 3, 4 and 5; equal scan ids, other files."""
    trees = tmp_path / "MICCAI-BraTS2023-MET", tmp_path / "Pretreat-MetsToBrain-Masks"
    for tree, numbers in zip(trees, ((2, 3, 4), (3, 4, 5)), strict=True):
        for number in numbers:
            case = f"BraTS-MET-{number:05d}-000"
            for part in ("t1c", "seg"):
                nifti(tree / case / f"{case}-{part}.nii.gz")
    return trees


def _patients(folder: Path) -> set[str]:
    return set(table.read(folder / "cohort.parquet")["patient"])


def test_the_same_patients_have_one_code_and_their_scans_have_two(two_trees: tuple[Path, Path], tmp_path: Path) -> None:
    keys, outs = tmp_path / "keys.csv", (tmp_path / "mets", tmp_path / "pretreat")
    for source, out in zip(two_trees, outs, strict=True):
        index(IndexConfig(source=source, out=out, keys=keys))
    shared = _patients(outs[0]) & _patients(outs[1])
    known = KeyTable.open(keys)
    assert {known.lookup(code).original for code in shared} == {"BraTS-MET-00003", "BraTS-MET-00004"}
    frames = [table.read(out / "cohort.parquet") for out in outs]
    assert not set(frames[0]["scan"]) & set(frames[1]["scan"])
    assert len(known.scans()) == 6
    found = overlap(OverlapConfig(first=outs[0], second=outs[1]))
    assert (set(found.patients), found.exit_code) == (shared, 3)
    # The order in which they are indexed does not matter, and a second run changes no code.
    again = index(IndexConfig(source=two_trees[0], out=outs[0], keys=keys))
    assert not again.fresh


def test_under_two_key_tables_nobody_can_tell_and_it_is_said(two_trees: tuple[Path, Path], tmp_path: Path) -> None:
    outs = tmp_path / "mets", tmp_path / "pretreat"
    for source, out in zip(two_trees, outs, strict=True):
        index(IndexConfig(source=source, out=out))
    found = overlap(OverlapConfig(first=outs[0], second=outs[1]))
    assert found.patients == ()
    assert "two key tables were used, so equal patients have different codes" in found.summary()
