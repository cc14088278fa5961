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
        assert f"<h3><code>{code}</code></h3>" in page
    assert "<td>corrupt</td><td>it ends within its header</td>" in page
    assert page.count('src="data:image/jpeg;base64,') == 3
    assert "no mask" in page
    assert "ml in 1 part<" in page
    assert "LPS, 40 x 44 x 40 voxels of 3 x 3 x 3 mm" in page
    assert "http" not in page.replace("http-equiv", "")
    assert "Mustermann" not in page
    Artifact.open(result.path, "qc", 1).require_intact(deep=True)
    assert f"page: {result.page}\n3 scans, 0 with findings, 1 refused\nnext: " in result.summary()


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
