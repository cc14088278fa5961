"""`rnfm data prepare` as a user meets it: what is published, what a second run does, what wrong input says."""

from __future__ import annotations

import shutil
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
from rnfm.core.ledger import Ledger
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
        "likeness.parquet",
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
    other = PrepareConfig(cohort=Path("d"), out=Path("p"), keys=Path("k"), workers=9, max_bad=1, overwrite=True,
        engine="ray", ray_address="h:1", scan_seconds=3)  # fmt: skip
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


def spoil(cohort, save: Callable[..., Path]) -> None:
    """Scan 1 is torn, 2 has a mask of another size, 3 is gone, 5 is a copy of 0 under another name, 4's lesion is 9."""
    content = cohort.images[1].read_bytes()
    cohort.images[1].write_bytes(content[: len(content) // 2])
    save(cohort.masks[2], np.ones((5, 5, 5), np.uint8))
    cohort.images[3].unlink()
    shutil.copy(cohort.images[0], cohort.images[5])
    save(cohort.masks[4], np.pad(np.full((4, 4, 4), 9, np.uint8), ((20, 16), (20, 20), (20, 16))))


def test_bad_scans_are_named_by_code_and_left_out_whoever_reads_them(make_cohort: Callable, save) -> None:
    cohort = make_cohort(6)
    spoil(cohort, save)
    result = prepare(settings(cohort, max_bad=0.9))
    assert [(e.code, str(e.reason)) for e in Ledger.read(result.path / "quarantine.jsonl")] == [
        ("S-00000001", "corrupt"),
        ("S-00000002", "mask_geometry"),
        ("S-00000003", "missing_file"),
        ("S-00000005", "duplicate"),
    ]
    archive = VolumeArchive.open(result.path)
    assert archive.scans["scan"].tolist() == ["S-00000000", "S-00000004"]
    assert archive.cohort["scan"].tolist() == ["S-00000000", "S-00000004"]
    found = {(e.code, str(e.reason)): e.detail for e in archive.findings}
    assert found["S-00000004", "lesion_missing"] == "lesion P-00000004-L1: no mask value 1"
    assert "- corrupt: 1" in (result.path / "summary.md").read_text()
    assert "refused: 1 corrupt, 1 duplicate, 1 mask_geometry, 1 missing_file" in result.summary()
    everything = b"".join(path.read_bytes() for path in result.path.rglob("*") if path.is_file())
    assert b"Mustermann" not in everything
    assert str(cohort.images[0].parent).encode() not in everything
    two = prepare(settings(cohort, max_bad=0.9, workers=2).model_copy(update={"out": cohort.path.parent / "two"}))
    assert VolumeArchive.open(two.path).digest == archive.digest


def test_scans_of_several_sizes_get_rows_of_their_own(make_cohort: Callable, save, head_arrays) -> None:
    cohort = make_cohort(3)
    save(cohort.images[1], np.repeat(head_arrays()[0], 2, axis=0))
    scans = pd.read_parquet(prepare(settings(cohort)).path / "scans.parquet")
    assert scans["row"].tolist() == [0, 0, 1]
    assert scans["geometry"].nunique() == 2
    assert (cohort.path.parent / "volumes" / "volumes.zarr" / scans["geometry"][1]).is_dir()


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
    lines += [
        f"r,scan,{code},{code},{image},{mask}" for code, (image, mask) in zip(cohort.codes, real_scans, strict=True)
    ]
    cohort.keys.write_text("\n".join(lines))
    result = prepare(PrepareConfig(cohort=cohort.path, out=cohort.path.parent / "real", spacing_mm=(4, 4, 4)))
    assert (result.scans, result.refused) == (16, {})
    assert result.findings["spacing_implausible"] == 16
