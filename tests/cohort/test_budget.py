"""The error budget through the real command line: exit codes below, at and above it, at a share of 0.1% of bad scans."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rnfm.core.errors import DataError
from rnfm.core.ledger import Ledger, require_budget


def tree(root: Path, nifti, *, scans: int, bad: int) -> Path:
    """`scans` links to one small file, the last `bad` to an empty one: every link is a scan of its own patient."""
    (root / "scans").mkdir(parents=True)
    good = nifti(root / "good" / "file.nii")
    empty = root / "good" / "empty.nii"
    empty.touch()
    for at in range(scans):
        os.link(good if at < scans - bad else empty, root / "scans" / f"p{at:05d}_t1.nii")
    return root / "scans"


def run(source: Path, out: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rnfm", "data", "index", str(source), "--out", str(out), *words]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


@pytest.mark.slow
def test_two_bad_scans_of_2000(tmp_path: Path, nifti) -> None:
    """0.1% are bad: a budget of 0.09% (1.8 scans) refuses the cohort with exit code 3, one of 0.11% (2.2) accepts it."""
    source, out = tree(tmp_path, nifti, scans=2000, bad=2), tmp_path / "cohort"
    over = run(source, out, "--max-bad", "0.0009")
    assert over.returncode == DataError.exit_code == 3
    assert (
        "2 of 2000 scans were refused, the budget is 0.09% or 1 scan (2: unreadable 2). "
        "Mend them (reasons in cohort.quarantine.jsonl) or raise --max-bad."
    ) in over.stderr
    assert not out.exists()
    assert len(Ledger.read(tmp_path / "cohort.quarantine.jsonl")) == 2

    within = run(source, out, "--max-bad", "0.0011")
    assert within.returncode == 0, within.stderr
    assert "1998 scans of 1998 patients" in within.stdout
    assert "refused: 2: unreadable 2" in within.stdout
    assert not (tmp_path / "cohort.quarantine.jsonl").exists()
    assert len(Ledger.read(out / "quarantine.jsonl")) == 2


@pytest.mark.parametrize(
    ("bad", "total", "max_bad", "is_refused"),
    [
        (9, 10_000, 0.001, False),  # 0.09%
        (10, 10_000, 0.001, False),
        (11, 10_000, 0.001, True),  # 0.11%
        (1, 20, 0.0, False),  # one scan is always forgiven
        (2, 20, 0.0, True),
        (29, 100, 0.29, False),  # 0.29 x 100 is 28.999... in floating point
        (30, 100, 0.29, True),
        (1, 1, 1.0, True),  # nothing is left
        (0, 0, 0.001, False),
    ],
)
def test_the_limit(bad: int, total: int, max_bad: float, is_refused: bool) -> None:
    if not is_refused:
        require_budget(bad, total, max_bad, "cohort")
        return
    with pytest.raises(DataError, match=r"scans (were refused|can be used)"):
        require_budget(bad, total, max_bad, "cohort")
