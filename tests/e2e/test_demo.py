"""The whole road as a user walks it: every stage in one command, killed in the middle, run again, run on other input."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from rnfm.core.artifact import Artifact
from rnfm.tracking import CLASSIFIER, FOUNDATION, client

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def rnfm(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    return subprocess.run(
        [sys.executable, "-m", "rnfm", *words], cwd=cwd, env=environment, capture_output=True, text=True, timeout=600
    )


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A demo that was killed while pre-training and then run to its end: (folder, what it said)."""
    home = tmp_path_factory.mktemp("walk")
    first = subprocess.Popen(
        [sys.executable, "-m", "rnfm", "demo", "--quick"],
        cwd=home,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 300
    while not (home / "demo/run.log").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert (home / "demo/run.log").exists(), "the kill never met pre-training"
    assert not (home / "demo/run/foundation").exists()
    second = rnfm("demo", "--quick", cwd=home)
    assert second.returncode == 0, second.stderr[-3000:]
    assert "up to date" in second.stdout  # what stood before the kill was not made again
    return home / "demo", second.stdout


def test_every_artefact_stands_and_verifies(walked: tuple[Path, str]) -> None:
    out, _ = walked
    kinds = {
        "scans": "insilico", "cohorts/pool": "cohort", "cohorts/site_a": "cohort", "cohorts/site_b": "cohort", "split": "split",
        "volumes/pool": "volumes", "volumes/site_a": "volumes", "volumes/site_b": "volumes", "shards": "shards", "run/foundation": "foundation",
        "embeddings": "embeddings", "ssl_vit/predictions": "predictions", "ssl_vit/classifier": "classifier", "ssl_vit/attention": "attention",
        "supervised_vit/predictions": "predictions", "radiomics": "predictions", "volume_only": "predictions", "clinical_only": "predictions",
        "fused": "predictions", "sweep": "sweep", "evaluation": "evaluation", "report": "report",
    }  # fmt: skip
    for place, kind in kinds.items():
        assert Artifact.open(out / place, kind).verify(deep=True) == [], place


def test_no_temporary_files_stay_and_no_pickle_was_written(walked: tuple[Path, str]) -> None:
    out, _ = walked
    left = [path for path in out.rglob("*") if path.name.startswith(".tmp-")]
    assert left == []
    assert [path for path in out.rglob("*") if path.suffix in (".pkl", ".pt", ".pth", ".pickle")] == []


def test_one_prediction_format_for_every_method(walked: tuple[Path, str]) -> None:
    out, said = walked
    columns = ["patient", "lesion", "site", "split", "fold", "seed", "method", "probability", "label"]
    for place in (
        "ssl_vit/predictions",
        "supervised_vit/predictions",
        "radiomics",
        "volume_only",
        "clinical_only",
        "fused",
    ):
        table = pd.read_parquet(out / place / "predictions.parquet")
        assert list(table.columns) == columns
        assert set(table["split"]) == {"holdout", "external", "cv"}
        assert table["probability"].between(0, 1).all()
    assert all(
        method in said for method in ("ssl_vit", "supervised_vit", "radiomics_l2", "multimodal", "paired DeLong")
    )


def test_no_test_patient_was_seen_by_the_foundation(walked: tuple[Path, str]) -> None:
    out, _ = walked
    seen = set(Artifact.open(out / "run/foundation").lineage["patients"])
    tested = set(pd.read_parquet(out / "ssl_vit/predictions/predictions.parquet")["patient"])
    assert seen
    assert tested
    assert not seen & tested


def test_the_map_lies_on_the_scans_own_grid(walked: tuple[Path, str]) -> None:
    out, _ = walked
    scan = nib.load(sorted((out / "scans/site_b").glob("sub-*/ses-*/anat/*_T1w.nii.gz"))[0])
    found = nib.load(out / "prediction/attention.nii.gz")
    assert found.shape == scan.shape
    np.testing.assert_allclose(found.affine, scan.affine, atol=1e-4)
    assert float(np.asarray(found.dataobj).max()) > 0
    assert 0 <= json.loads((out / "prediction/prediction.json").read_text())["probability"] <= 1


def test_mlflow_links_foundation_classifier_sweep_and_aucs(walked: tuple[Path, str]) -> None:
    out, _ = walked
    store = client(f"sqlite:///{out / 'mlflow.db'}")
    runs = {
        e.name: store.search_runs([e.experiment_id]) for e in store.search_experiments() if e.name.startswith("rnfm/")
    }
    assert {"rnfm/pretrain", "rnfm/finetune", "rnfm/sweep", "rnfm/evaluate"} <= set(runs)
    parents = [run for run in runs["rnfm/sweep"] if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in runs["rnfm/sweep"] if "mlflow.parentRunId" in run.data.tags]
    assert len(parents) == 1
    assert len(children) >= 4
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parents[0].info.run_id}
    foundation = Artifact.open(out / "run/foundation").digest
    classifiers = store.search_model_versions(f"name='{CLASSIFIER}'")
    assert any(version.tags.get("foundation_digest") == foundation for version in classifiers)
    champion = store.get_model_version_by_alias(CLASSIFIER, "champion")
    assert any(key.startswith("auc/") for key in champion.tags)
    assert store.search_model_versions(f"name='{FOUNDATION}'")[0].tags["digest"] == foundation
    curve = store.get_metric_history(runs["rnfm/pretrain"][0].info.run_id, "train/loss")
    assert len(curve) >= 2


def test_no_identity_left_the_key_table(walked: tuple[Path, str]) -> None:
    """Original ids and paths stand in keys.csv and in the scans themselves, nowhere else."""
    out, _ = walked
    originals = set(pd.read_csv(out / "keys.csv", dtype=str).query("kind == 'patient'")["original"])
    assert len(originals) > 10
    # Within a longer number the six digits of an id mean nothing: thousands of features hold some by chance.
    telling = {name: re.compile(rf"(?<![\d.]){re.escape(name)}(?!\d)") for name in originals if len(name) >= 5}
    outside = (
        path
        for path in out.rglob("*")
        if path.is_file() and path.relative_to(out).parts[0] not in ("scans", "keys.csv")
    )
    texts = [path for path in outside if path.suffix in (".json", ".jsonl", ".md", ".yaml", ".log", ".html", ".csv")]
    leaks = [
        (name, path) for path in texts for name, its in telling.items() if its.search(path.read_text(errors="replace"))
    ]
    assert leaks == []


def test_a_second_demo_takes_seconds(walked: tuple[Path, str]) -> None:
    out, _ = walked
    start = time.monotonic()
    again = rnfm("demo", "--quick", cwd=out.parent)
    assert again.returncode == 0
    assert time.monotonic() - start < 90  # against minutes; imports of eight packages are most of it
    assert again.stdout.count("up to date") >= 15


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["data", "index", "nowhere", "--out", "x"], 2, "nowhere"),
        (["data", "prepare", "demo/split", "--out", "x"], 2, "is of kind split, not cohort"),
        (["data", "shard", "demo/volumes/pool", "--out", "x", "--per_scn", "3"], 2, "did you mean 'per_scan'"),
        (["pretrain", "demo/shards", "--out", "x", "--global_batch", "many"], 2, "global_batch"),
        (
            ["embed", "demo/shards", "--volumes", "demo/volumes/site_a", "--out", "x"],
            2,
            "is of kind shards, not foundation",
        ),
        (["finetune", "demo/volumes/site_a", "--split", "demo/pool_split", "--out", "x"], 3, "split"),
        (
            ["baseline", "radiomic", "--volumes", "demo/volumes/site_a", "--split", "demo/split", "--out", "x"],
            2,
            "did you mean 'radiomics'",
        ),
    ],
)
def test_wrong_input_is_one_sentence_and_leaves_nothing(
    walked: tuple[Path, str], words: list[str], code: int, sentence: str
) -> None:
    home = walked[0].parent
    before = sorted(home.iterdir())
    result = rnfm(*words, cwd=home)
    assert result.returncode == code, result.stderr
    assert sentence in result.stderr
    assert result.stderr.strip().count("\n") == 0
    assert "Traceback" not in result.stderr
    assert sorted(home.iterdir()) == before


def test_an_archive_of_an_older_version_is_refused(walked: tuple[Path, str], tmp_path: Path) -> None:
    import shutil

    from rnfm.core import artifact

    old = Artifact.open(walked[0] / "shards")
    copy = artifact.begin(tmp_path / "old")
    shutil.copytree(old.path, copy, dirs_exist_ok=True)
    artifact.commit(copy, tmp_path / "old", "shards", 0, contract=old.contract, lineage=old.lineage)
    result = rnfm("pretrain", str(tmp_path / "old"), "--out", str(tmp_path / "run"), cwd=tmp_path)
    assert result.returncode == 2
    assert "shards format 0, this release reads 1" in result.stderr


def test_predict_refuses_with_its_reason(walked: tuple[Path, str], tmp_path: Path) -> None:
    out = walked[0]
    scan = sorted((out / "scans/site_b").glob("sub-*/ses-*/anat/*_T1w.nii.gz"))[0]
    image = nib.load(scan)
    nib.save(nib.Nifti1Image(np.zeros(image.shape, np.uint8), image.affine), tmp_path / "empty.nii.gz")
    nib.save(nib.Nifti1Image(np.ones((9, 9, 9), np.uint8), image.affine), tmp_path / "other.nii.gz")
    (tmp_path / "torn.nii.gz").write_bytes(scan.read_bytes()[:5000])
    good = tmp_path / "good.nii.gz"
    nib.save(
        nib.Nifti1Image(np.pad(np.ones((4, 4, 4), np.uint8), [(20, s - 24) for s in image.shape]), image.affine), good
    )
    classifier = str(out / "ssl_vit/classifier")
    for given, mask in [
        (scan, tmp_path / "empty.nii.gz"),
        (scan, tmp_path / "other.nii.gz"),
        (tmp_path / "torn.nii.gz", good),
    ]:
        result = rnfm(
            "predict",
            str(given),
            "--mask",
            str(mask),
            "--classifier",
            classifier,
            "--out",
            str(tmp_path / "p"),
            cwd=tmp_path,
        )
        assert result.returncode == 3, result.stderr
        assert result.stderr.strip().count("\n") == 0
        assert not (tmp_path / "p").exists()


@pytest.mark.realdata
@pytest.mark.skipif(not os.environ.get("RNFM_REAL_DATA"), reason="RNFM_REAL_DATA does not name the real scans")
def test_real_scans_come_through_with_their_findings(tmp_path: Path) -> None:
    data = Path(os.environ["RNFM_REAL_DATA"])
    result = rnfm("demo", "--quick", "--scans", str(data / "t1c"), "--masks", str(data / "masks"), cwd=tmp_path)
    assert result.returncode == 0, result.stderr[-3000:]
    assert "16 scans of 11 patients, 16 with a mask" in result.stdout
    assert "10 blank_slices, 2 no_contrast, 16 spacing_implausible" in result.stdout
    assert "held-out loss fell from" in result.stdout
    assert Artifact.open(tmp_path / "demo/run/foundation", "foundation").verify(deep=True) == []
