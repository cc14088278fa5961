"""What two cohorts share: patients by code, scans by voxel hash, and what could not be compared."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rnfm.cohort import OverlapConfig, overlap, table
from rnfm.core import artifact
from rnfm.core.errors import ConfigError


def _publish(path: Path, kind: str, scans: dict[str, tuple[str, str]], key_table: str = "K-1") -> Path:
    """scans: scan code -> (patient code, voxel hash)."""
    rows = []
    for scan, (patient, _) in scans.items():
        row = dict.fromkeys((name for name, _, _ in table.COLUMNS), None)
        row |= {"patient": patient, "scan": scan, "dataset": "d", "site": "s", "has_mask": False, "classified": False}
        rows.append(row | {"mask_values": [], "shape_vox": [8, 8, 8], "spacing_mm": [1.0, 1.0, 1.0]})
    contract = {"key_table": key_table} if kind == "cohort" else {}
    with artifact.publish(path, kind, 1, contract=contract) as draft:
        table.write(draft.path / "cohort.parquet", table.from_rows(rows))
        if kind == "volumes":
            hashes = [digest for _, digest in scans.values()]
            pq.write_table(pa.table({"scan": list(scans), "voxels_sha256": hashes}), draft.path / "scans.parquet")
    return path


def test_equal_voxels_are_found_under_other_names(tmp_path: Path) -> None:
    one = _publish(tmp_path / "one", "volumes", {"S-1": ("P-1", "aa"), "S-2": ("P-2", "bb"), "S-3": ("P-2", "cc")})
    two = _publish(tmp_path / "two", "volumes", {"S-7": ("P-7", "bb"), "S-8": ("P-2", "dd")})
    result = overlap(OverlapConfig(first=one, second=two))
    assert (result.patients, result.scans, result.found) == (("P-2",), (("S-2", "S-7"),), 2)
    assert "2 overlaps found (compared: patient codes, voxel hashes)" in result.summary()
    assert "S-2 = S-7" in result.summary()


def test_cohorts_are_compared_by_patient_only_and_say_so(tmp_path: Path) -> None:
    one = _publish(tmp_path / "one", "cohort", {"S-1": ("P-1", "")})
    two = _publish(tmp_path / "two", "cohort", {"S-2": ("P-2", "")}, key_table="K-2")
    result = overlap(OverlapConfig(first=one, second=two))
    assert result.found == 0
    assert "no overlap found" in result.summary()
    assert [remark.split(":")[0] for remark in result.remarks] == [
        "scans were not compared",
        "two key tables were used, so equal patients have different codes",
    ]


def test_a_folder_that_is_no_artefact(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a published artefact"):
        overlap(OverlapConfig(first=tmp_path, second=tmp_path))
