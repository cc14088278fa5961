"""The same patient through BraTS-METS and Pretreat-MetsToBrain-Masks: one code under one key table, and it is said."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from rnfm.cohort import IndexConfig, index, table
from rnfm.core.ledger import Ledger, Reason

_SPEC = importlib.util.spec_from_file_location("layout_trees", Path(__file__).parent / "adapters/trees.py")
assert _SPEC is not None
assert _SPEC.loader is not None
trees: Any = sys.modules.setdefault("layout_trees", importlib.util.module_from_spec(_SPEC))
_SPEC.loader.exec_module(trees)

DETAIL = "scans of this patient came in through another data set of the same ids as well: "


def _index(tmp_path: Path, name: str, out: str, **values: Any) -> tuple[set[str], dict[str, str]]:
    """Patient codes of the cohort, and the patients that are said to be known from elsewhere with their detail."""
    source = tmp_path / trees.TREES[name].folder
    if not source.is_dir():
        trees.TREES[name].write(tmp_path)
    index(IndexConfig(source=source, out=tmp_path / out, keys=tmp_path / "keys.csv", **values))
    said = [entry for entry in Ledger.read(tmp_path / out / "findings.jsonl") if entry.reason is Reason.SAME_PATIENT]
    return set(table.read(tmp_path / out / "cohort.parquet")["patient"]), {entry.code: entry.detail for entry in said}


def test_one_patient_one_code_and_a_finding(tmp_path: Path) -> None:
    mets, before = _index(tmp_path, "brats_mets", "mets")
    pretreat, after = _index(tmp_path, "pretreat", "pretreat")
    (shared,) = mets & pretreat
    assert before == {}
    assert after == {shared: DETAIL + "2"}  # time points 000 and 001 of the other set
    # Seen from the other side, once both are known; and the same again for the same key table.
    assert _index(tmp_path, "brats_mets", "mets-2") == (mets, {shared: DETAIL + "1"})
    assert _index(tmp_path, "pretreat", "pretreat-2") == (pretreat, after)
    assert "same_patient 1" in (tmp_path / "pretreat-2/summary.md").read_text()


@pytest.mark.parametrize("first", ["brats_mets", "ucsf_bmsr"])
def test_indexing_one_data_set_twice_says_nothing(tmp_path: Path, first: str) -> None:
    assert _index(tmp_path, first, "one")[1] == {}
    assert _index(tmp_path, first, "two")[1] == {}


def test_another_namespace_keeps_them_apart(tmp_path: Path) -> None:
    mets, _ = _index(tmp_path, "brats_mets", "mets")
    pretreat, said = _index(tmp_path, "pretreat", "pretreat", namespace="other")
    assert not mets & pretreat
    assert said == {}
