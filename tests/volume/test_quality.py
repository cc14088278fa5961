"""`rnfm data qc`: the page names every scan, finding and refusal, and a second run does nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rnfm.core.artifact import Artifact
from rnfm.core.errors import ConfigError
from rnfm.volume import PrepareConfig, QcConfig, prepare, qc


@pytest.fixture
def config(make_cohort: Callable, tmp_path: Path) -> QcConfig:
    cohort = make_cohort(4)
    cohort.images[3].write_bytes(b"")
    prepare(PrepareConfig(cohort=cohort.path, out=tmp_path / "volumes", spacing_mm=(4, 4, 4)))
    return QcConfig(volumes=tmp_path / "volumes", out=tmp_path / "qc")


def test_the_page(config: QcConfig) -> None:
    result = qc(config)
    assert (result.scans, result.refused, result.fresh) == (3, 1, True)
    page = result.page.read_text()
    for code in ("S-00000000", "S-00000001", "S-00000002"):
        assert f'id="{code}" href="#row-{code}"' in page
    assert "<b>corrupt</b>: it ends within its header" in page
    assert page.count('src="data:image/jpeg;base64,') == 3
    assert "B, no mask" not in page
    assert "A, no mask" in page
    assert ">LPS</td>" in page
    assert ">40 × 44 × 40</td>" in page
    assert ">3 × 3 × 3</td>" in page
    assert "http" not in page.replace("http-equiv", "")
    assert "Mustermann" not in page
    Artifact.open(result.path, "qc", 1).require_intact(deep=True)
    said = result.summary()
    assert said.startswith(f"page: {result.page}, 0.")
    assert " MB\n3 scans, 0 with findings, 1 refused\nnext: " in said


def test_workers_change_no_byte_and_the_budget_does(config: QcConfig, tmp_path: Path) -> None:
    alone = qc(config).page.read_bytes()
    assert qc(config.model_copy(update={"out": tmp_path / "two", "workers": 2})).page.read_bytes() == alone
    assert not qc(config.model_copy(update={"workers": 2})).fresh
    small = qc(config.model_copy(update={"out": tmp_path / "small", "picture_mb": 0.1}))
    assert small.page.stat().st_size < len(alone)


def test_an_occupied_place_is_refused_before_the_work(config: QcConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    config.out.mkdir()
    (config.out / "notes.txt").write_text("mine")
    monkeypatch.setattr("rnfm.volume.look.look", lambda *_: pytest.fail("a scan was drawn"))
    with pytest.raises(ConfigError, match="exists already"):
        qc(config)
    assert [entry.name for entry in config.out.iterdir()] == ["notes.txt"]


def test_a_second_run_and_another_archive(config: QcConfig, make_cohort: Callable, tmp_path: Path) -> None:
    assert qc(config).fresh
    assert not qc(config).fresh
    other = make_cohort(2, name="other")
    prepare(PrepareConfig(cohort=other.path, out=tmp_path / "others", spacing_mm=(4, 4, 4)))
    moved = config.model_copy(update={"volumes": tmp_path / "others"})
    with pytest.raises(ConfigError, match="exists already"):
        qc(moved)
    assert qc(moved.model_copy(update={"overwrite": True})).scans == 2


def test_no_archive(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no volumes folder here"):
        qc(QcConfig(volumes=tmp_path / "absent", out=tmp_path / "qc"))
