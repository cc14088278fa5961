"""The disk bill: figures before the first byte, and a refusal that holds both."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from rnfm.core.artifact import Artifact, publish
from rnfm.core.errors import ConfigError
from rnfm.volume import bill

Usage = namedtuple("Usage", "total used free")


def cohort(path: Path, **columns: list) -> Artifact:
    with publish(path, "cohort", 1) as draft:
        parquet.write_table(pa.table(columns), draft.path / "cohort.parquet")
    return Artifact.open(path)


def test_the_field_of_view_at_the_new_spacing_counts_once_a_scan(tmp_path: Path) -> None:
    scans = cohort(
        tmp_path / "c",
        scan=["a", "a", "b", "c"],
        shape_vox=[[100, 100, 50]] * 3 + [None],
        spacing_mm=[[1.0, 1.0, 4.0]] * 2 + [[2.0, 1.0, 4.0], None],
    )
    a, b = 100 * 100 * 200, 200 * 100 * 200  # mm3
    mean = (a + b) / 2
    per_mm3 = bill.BYTES_A_VOXEL / 8
    assert bill.bytes_needed(scans, (2, 2, 2)) == pytest.approx((a + b + mean) * per_mm3 + bill.ALWAYS)
    assert bill.bytes_needed(scans, (2, 2, 2), frozenset("b")) == pytest.approx((a + mean) * per_mm3 + bill.ALWAYS)


@pytest.mark.parametrize("columns", [{"scan": ["a"]}, {"scan": ["a"], "shape_vox": [None], "spacing_mm": [None]}])
def test_a_cohort_without_sizes_has_a_small_bill(tmp_path: Path, columns: dict) -> None:
    assert bill.bytes_needed(cohort(tmp_path / "c", **columns), (1, 1, 1)) == bill.ALWAYS


def test_a_disk_too_small_is_refused_with_both_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(shutil, "disk_usage", lambda path: asked.append(path) or Usage(0, 0, 250_000_000))
    bill.require_space(tmp_path / "not/yet/there", 250_000_000)
    with pytest.raises(
        ConfigError, match=r"there: needs about 1\.5 GB and 250 MB are free on its disk\. Free some space"
    ):
        bill.require_space(tmp_path / "not/yet/there", 1_500_000_000)
    assert set(asked) == {tmp_path}
