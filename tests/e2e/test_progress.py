"""Every long command of the data road says how far it is, in scans (or what it counts) a second, and how long it will take."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from rnfm import archive, cohort, volume
from rnfm.core import progress

AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Four scans of noise in a ball."""
    x, y, z = np.indices((40, 44, 40)) - np.array([20, 22, 20]).reshape(3, 1, 1, 1)
    for seed in range(4):
        noise = np.random.default_rng(seed).normal(400, 20, x.shape) * (x**2 + y**2 + z**2 < 15**2)
        (tmp_path / "scans").mkdir(exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(noise.astype(np.int16), AFFINE), tmp_path / "scans" / f"{seed}.nii.gz")
    return tmp_path / "scans"


def test_each_stage_counts(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the pause between two lines taken away, each stage writes a line an item, the last without a time left."""
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.0)
    shards = archive.ShardConfig(volumes=tmp_path / "volumes", out=tmp_path / "shards", crop=(16, 16, 16), per_scan=2)
    stages: dict[str, tuple[Callable[[], object], str, str]] = {
        "index": (
            lambda: cohort.index(cohort.IndexConfig(source=source, out=tmp_path / "cohort")), "headers", "4 scans",
        ),
        "prepare": (
            lambda: volume.prepare(
                volume.PrepareConfig(cohort=tmp_path / "cohort", out=tmp_path / "volumes", spacing_mm=(4, 4, 4))
            ),
            "prepare",
            "4 scans",
        ),
        "qc": (lambda: volume.qc(volume.QcConfig(volumes=tmp_path / "volumes", out=tmp_path / "qc")), "qc", "4 scans"),
        "shard": (lambda: archive.shard(shards), "shard", "8 sub-volumes"),
        "verify": (
            lambda: archive.verify(archive.VerifyConfig(path=tmp_path / "shards", deep=True)), "verify", r"\d+ files",
        ),
        "verify samples": (
            lambda: archive.verify(archive.VerifyConfig(path=tmp_path / "shards", deep=True)), "verify samples", "1 shards",
        ),
    }  # fmt: skip
    for stage, (run, label, counted) in stages.items():
        run()
        captured = capsys.readouterr()
        unit = counted.split(" ", 1)[1]
        last = rf"^{label}: {counted} in \d+ s, [\d.]+ {unit}/s$"
        assert re.search(last, captured.err, re.MULTILINE), f"{stage}: {captured.err}"
        if unit != "shards":  # one of one has no line before the last
            assert re.search(rf"^{label}: \d+/\d+, [\d.]+ {unit}/s, \d+ s left$", captured.err, re.MULTILINE), stage
        assert captured.out == ""


def test_a_quick_look_at_an_artefact_says_nothing(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.0)
    made = cohort.index(cohort.IndexConfig(source=source, out=tmp_path / "cohort"))
    capsys.readouterr()
    archive.verify(archive.VerifyConfig(path=made.path))
    assert capsys.readouterr().err == ""
