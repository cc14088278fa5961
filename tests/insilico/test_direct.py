"""`--direct` is the road through files without the files: the same cohort rows, the same voxels in the archive."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rnfm import cohort, volume
from rnfm.cohort.keys import KeyTable
from rnfm.insilico import InsilicoConfig, direct, make, plan, write
from rnfm.volume import VolumeArchive

SIZES: dict[str, Any] = {
    "pool_subvolumes": 10,
    "site_a": 3,
    "site_b": 0,
    "seed": 5,
    "voxel_mm": 3.0,
    "visits": 2,
    "workers": 1,
}
SITES = ("site_a", "pool")  # site B differs from the pool in its tables only


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The direct archives, and those that index and prepare make of the files."""
    root = tmp_path_factory.mktemp("direct")
    make(InsilicoConfig(out=root / "direct", direct=True, spacing_mm=3.0, **SIZES))
    make(InsilicoConfig(out=root / "files", **SIZES))
    for site in SITES:
        pool = site == "pool"
        index = cohort.IndexConfig(
            source=root / "files" / site / ("images" if pool else ""), masks=root / "files/pool/masks" if pool else None,
            out=root / "via/cohorts" / site, keys=root / "via/keys.csv", namespace=site, site=site,
        )  # fmt: skip
        cohort.index(index)
        volume.prepare(
            volume.PrepareConfig(
                cohort=index.out, keys=root / "via/keys.csv", out=root / "via/volumes" / site, spacing_mm=(3.0,) * 3
            )
        )
    return root / "direct", root / "via"


def originals(root: Path) -> dict[str, str]:
    """Code -> original id: codes are random, ids are what the two share."""
    return {code: key.original for code, key in KeyTable.open(root / "keys.csv").scans().items()}


@pytest.mark.parametrize("site", SITES)
def test_the_archive_holds_the_same_voxels(both: tuple[Path, Path], site: str) -> None:
    archives = [(VolumeArchive.open(root / "volumes" / site), originals(root)) for root in both]
    scans = [{names[code]: code for code in archive.scans["scan"]} for archive, names in archives]
    assert scans[0].keys() == scans[1].keys()
    assert scans[0]
    for name in scans[0]:
        (one, _), (two, _) = archives
        assert np.array_equal(one.image(scans[0][name]), two.image(scans[1][name]))
        assert np.array_equal(one.mask(scans[0][name]), two.mask(scans[1][name]))
        assert one.image(scans[0][name]).std() > 0.3
        assert np.array_equal(one.affine(scans[0][name]), two.affine(scans[1][name]))


@pytest.mark.parametrize("site", SITES)
def test_the_cohort_has_the_same_rows(both: tuple[Path, Path], site: str) -> None:
    tables = []
    for root in both:
        table = pd.read_parquet(root / "cohorts" / site / "cohort.parquet")
        table["scan"] = table["scan"].map(originals(root))
        table["lesion"] = table["lesion"].astype("string").str.rsplit("-", n=1).str[-1]
        tables.append(table.drop(columns="patient").sort_values(["scan", "lesion"]).reset_index(drop=True))
    pd.testing.assert_frame_equal(*tables)


def test_nothing_but_archives_is_left_and_a_second_run_does_nothing(
    both: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = both[0]
    assert not list(root.rglob("*.nii*"))
    assert [path.name for path in root.parent.glob("direct.work-*")] == []
    assert (root / "truth" / "truth.parquet").is_file()
    monkeypatch.setattr(write, "work", lambda job, root: pytest.fail("simulated again"))
    again = make(InsilicoConfig(out=root, direct=True, spacing_mm=3.0, **SIZES))
    assert not again.fresh
    assert again.summary().endswith(f"next: rnfm data qc {root / 'volumes' / 'site_a'}")


def test_a_recipe_travels_to_other_processes(tmp_path: Path) -> None:
    (job,) = write.jobs({"pool": plan.pool(0, 1)}, seed=0, voxel_mm=3.0)
    recipe = pickle.loads(pickle.dumps(direct.ScanRecipe(job)))
    image, mask = recipe(tmp_path)
    assert image.is_file()
    assert mask is not None
    assert mask.is_file()
    assert image.is_relative_to(tmp_path)
