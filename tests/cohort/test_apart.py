"""Nobody in two places: the sentences of each refusal, and a few planted cases of every kind (the proof runs many)."""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path
from typing import Any

import pytest

from rnfm.cohort import SplitConfig, apart, split
from rnfm.core.errors import DataError

_SPEC = importlib.util.spec_from_file_location("split_leaks", Path(__file__).parents[1] / "proofs/test_split_leaks.py")
assert _SPEC is not None
assert _SPEC.loader is not None
proof: Any = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(proof)


@pytest.mark.parametrize("kind", proof.KINDS)
def test_planted_cases(kind: str) -> None:
    assert proof.detected(kind, 2) == 2


def test_a_case_without_a_double_is_not_called_refused(tmp_path: Path) -> None:
    """The proof can fail: what it counts as detected needs a refusal in the expected words."""
    draw = random.Random(0)
    sides = [("inner", proof.people(draw, "P"))], [("outer", proof.people(draw, "X"))]
    assert not proof._is_refused(tmp_path, "stand under two patients", *sides, kind="volumes")


def test_equal_voxels_under_two_codes_are_named(tmp_path: Path) -> None:
    rows = [(f"P-{at}", "a", at % 2, f"{at:064x}") for at in range(8)]
    one = proof.cohort(tmp_path / "one", rows, kind="volumes")
    two = proof.cohort(tmp_path / "two", [("X-1", "b", 0, f"{3:064x}"), ("X-2", "b", 1, "f")], kind="volumes")
    with pytest.raises(DataError) as caught:
        split(SplitConfig(cohorts=(one,), external=(two,), out=tmp_path / "split"))
    assert str(caught.value) == (
        "split: 1 scans stand under two patients, voxel for voxel (P-3 = X-1). Index their data sets with one key table "
        "and namespace, or leave one copy out (rnfm data overlap lists them)."
    )


def test_copies_inside_the_external_side_are_no_leak(tmp_path: Path) -> None:
    one = proof.cohort(tmp_path / "one", [(f"P-{at}", "a", at % 2, f"{at:064x}") for at in range(8)], kind="volumes")
    two = proof.cohort(tmp_path / "two", [("X-1", "b", 0, "e"), ("X-2", "b", 1, "e")], kind="volumes")
    assert split(SplitConfig(cohorts=(one,), external=(two,), out=tmp_path / "split")).patients["external"] == 2


def test_a_long_list_is_cut() -> None:
    assert apart.listed("abcdefg") == "a, b, c, d, e and 2 more"
    assert apart.listed(["a"]) == "a"
