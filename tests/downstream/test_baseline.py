"""`rnfm baseline` end to end: the registry, one format for all, and what each baseline can and cannot see."""

from __future__ import annotations

import pytest

from rnfm.core import Artifact, ConfigError
from rnfm.downstream import BaselineConfig, baseline, predictions
from rnfm.downstream.baselines import NAMES


def config(cohort, name, out, **changes) -> BaselineConfig:
    return BaselineConfig(name=name, volumes=cohort.volumes, split=cohort.split, out=out, **changes)


@pytest.fixture(scope="module")
def results(cohort, tmp_path_factory):
    """Every baseline, run once."""
    root = tmp_path_factory.mktemp("baselines")
    return {name: baseline(config(cohort, name, root / name)) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_every_baseline_predicts_the_same_lesions_in_the_same_format(cohort, results, name):
    path = results[name].path
    for _, group in predictions.read(path).groupby("method"):
        assert group["split"].value_counts().to_dict() == {"cv": 24, "external": 8, "holdout": 6}
    assert set(Artifact.open(path).lineage["inputs"]) == {"volumes_0", "volumes_1", "split"}
    assert not baseline(config(cohort, name, path)).fresh


def test_the_image_tells_and_volume_and_clinical_columns_do_not(results):
    auc = {method: by_split for result in results.values() for method, by_split in result.auc.items()}
    assert auc["radiomics_l2"]["cv"] > 0.95
    assert auc["radiomics_mrmr_svm"]["cv"] > 0.95
    assert auc["mean_intensity"]["cv"] > 0.95  # a dark core lowers the mean
    assert auc["volume_only"]["cv"] < 0.75
    assert auc["clinical_only"]["cv"] < 0.75


def test_two_runs_are_equal_bit_for_bit_with_and_without_the_cache(cohort, results, tmp_path):
    first = Artifact.open(results["radiomics"].path).digest
    assert Artifact.open(baseline(config(cohort, "radiomics", tmp_path / "new")).path).digest == first
    cached = baseline(config(cohort, "radiomics", tmp_path / "again"))
    assert Artifact.open(cached.path).digest == first


def test_dashes_and_underscores_are_one_and_an_unknown_name_gets_the_nearest(cohort, tmp_path):
    assert baseline(config(cohort, "volume-only", tmp_path / "v")).fresh
    with pytest.raises(ConfigError) as caught:
        baseline(config(cohort, "radiomix", tmp_path / "x"))
    assert str(caught.value) == (
        "baseline 'radiomix': is not known (did you mean 'radiomics'?). "
        "Use one of volume_only, mean_intensity, clinical_only, radiomics."
    )


def test_only_the_protocols_asked_for_are_run(cohort, tmp_path):
    result = baseline(config(cohort, "volume_only", tmp_path / "v", protocols=["cv"]))
    assert set(predictions.read(result.path)["split"]) == {"cv"}
