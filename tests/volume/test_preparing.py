"""`rnfm data prepare` as a user meets it: what is published, what a second run does, what wrong input says."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rnfm.core import config as configuration
from rnfm.core.artifact import Artifact
from rnfm.core.errors import ConfigError
from rnfm.volume import PrepareConfig, VolumeArchive, prepare


def settings(cohort, **more) -> PrepareConfig:
    return PrepareConfig(cohort=cohort.path, out=cohort.path.parent / "volumes", spacing_mm=(3, 3, 3), **more)


def test_the_artefact_as_the_contract_says(make_cohort: Callable) -> None:
    cohort = make_cohort(4)
    result = prepare(settings(cohort))
    assert result.fresh
    assert (result.scans, result.refused, result.findings) == (4, {}, {})
    assert result.summary().splitlines()[0] == f"volumes: 4 scans in {result.path}"
    assert result.summary().splitlines()[-1].startswith("next: rnfm data qc ")
    artifact = Artifact.open(result.path, "volumes", 1)
    artifact.require_intact(deep=True)
    assert set(artifact.contract) == {"input", "pad_vox"}
    assert artifact.lineage["inputs"] == {"cohort": Artifact.open(cohort.path).digest}
    scans = pd.read_parquet(result.path / "scans.parquet")
    assert list(scans.columns) == [
        "scan", "patient", "site", "geometry", "row", "affine", "source_affine", "source_shape_vox", "intensity_low",
        "intensity_high", "intensity_mean", "intensity_sd", "foreground_voxels", "has_mask", "voxels_sha256",
    ]  # fmt: skip
    assert scans["scan"].tolist() == cohort.codes
    assert scans["row"].tolist() == [0, 1, 2, 3]
    assert scans["has_mask"].tolist() == [True, False, True, False]
    assert [len(scans[c][0]) for c in ("affine", "source_affine", "source_shape_vox")] == [16, 16, 3]
    names = {path.name for path in result.path.iterdir()} - {"config.json", "lineage.json", "digests.json"}
    assert names == {
        "volumes.zarr",
        "scans.parquet",
        "cohort.parquet",
        "quarantine.jsonl",
        "findings.jsonl",
        "summary.md",
    }
    assert "4 scans of 4 patients, 2 with a mask; 0 refused." in (result.path / "summary.md").read_text()


def test_a_second_run_does_nothing_and_other_settings_are_refused(make_cohort: Callable) -> None:
    cohort = make_cohort(2)
    digest = VolumeArchive.open(prepare(settings(cohort)).path).digest
    again = prepare(settings(cohort, workers=2, max_bad=0.5))
    assert not again.fresh
    assert "(up to date)" in again.summary()
    with pytest.raises(ConfigError, match="exists already, made with other settings or inputs"):
        prepare(settings(cohort, margin_mm=9))
    assert prepare(settings(cohort, margin_mm=9, overwrite=True)).fresh
    assert prepare(settings(cohort, overwrite=True)).fresh  # back to the first settings, and to the same bytes
    assert VolumeArchive.open(again.path).digest == digest


@pytest.mark.parametrize(
    "change",
    [{"spacing_mm": (2, 3, 3)}, {"intensity": {"rule": "percentile"}}, {"intensity": {"clip": 3}}, {"margin_mm": 1}],
)
def test_what_changes_a_voxel_changes_the_hash(change: dict) -> None:
    base = {"cohort": Path("c"), "out": Path("o")}
    assert PrepareConfig(**base, **change).result_hash() != PrepareConfig(**base).result_hash()
    other = PrepareConfig(cohort=Path("d"), out=Path("p"), keys=Path("k"), workers=9, max_bad=1, overwrite=True)
    assert other.result_hash() == PrepareConfig(**base).result_hash()


def test_wrong_input_is_one_sentence_and_leaves_nothing(make_cohort: Callable, tmp_path: Path) -> None:
    cohort = make_cohort(1)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigError, match="no cohort folder here"):
        prepare(PrepareConfig(cohort=tmp_path / "absent", out=tmp_path / "o"))
    with pytest.raises(
        ConfigError, match="no key table here, so the source scans cannot be found. Give it with --keys"
    ):
        prepare(settings(cohort, keys=tmp_path / "absent.csv"))
    assert sorted(tmp_path.rglob("*")) == before
    with pytest.raises(
        ConfigError, match=r"spacing_mm: each must lie between 0\.1 and 20 mm, got \[1, 0, 1\].*intensity\.rule"
    ):
        configuration.from_dict(
            PrepareConfig, {"cohort": "c", "out": "o", "spacing_mm": [1, 0, 1], "intensity": {"rule": "guess"}}
        )


def test_float16_holds_what_was_computed(make_cohort: Callable) -> None:
    from rnfm.volume import prepare_one

    cohort = make_cohort(1)
    archive = VolumeArchive.open(prepare(settings(cohort)).path)
    done = prepare_one(cohort.images[0], cohort.masks[0], archive.contract)
    np.testing.assert_allclose(archive.image(cohort.codes[0]), done.image, rtol=2**-11, atol=1e-4)
    np.testing.assert_array_equal(archive.mask(cohort.codes[0]), done.mask)
    np.testing.assert_array_equal(archive.affine(cohort.codes[0]), done.affine)


def test_the_configuration_is_light_to_import() -> None:
    code = (
        "import sys; from rnfm.volume import PrepareConfig, QcConfig, RestoreConfig; "
        "print([m for m in ('numpy', 'pandas', 'pyarrow', 'scipy', 'SimpleITK', 'zarr', 'nibabel') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


@pytest.mark.realdata
def test_all_real_scans_come_through(real_scans, make_cohort: Callable) -> None:
    cohort = make_cohort(16)
    lines = ["namespace,kind,original,code,image,mask"]
    lines += [f"r,scan,x,{code},{image},{mask}" for code, (image, mask) in zip(cohort.codes, real_scans, strict=True)]
    cohort.keys.write_text("\n".join(lines))
    result = prepare(PrepareConfig(cohort=cohort.path, out=cohort.path.parent / "real", spacing_mm=(4, 4, 4)))
    assert (result.scans, result.refused) == (16, {})
    assert result.findings["spacing_implausible"] == 16
