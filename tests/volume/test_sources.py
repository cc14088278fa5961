"""Cohort and key table become scans with paths; every fault is one sentence that names no source."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as parquet
import pytest

from rnfm.core.artifact import Artifact, publish
from rnfm.core.errors import ConfigError, DataError, IntegrityError
from rnfm.volume.sources import find_scans


def test_scans_in_the_cohorts_order(make_cohort: Callable) -> None:
    cohort = make_cohort(4)
    scans = find_scans(Artifact.open(cohort.path), lambda: cohort.keys)
    assert [scan.code for scan in scans] == cohort.codes
    assert [(scan.image, scan.mask) for scan in scans] == list(zip(cohort.images, cohort.masks, strict=True))
    assert [scan.lesions for scan in scans[:2]] == [(("P-00000000-L1", (1,)),), (("", ()),)]
    assert [scan.has_mask for scan in scans] == [True, False, True, False]


def test_rows_of_one_scan_are_one_scan(make_cohort: Callable, tmp_path: Path) -> None:
    cohort = make_cohort(2)
    table = parquet.read_table(cohort.path / "cohort.parquet")
    with publish(tmp_path / "twice", "cohort", 1) as draft:
        import pyarrow as pa

        parquet.write_table(pa.concat_tables([table, table.slice(0, 1)]), draft.path / "cohort.parquet")
    scans = find_scans(Artifact.open(tmp_path / "twice"), lambda: cohort.keys)
    assert [len(scan.lesions) for scan in scans] == [2, 1]


def test_relative_paths_are_taken_from_the_tables_folder(make_cohort: Callable, tmp_path: Path) -> None:
    cohort = make_cohort(1)
    cohort.keys.write_text(f"namespace,kind,original,code,image,mask\nn,scan,o,{cohort.codes[0]},source/a.nii,\n")
    assert find_scans(Artifact.open(cohort.path), lambda: cohort.keys)[0].image == tmp_path / "source/a.nii"


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("code,image\nS-1,x\n", "is not a key table with the columns namespace, kind, original, code, image, mask. Restore"),
        ("", "is not a key table with the columns namespace, kind, original, code, image, mask. Restore"),
        ("namespace,kind,original,code,image,mask\nn,scan,Mustermann,S-00000001,/x,\n", "the key table lacks 2 of the cohort's 3 scans. Give"),
        ("namespace,kind,original,code,image,mask\nn,patient,Mustermann,S-00000001,,\n", "lacks 3 of the cohort's 3 scans. Give"),
    ],
)  # fmt: skip
def test_wrong_key_tables(make_cohort: Callable, text: str, cause: str) -> None:
    cohort = make_cohort(3)
    cohort.keys.write_text(text)
    with pytest.raises((ConfigError, IntegrityError)) as error:
        find_scans(Artifact.open(cohort.path), lambda: cohort.keys)
    assert cause in str(error.value)
    assert "Mustermann" not in str(error.value)


def test_an_empty_cohort(make_cohort: Callable, tmp_path: Path) -> None:
    cohort = make_cohort(1)
    table = parquet.read_table(cohort.path / "cohort.parquet")
    with publish(tmp_path / "none", "cohort", 1) as draft:
        parquet.write_table(table.slice(0, 0), draft.path / "cohort.parquet")
    with pytest.raises(DataError, match="the cohort holds no scan"):
        find_scans(Artifact.open(tmp_path / "none"), lambda: cohort.keys)
