"""One scan: finished under its own name, with its record or its refusal, and nothing of its source in what is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rnfm.core.artifact import Artifact
from rnfm.core.contract import InputContract, IntensityRule
from rnfm.volume import production
from rnfm.volume.production import Job, work
from rnfm.volume.sources import Scan


@pytest.fixture
def job(make_cohort: Callable, tmp_path: Path) -> Job:
    cohort = make_cohort(1)
    scan = Scan("S-00000000", "P-00000000", "A", cohort.images[0], cohort.masks[0], True, (("P-00000000-L1", (1,)),))
    return Job(scan, None, InputContract(spacing_mm=(3, 3, 3)), 4.0, tmp_path / "done", {"config_hash": "h"})


def test_a_finished_scan_is_an_artefact(job: Job) -> None:
    work(job)
    finished = Artifact.open(job.folder, production.KIND)
    finished.require_intact(deep=True)
    assert set(finished.files) == {"image", "mask", "likeness.npz", "config.json", "lineage.json"}
    assert finished.lineage["config_hash"] == "h"
    record = production.read_record(finished)
    assert record.refusal is None
    assert record.findings == ()
    assert list(record.row) == [
        "affine", "source_affine", "source_shape_vox", "intensity_low", "intensity_high", "intensity_mean", "intensity_sd",
        "foreground_voxels", "has_mask", "voxels_sha256",
    ]  # fmt: skip
    assert record.staged is not None
    assert all(n % 16 == 0 for n in record.staged.shape)
    everything = b"".join(path.read_bytes() for path in job.folder.iterdir())
    assert b"Mustermann" not in everything
    assert str(job.scan.image.parent).encode() not in everything


def test_a_refused_scan_is_finished_too(job: Job) -> None:
    job.scan.image.write_bytes(job.scan.image.read_bytes()[:-1000])
    work(job)
    finished = Artifact.open(job.folder)
    assert set(finished.files) == {"config.json", "lineage.json"}
    record = production.read_record(finished)
    assert record.staged is None
    assert record.refusal is not None
    assert (str(record.refusal.reason), record.refusal.detail) == (
        "corrupt",
        "its compressed data are damaged or cut short",
    )


def test_values_that_float16_cannot_hold(job: Job, save, head_arrays) -> None:
    save(job.scan.image, head_arrays()[0].astype(np.float32) * 200)
    raw = IntensityRule(rule="none")
    work(replace(job, contract=InputContract(spacing_mm=(3, 3, 3), intensity=raw)))
    refusal = production.read_record(Artifact.open(job.folder)).refusal
    assert refusal is not None
    assert refusal.reason == "bad_dtype"
    assert "values beyond 65504" in refusal.detail


def test_a_lesion_whose_value_is_not_in_the_mask(job: Job) -> None:
    lesions = (("P-00000000-L1", (1,)), ("P-00000000-L2", (4, 5)), ("", ()))
    work(replace(job, scan=replace(job.scan, lesions=lesions)))
    found = production.read_record(Artifact.open(job.folder)).findings
    assert [(str(f.reason), f.detail) for f in found] == [
        ("lesion_missing", "lesion P-00000000-L2: no mask value 4, 5")
    ]


def test_a_recipe_gives_the_same_bytes_as_its_files(job: Job, recipes, tmp_path: Path) -> None:
    work(job)
    recipe = recipes.Copy(job.scan.image, job.scan.mask)
    nowhere = replace(job.scan, image=Path("/nowhere"), mask=None)
    work(replace(job, scan=nowhere, recipe=recipe, folder=tmp_path / "cooked"))
    assert Artifact.open(tmp_path / "cooked").digest == Artifact.open(job.folder).digest
    assert sorted(path.name for path in (tmp_path / "cooked").iterdir()) == sorted(
        [*Artifact.open(job.folder).files, "digests.json"]
    )


def test_a_recipe_that_writes_no_mask(job: Job, recipes) -> None:
    work(replace(job, recipe=recipes.Copy(job.scan.image)))
    refusal = production.read_record(Artifact.open(job.folder)).refusal
    assert refusal is not None
    assert (str(refusal.reason), refusal.detail) == ("missing_file", "its mask: no file is named for it")


def test_our_own_error_goes_up_and_names_no_source(job: Job, recipes) -> None:
    with pytest.raises(ZeroDivisionError):
        work(replace(job, recipe=recipes.Raises(job.scan.image)))
    with pytest.raises(PermissionError) as caught:
        work(replace(job, recipe=recipes.Raises(job.scan.image, error="denied")))
    assert str(caught.value) == "[Errno 13] Permission denied: 'S-00000000'"
    assert not job.folder.exists()
    assert not list(job.folder.parent.glob(".tmp-done-*"))
