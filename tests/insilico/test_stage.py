"""`rnfm insilico make`: three data sets, the same bytes from any number of workers, nothing done twice, wrong input named."""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import pytest

from rnfm.core import artifact
from rnfm.core import config as configs
from rnfm.core.errors import ConfigError, RnfmError
from rnfm.insilico import InsilicoConfig, MakeResult, make, stage, write
from rnfm.insilico.traits import VISIBLE

SMALL: dict[str, Any] = {"pool_subvolumes": 20, "site_a": 5, "site_b": 3, "seed": 11, "voxel_mm": 3.0, "visits": 2}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> MakeResult:
    return make(InsilicoConfig(out=tmp_path_factory.mktemp("made") / "cohort", workers=1, **SMALL))


def pairs(root: Path) -> list[tuple[Path, Path]]:
    found = [(path, Path(str(path).replace("_img.nii", "_msk.nii"))) for path in root.rglob("*_img.nii")]
    found += [(path, root / "pool" / "masks" / path.name) for path in (root / "pool" / "images").iterdir()]
    for path in (root / "site_b").glob("sub-*/ses-*/anat/*_T1w.nii.gz"):
        inner = path.relative_to(root / "site_b").parent
        name = path.name.replace("_T1w", "_label-lesion_mask")
        found.append((path, root / "site_b" / "derivatives" / "lesions" / inner / name))
    return found


def test_every_scan_has_a_mask_of_its_geometry(made: MakeResult) -> None:
    found = pairs(made.path)
    assert len(found) == made.scans
    for image_path, mask_path in found:
        image, mask = nibabel.nifti1.load(image_path), nibabel.nifti1.load(mask_path)
        assert image.shape == mask.shape
        assert np.array_equal(image.affine, mask.affine)
        values = set(np.unique(np.asarray(mask.dataobj)).tolist())
        assert values <= ({0, 11, 12, 21, 22} if "site_a" in str(image_path) else {0, 1})
        assert len(values) > 1


def test_layout_names(made: MakeResult) -> None:
    assert {entry.name for entry in made.path.iterdir()} == {
        *("site_a", "site_b", "pool", "truth.parquet", "config.json", "lineage.json", "digests.json")
    }
    assert sorted(path.name for path in (made.path / "pool" / "images").iterdir()) == [
        f"pool-{number:05d}.nii.gz" for number in range(1, 5)
    ]
    sheets = {path.name for path in (made.path / "site_a").glob("*.xlsx")}
    assert sheets == {"OpenBTAI_METS_ClinicalData_Nov2023.xlsx", "OpenBTAI_MORPHOLOGICAL_MEASUREMENTS.xlsx"}
    for path in (made.path / "site_a").rglob("*.nii"):
        assert re.fullmatch(r"0[14]\d{4}_19\d{6}_T1CE_(img|msk)\.nii", path.name)
        assert path.parent.parts[-3:] == (path.name[:6], path.name[:6], "NIFTI")


def test_truth_has_one_row_a_lesion_scan(made: MakeResult) -> None:
    truth = pd.read_parquet(made.path / "truth.parquet")
    assert set(truth["site"]) == {"site_a", "site_b", "pool"}
    assert all((made.path / scan).is_file() for scan in truth["scan"])
    assert not truth.duplicated(["site", "scan", "lesion"]).any()
    classified = truth[(truth["site"] == "site_a") & ~truth["before_srs"]]
    assert classified["label"].sum() == 2  # 40% of 5
    assert {"trait", "volume_cc", "mask_cc", "contrast_mm", *(f"z_{name}" for name in VISIBLE)} <= set(truth)
    assert (truth["mask_cc"] > 0).all()


def test_the_same_bytes_from_two_workers(made: MakeResult, tmp_path: Path) -> None:
    other = make(InsilicoConfig(out=tmp_path / "cohort", workers=2, **SMALL))
    one, two = artifact.Artifact.open(made.path, "insilico"), artifact.Artifact.open(other.path, "insilico")
    assert one.files == two.files
    assert two.verify(deep=True) == []


def test_the_morphology_sheet_follows_each_lesion_through_time(made: MakeResult) -> None:
    sheet = pd.read_excel(made.path / "site_a/OpenBTAI_MORPHOLOGICAL_MEASUREMENTS.xlsx")
    truth = pd.read_parquet(made.path / "truth.parquet").query("site == 'site_a' and mask_cc > 0")
    day = pd.to_datetime(sheet["TIME POINT"].astype(str)) - pd.Timestamp("1900-01-01")
    found = dict(
        zip(zip(sheet["PATIENT"], sheet["LESION"], day.dt.days, strict=True), sheet["TOTALVOLUME"], strict=True)
    )
    meant = zip(truth["patient"].astype(float), truth["lesion"], truth["day"], strict=True)
    assert found == pytest.approx(dict(zip(meant, truth["mask_cc"], strict=True)), abs=1e-4)
    assert truth.groupby(["patient", "lesion"]).size().max() == 2


def test_another_seed_gives_other_scans(made: MakeResult, tmp_path: Path) -> None:
    few = {**SMALL, "pool_subvolumes": 3, "site_a": 0, "site_b": 0, "seed": 12}
    other = make(InsilicoConfig(out=tmp_path / "cohort", workers=1, **few))
    name = "pool/images/pool-00001.nii.gz"
    assert (made.path / name).read_bytes() != (other.path / name).read_bytes()
    assert sorted(entry.name for entry in other.path.iterdir() if entry.is_dir()) == ["pool"]
    assert other.summary().endswith(f"next: rnfm data index {other.path / 'pool'}")


def test_the_second_run_does_nothing(made: MakeResult, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "work", lambda job, root: pytest.fail("simulated again"))
    again = make(InsilicoConfig(out=made.path, workers=7, **SMALL))
    assert (made.fresh, again.fresh) == (True, False)
    assert "up to date" in again.summary()
    assert again.sites == made.sites
    assert "site_a: " in made.summary()


def test_other_settings_are_refused_without_overwrite(made: MakeResult) -> None:
    before = (made.path / "digests.json").read_bytes()
    with pytest.raises(ConfigError, match="exists already, made with other settings or inputs"):
        make(InsilicoConfig(out=made.path, workers=1, **{**SMALL, "seed": 12}))
    assert (made.path / "digests.json").read_bytes() == before


def test_a_dead_worker_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Dying:
        def __init__(self, *args: Any, **kwargs: Any) -> None: ...
        def __enter__(self) -> Dying:
            return self

        def __exit__(self, *args: object) -> None: ...
        def map(self, *args: Any, **kwargs: Any) -> Any:
            raise BrokenProcessPool

    monkeypatch.setattr("concurrent.futures.ProcessPoolExecutor", Dying)
    sentence = (
        "insilico make: a worker process died, most likely for lack of memory. "
        "Run it again with fewer --workers; finished scans are kept."
    )
    with pytest.raises(RnfmError, match=re.escape(sentence)):
        make(InsilicoConfig(out=tmp_path / "cohort", workers=2, **SMALL))
    (work,) = tmp_path.iterdir()
    assert re.fullmatch(r"cohort\.work-[0-9a-f]{12}", work.name)


@pytest.mark.parametrize(
    ("words", "phrase"),
    [
        (["x", "voxel_mm=0.2"], "voxel_mm: input should be greater than or equal to 1, got 0.2"),
        (["x", "seed=-1"], "seed: input should be greater than or equal to 0, got -1"),
        (
            ["x", "pool_subvolume=3"],
            "'pool_subvolume=3' is neither a key nor expected here (did you mean 'pool_subvolumes'?)",
        ),
        (["x", "pool_subvolumes=0", "site_a=0", "site_b=0"], "are all 0: nothing to simulate"),
        (["x", "stripped=[site_c]"], "stripped.0: input should be 'site_a', 'site_b' or 'pool', got 'site_c'"),
        (["x", "visits=6"], "visits: input should be less than or equal to 5, got 6"),
        ([], "'out' is missing"),
    ],
)
def test_wrong_configurations_are_named(words: list[str], phrase: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(phrase)):
        configs.load(InsilicoConfig, None, words)


def test_the_papers_sizes_are_one_command() -> None:
    words = ["x", "--pool-subvolumes", "10167", "--site-a", "109", "--site-b", "28", "--seed", "0"]
    config = configs.load(InsilicoConfig, None, words)
    assert (config.pool_scans, config.subvolumes_per_scan) == (2034, 5)  # 10,167 / 5, rounded up
    plans = stage._plans(config)
    assert sum(len(person.lesions) for person in plans["site_a"]) == 109
    assert [len(plans[site]) for site in ("site_b", "pool")] == [28, 2034]


def test_only_what_changes_a_byte_is_hashed() -> None:
    base = {"out": "x"} | SMALL
    same = [{}, {"out": "y"}, {"workers": 9}, {"overwrite": True}, {"spacing_mm": 3.0}]
    other = [
        {"seed": 1},
        {"visits": 3},
        {"pool_scanners": 2},
        {"stripped": ["pool"]},
        {"direct": True},
        {"voxel_mm": 2.0},
    ]
    hashes = [InsilicoConfig.model_validate(base | change).result_hash() for change in same + other]
    assert len(set(hashes[: len(same)])) == 1
    assert len(set(hashes)) == 1 + len(other)


def test_every_key_is_described() -> None:
    assert all(info.description for _, info in configs.fields(InsilicoConfig))


def test_the_configuration_is_light() -> None:
    code = (
        "import sys; from rnfm.insilico import InsilicoConfig, make; "
        "print([m for m in ('numpy', 'scipy', 'pandas', 'nibabel', 'openpyxl', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
