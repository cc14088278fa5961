"""What two data sets share: patients by code, scans by voxel hash and by likeness, and what could not be compared."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rnfm.cohort import OverlapConfig, likeness, overlap, screening, table
from rnfm.cohort.aligning import Likeness
from rnfm.cohort.overlapping import Pair, judge
from rnfm.core import artifact
from rnfm.core.errors import ConfigError

_SPEC = importlib.util.spec_from_file_location("heads", Path(__file__).with_name("test_aligning.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
heads: Any = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(heads)
SHAPE = (40, 46, 42)


def _publish(
    path: Path,
    kind: str,
    scans: dict[str, tuple[str, str]],
    *,
    key_table: str = "K-1",
    thumbs: dict[str, np.ndarray] | None = None,
) -> Path:
    """scans: scan code -> (patient code, voxel hash)."""
    rows = []
    for scan, (patient, _) in scans.items():
        row = dict.fromkeys((name for name, _, _ in table.COLUMNS), None)
        row |= {"patient": patient, "scan": scan, "dataset": "d", "site": "s", "modality": "T1CE", "has_mask": False}
        rows.append(
            row | {"classified": False, "mask_values": [], "shape_vox": [8, 8, 8], "spacing_mm": [1.0, 1.0, 1.0]}
        )
    contract = {"key_table": key_table} if kind == "cohort" else {}
    with artifact.publish(path, kind, 1, contract=contract) as draft:
        table.write(draft.path / "cohort.parquet", table.from_rows(rows))
        if kind == "volumes":
            hashes = [digest for _, digest in scans.values()]
            pq.write_table(pa.table({"scan": list(scans), "voxels_sha256": hashes}), draft.path / "scans.parquet")
        if thumbs is not None:
            found = ((scan, screening.spectrum(thumb), thumb) for scan, thumb in thumbs.items())
            likeness.write(draft.path / "likeness.parquet", found)
    return path


def test_equal_voxels_are_found_under_other_names(tmp_path: Path) -> None:
    one = _publish(tmp_path / "one", "volumes", {"S-1": ("P-1", "aa"), "S-2": ("P-2", "bb"), "S-3": ("P-2", "cc")})
    two = _publish(tmp_path / "two", "volumes", {"S-7": ("P-7", "bb"), "S-8": ("P-2", "dd")})
    result = overlap(OverlapConfig(first=one, second=two))
    assert (result.patients, result.pairs) == (("P-2",), (Pair("S-2", "S-7", "exact", 1.0),))
    assert (result.found, result.exit_code) == (2, 3)
    assert "2 overlaps found (compared: patient codes, voxel hashes)" in result.summary()
    assert "S-2 = S-7 (exact, 1.00)" in result.summary()
    assert "an archive has no likeness.parquet, prepare it again" in result.summary()


def test_cohorts_are_compared_by_patient_only_and_say_so(tmp_path: Path) -> None:
    one = _publish(tmp_path / "one", "cohort", {"S-1": ("P-1", "")})
    two = _publish(tmp_path / "two", "cohort", {"S-2": ("P-2", "")}, key_table="K-2")
    result = overlap(OverlapConfig(first=one, second=two))
    assert (result.found, result.exit_code) == (0, 0)
    assert "no overlap found" in result.summary()
    assert [remark.split(":")[0] for remark in result.remarks] == [
        "scans were not compared",
        "two key tables were used, so equal patients have different codes",
    ]


def test_a_foundation_is_compared_by_the_patients_it_saw(tmp_path: Path) -> None:
    with artifact.publish(tmp_path / "foundation", "foundation", 1, lineage={"patients": ["P-1", "P-9"]}):
        pass
    two = _publish(tmp_path / "two", "cohort", {"S-1": ("P-1", ""), "S-2": ("P-2", "")})
    assert overlap(OverlapConfig(first=tmp_path / "foundation", second=two)).patients == ("P-1",)
    with artifact.publish(tmp_path / "page", "report", 1):
        pass
    with pytest.raises(ConfigError, match=r"is a report and lists no patients\. Give a cohort, volumes, shards"):
        overlap(OverlapConfig(first=tmp_path / "page", second=two))


def test_a_folder_that_is_no_artefact(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is a folder\. Give --pairs the name of a CSV file"):
        overlap(OverlapConfig(first=tmp_path, second=tmp_path, pairs=tmp_path))
    with pytest.raises(ConfigError, match="is not a published artefact"):
        overlap(OverlapConfig(first=tmp_path, second=tmp_path))


@pytest.fixture(scope="module")
def two_archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Six heads; in the second archive under other codes: one mirrored, one cut and noisy, one of a patient of both; three new."""
    folder, draw = tmp_path_factory.mktemp("overlap"), np.random.default_rng(0)
    own = {f"S-{i}": heads.head(i, SHAPE) for i in range(6)}
    noisy = np.clip(own["S-1"][2:, :-3, 8:] + draw.normal(0, 9, (38, 43, 34)), 1, 255)
    theirs = {
        "S-10": np.ascontiguousarray(np.flip(own["S-0"], (0, 2))),
        "S-11": np.where(own["S-1"][2:, :-3, 8:] > 0, noisy, 0).astype(np.uint8),
        "S-12": own["S-2"],
        **{f"S-{i}": heads.head(i, SHAPE) for i in (13, 14, 15)},
    }
    patient = {"S-12": "P-2"}
    one = _publish(folder / "one", "volumes", {s: (f"P-{s[2:]}", f"h{s}") for s in own}, thumbs=own)
    two = _publish(
        folder / "two", "volumes", {s: (patient.get(s, f"P-{s[2:]}"), f"h{s}") for s in theirs}, thumbs=theirs
    )
    return one, two


def test_changed_copies_are_found_and_named(two_archives: tuple[Path, Path], tmp_path: Path) -> None:
    first, second = two_archives
    result = overlap(OverlapConfig(first=first, second=second, pairs=tmp_path / "found/pairs.csv"))
    assert result.patients == ("P-2",)  # of patients with equal codes no scan is named: that is said already
    assert [(pair.first, pair.second, pair.kind, pair.mirrored) for pair in result.pairs] == [
        ("S-0", "S-10", "copy", (0, 2)),
        ("S-1", "S-11", "copy", ()),
    ]
    assert result.found == 3
    assert "S-0 = S-10 (copy, 1.00, mirrored right-left and up-down)" in result.summary()
    lines = (tmp_path / "found/pairs.csv").read_text().splitlines()
    assert lines[0] == "first,second,kind,score,mirrored"
    assert lines[1].startswith("S-0,S-10,copy,")
    assert lines[1].endswith(",right-left up-down")


def test_the_other_way_round_and_within_one_archive(two_archives: tuple[Path, Path]) -> None:
    first, second = two_archives
    back = overlap(OverlapConfig(first=second, second=first))
    assert [(pair.first, pair.second) for pair in back.pairs] == [("S-10", "S-0"), ("S-11", "S-1")]
    within = overlap(OverlapConfig(first=first, second=first))
    assert (within.found, within.compared) == (0, ("voxel hashes", "likenesses"))


def test_a_middling_score_counts_only_where_it_stands_out() -> None:
    one, two = {"a": "P-a", "b": "P-b"}, {"x": "P-x", "y": "P-y", "x2": "P-x"}

    def kinds(**scores: float) -> dict[str, str]:
        found = {(pair[0], pair[1:]): Likeness(score, (), 1.0) for pair, score in scores.items()}
        return {pair.first + pair.second: pair.kind for pair in judge(found, one, two)}

    assert kinds(ax=0.83, ay=0.81) == {"ax": "copy"}
    assert kinds(ax=0.7, ay=0.5) == {"ax": "likely"}
    assert kinds(ax=0.7, ay=0.6) == {}  # all heads of this population are alike
    assert kinds(ax=0.7, bx=0.6) == {}
    assert kinds(ax=0.7, ax2=0.69) == {
        "ax": "likely",
        "ax2": "likely",
    }  # two scans of one patient do not hide each other
    assert kinds(ax=0.59) == {}
