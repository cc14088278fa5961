"""`rnfm finetune` end to end on a hand-made cohort: what it leaves, that it learns, repeats itself and refuses in time."""

from __future__ import annotations

import contextlib
import json

import nibabel
import numpy as np
import pandas as pd
import pytest

from rnfm.core import Artifact, ConfigError, DataError, InputContract, config
from rnfm.downstream import FinetuneConfig, cross_validate, finetune, predictions

from .conftest import SOURCE_AFFINE, SOURCE_SHAPE, make_scans, write_split, write_volumes

OFF = {"enabled": False}
SMALL = {"crop": 16, "patch": 8, "epochs": 6, "lr": 3e-3, "threads": 1, "device": "cpu", "tracking": OFF}


def config_of(cohort, out, **changes) -> FinetuneConfig:
    return FinetuneConfig(**{"volumes": cohort.volumes, "split": cohort.split, "out": out} | SMALL | changes)


@pytest.fixture(scope="module")
def supervised(cohort, tmp_path_factory):
    """One run from scratch, both protocols."""
    settings = config_of(cohort, tmp_path_factory.mktemp("run") / "run")
    return settings, finetune(settings)


def test_it_learns_what_the_image_tells_at_both_centres(supervised):
    _, result = supervised
    assert result.method == "supervised_vit"
    assert result.auc["cv"] > 0.9
    assert result.auc["external"] > 0.9


def test_every_lesion_is_predicted_once_a_split_by_one_hold_out_model(supervised):
    _, result = supervised
    rows = predictions.read(result.predictions)
    assert rows["split"].value_counts().to_dict() == {"cv": 24, "external": 8, "holdout": 6}
    assert sorted(rows.loc[rows["split"] == "cv", "fold"].unique()) == [0, 1, 2]
    roles = pd.read_parquet(supervised[0].split / "split.parquet").set_index("patient")["role"]
    assert set(roles.loc[rows.loc[rows["split"] == "holdout", "patient"]]) == {"holdout"}


def test_lineage_links_predictions_to_classifier_and_names_who_taught_it(supervised):
    settings, result = supervised
    classifier, rows = Artifact.open(result.classifier, "classifier", 1), Artifact.open(result.predictions)
    assert rows.lineage["inputs"]["classifier"] == classifier.digest
    assert set(rows.lineage["inputs"]) == {"volumes_0", "volumes_1", "split", "classifier"}
    roles = pd.read_parquet(settings.split / "split.parquet").set_index("patient")["role"]
    assert set(roles.loc[classifier.lineage["patients"]]) == {"train"}
    assert classifier.contract["foundation"] is None
    assert 0 < classifier.contract["threshold"] < 1


def test_attention_maps_lie_in_the_grid_of_the_source_scan(supervised):
    _, result = supervised
    table = pd.read_parquet(result.attention / "attention.parquet")
    assert list(table.columns) == ["lesion", "scan", "site", "label", "probability", "file"]
    assert len(table) == 4
    probability = predictions.read(result.predictions).query("split != 'cv'").set_index("lesion")["probability"]
    with np.load(result.attention / "slices.npz", allow_pickle=False) as slices:
        for row in table.itertuples():
            assert row.probability == probability[row.lesion]
            image = nibabel.load(result.attention / row.file)
            assert image.shape == SOURCE_SHAPE
            np.testing.assert_allclose(image.affine, SOURCE_AFFINE, atol=1e-5)
            assert image.get_fdata().max() > 0
            mask, attended = slices[f"{row.lesion}_mask"], slices[f"{row.lesion}_map"]
            assert slices[f"{row.lesion}_image"].shape == mask.shape == attended.shape == (48, 32)
            assert attended[mask > 0].mean() > attended[mask == 0].mean()


def test_the_run_folder_holds_settings_environment_and_losses(supervised):
    settings, result = supervised
    assert config.load(FinetuneConfig, result.path / "config.resolved.yaml") == settings
    assert "torch" in json.loads((result.path / "env.json").read_text())["versions"]
    losses = [json.loads(line)["train/loss"] for line in (result.path / "metrics.jsonl").read_text().splitlines()]
    assert len(losses) == settings.epochs
    assert losses[-1] < losses[0]


def test_a_second_call_does_nothing_and_another_setting_needs_overwrite(supervised):
    settings, result = supervised
    again = finetune(settings)
    assert not again.fresh
    assert "up to date" in again.summary()
    assert again.auc == result.auc
    with pytest.raises(ConfigError, match="exists already, made with other settings or inputs"):
        finetune(settings.model_copy(update={"epochs": 1}))


def test_two_runs_are_equal_bit_for_bit(cohort, tmp_path):
    first, second = (finetune(config_of(cohort, tmp_path / name, epochs=1)) for name in "ab")
    assert Artifact.open(first.predictions).digest == Artifact.open(second.predictions).digest
    assert Artifact.open(first.classifier).digest == Artifact.open(second.classifier).digest


def test_a_run_cut_short_before_its_predictions_is_run_again(cohort, tmp_path):
    import shutil

    settings = config_of(cohort, tmp_path / "run", epochs=1)
    first = finetune(settings)
    digest = Artifact.open(first.predictions).digest
    shutil.rmtree(first.predictions)
    again = finetune(settings)
    assert again.fresh
    assert Artifact.open(again.predictions).digest == digest


def test_from_a_foundation_with_two_seeds_and_a_warning_about_patients_it_has_seen(cohort, foundation, tmp_path):
    settings = config_of(cohort, tmp_path / "run", foundation=foundation, epochs=1, seeds=[0, 1], protocols=["holdout"])
    result = finetune(settings)
    rows = predictions.read(result.predictions)
    assert set(rows["seed"]) == {0, 1}
    assert set(rows["method"]) == {"ssl_vit"}
    lineage = Artifact.open(result.predictions).lineage
    assert lineage["inputs"]["foundation"] == Artifact.open(foundation).digest
    assert lineage["pretraining_overlap"] == ["P-A0000003"]
    assert "the foundation saw scans of 1 test patients (first: P-A0000003)" in result.summary()


def test_cv_alone_leaves_no_classifier(cohort, tmp_path):
    result = finetune(config_of(cohort, tmp_path / "run", epochs=1, protocols=["cv"], seeds=3))
    assert result.classifier is None
    assert result.attention is None
    assert set(predictions.read(result.predictions)["seed"]) == {3}


def test_the_classifier_is_registered_with_its_links(cohort, foundation, tmp_path):
    from rnfm.tracking import client

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    changes = {"epochs": 1, "protocols": ["holdout"], "foundation": foundation, "tracking": {"uri": uri}}
    result = finetune(config_of(cohort, tmp_path / "run", **changes))
    [version] = client(uri).search_model_versions("name='rnfm-classifier'")
    assert version.tags["digest"] == Artifact.open(result.classifier).digest
    assert version.tags["foundation_digest"] == Artifact.open(foundation).digest
    assert version.tags["predictions"] == str(result.predictions)
    assert float(version.tags["auc/holdout"]) == pytest.approx(result.auc["holdout"], abs=1e-4)
    assert version.run_id == result.run_id


def test_a_store_that_is_away_does_not_cost_the_result(cohort, tmp_path, monkeypatch):
    from rnfm import tracking

    def away(*_, **__):
        raise ConnectionError("no store")

    monkeypatch.setattr(tracking, "register", away)
    monkeypatch.setattr(tracking, "start", lambda *_, **__: contextlib.nullcontext(tracking.Run(None, None)))
    changes = {"epochs": 1, "protocols": ["holdout"], "tracking": {"enabled": True}}
    result = finetune(config_of(cohort, tmp_path / "run", **changes))
    assert result.predictions.is_dir()
    assert "the classifier was not registered (ConnectionError: no store)" in result.summary()


def test_a_sweep_sees_training_patients_only(cohort, tmp_path):
    """The number does not move when every hold-out and external label is turned round; the cv number does."""
    scans = [{**s, "label": 1 - s["label"]} if i % 8 in (3, 5) else s for i, s in enumerate(cohort.scans["A"])]
    turned = [write_volumes(tmp_path / "A", scans)]
    settings = config_of(cohort, tmp_path / "out", volumes=cohort.volumes[:1], epochs=2)
    other = settings.model_copy(update={"volumes": turned})
    assert cross_validate(settings) == cross_validate(other)
    assert cross_validate(settings, train_only=False) != cross_validate(other, train_only=False)
    assert not (tmp_path / "out").exists()


def refusal(settings, monkeypatch) -> str:
    from rnfm.downstream import finetuning

    def forbidden(*_):
        raise AssertionError("training has started")

    monkeypatch.setattr(finetuning, "learn", forbidden)
    with pytest.raises((DataError, ConfigError)) as caught:
        finetune(settings)
    assert not settings.out.exists()
    return str(caught.value)


def test_what_cannot_work_is_refused_before_training(cohort, foundation, tmp_path, monkeypatch):
    out = tmp_path / "out"
    stranger = write_split(tmp_path / "split", [("P-A0000000", "A", "train")])
    assert "does not hold 31 of 32 patients" in refusal(config_of(cohort, out, split=stranger), monkeypatch)
    contract = InputContract(spacing_mm=(2, 2, 2))
    thick = write_volumes(tmp_path / "thick", make_scans("A", 8, seed=1), contract=contract)
    said = refusal(config_of(cohort, out, volumes=[thick], foundation=foundation), monkeypatch)
    assert "spacing_mm is (2.0, 2.0, 2.0), expected (1.0, 1.0, 1.0)" in said
    assert "no foundation folder here" in refusal(config_of(cohort, out, foundation=tmp_path / "no"), monkeypatch)
    train_of_one_class = [
        (s["patient"], s["site"], "holdout" if s["label"] else "train") for s in cohort.scans["A"] + cohort.scans["B"]
    ]
    one = write_split(tmp_path / "one", train_of_one_class)
    assert "holdout: its training part holds only label 0" in refusal(config_of(cohort, out, split=one), monkeypatch)


@pytest.mark.parametrize(
    ("words", "phrase"),
    [
        (["--crop", "20", "--patch", "8"], "crop 20 is no multiple of patch 8"),
        (["--freeze", "backbone"], "freeze=backbone needs a foundation"),
        (["--seeds", "1", "1"], "seeds [1, 1] are not all different"),
        (["--epoch", "3"], "'epoch' is not a key (did you mean 'epochs'?)"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(words, phrase):
    with pytest.raises(ConfigError) as caught:
        config.load(FinetuneConfig, None, ["v", "--split", "s", "--out", "o", *words])
    assert phrase in str(caught.value)
