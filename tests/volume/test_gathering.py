"""Judging records and writing the payload: duplicates, budget, tables; nothing depends on who finished what when."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rnfm.core.artifact import Artifact
from rnfm.core.errors import DataError
from rnfm.core.ledger import Reason
from rnfm.volume import PrepareConfig, alike, gathering, store
from rnfm.volume.findings import Finding
from rnfm.volume.production import Record
from rnfm.volume.sources import Scan


def scan(i: int) -> Scan:
    return Scan(f"S-{i}", f"P-{i // 2}", "A", Path("/x"), None, False, ())


def record(i: int, sha256: str, shape: tuple[int, int, int] = (16, 16, 16)) -> Record:
    look = (Finding(Reason.ANISOTROPIC, "thick"),) if i == 1 else ()
    return Record(store.Staged(Path("staged"), shape), {"voxels_sha256": sha256, "affine": [1.0]}, None, look)


def test_of_equal_scans_the_first_in_the_cohort_is_kept() -> None:
    refused = Record(None, {}, Finding(Reason.CORRUPT, "torn"))
    scans, records = [scan(i) for i in range(5)], [record(0, "a"), record(1, "b"), refused, record(3, "a"), refused]
    kept, quarantine, findings = gathering.judge(scans, records)
    assert [one.code for one, _ in kept] == ["S-0", "S-1"]
    assert [(e.code, str(e.reason), e.detail) for e in quarantine.entries] == [
        ("S-2", "corrupt", "torn"),
        ("S-3", "duplicate", "it has the same voxels as S-0"),
        ("S-4", "corrupt", "torn"),
    ]
    assert [(e.code, e.stage, str(e.reason)) for e in findings.entries] == [("S-1", "prepare", "anisotropic")]


def test_a_refused_copy_does_not_refuse_the_original() -> None:
    refused = Record(None, {"voxels_sha256": "a"}, Finding(Reason.CORRUPT, "torn"))
    kept, _, _ = gathering.judge([scan(0), scan(1)], [refused, record(1, "a")])
    assert [one.code for one, _ in kept] == ["S-1"]


def test_rows_and_geometries() -> None:
    kept = [(scan(i), record(i, str(i), (16, 16, 16 * (1 + i % 2)))) for i in range(3)]
    table = gathering.scan_table(kept, [0, 0, 1]).to_pydict()
    assert table["geometry"] == ["g16x16x16", "g16x16x32", "g16x16x16"]
    assert table["row"] == [0, 0, 1]
    assert list(table)[:5] == ["scan", "patient", "site", "geometry", "row"]
    assert gathering.scan_table([], []).num_rows == 0


def test_over_the_budget_the_ledger_is_left_and_under_it_an_old_one_goes(tmp_path: Path) -> None:
    config = PrepareConfig(cohort=tmp_path / "c", out=tmp_path / "volumes", max_bad=0.0)
    refused = Record(None, {}, Finding(Reason.CORRUPT, "torn"))
    _, quarantine, _ = gathering.judge([scan(0), scan(1)], [refused, refused])
    beside = tmp_path / "volumes.quarantine.jsonl"
    with pytest.raises(
        DataError, match=r"2 of 4 .*\(2 corrupt\)\. Read .*volumes\.quarantine\.jsonl .* finished scans are kept"
    ):
        gathering.require_within_budget(quarantine, 4, config)
    assert len(beside.read_text().splitlines()) == 2
    quarantine.entries.pop()
    gathering.require_within_budget(quarantine, 4, config)
    assert not beside.exists()


def test_the_payload_in_a_folder(make_cohort, tmp_path: Path) -> None:
    cohort = make_cohort(2)
    images = [np.random.default_rng(i).normal(size=(16, 16, 16)).astype(np.float32) for i in range(2)]
    kept = []
    for i, code in enumerate(cohort.codes):
        (tmp_path / code).mkdir()
        staged = store.stage(tmp_path / code, images[i], None)
        alike.stage(tmp_path / code, np.full((4, 4, 4), 1 + i, np.uint8))
        kept.append((Scan(code, f"P-{i}", "A", Path(), None, i == 0, ()), Record(staged, {"affine": [0.0]}, None)))
    config = PrepareConfig(cohort=cohort.path, out=tmp_path / "volumes")
    (tmp_path / "draft").mkdir()
    judged = (kept[1:], *gathering.judge([], [])[1:])
    gathering.write(tmp_path / "draft", Artifact.open(cohort.path), judged, config)
    assert sorted(path.name for path in (tmp_path / "draft").iterdir()) == [
        "cohort.parquet", "findings.jsonl", "likeness.parquet", "quarantine.jsonl", "scans.parquet", "summary.md", "volumes.zarr",
    ]  # fmt: skip
    assert "1 scans of 1 patients, 0 with a mask; 0 refused." in (tmp_path / "draft/summary.md").read_text()
