"""Predictions found and cross-checked; each contradiction is a sentence that names the artefacts."""

import pytest

from rnfm.core.errors import ConfigError, DataError, IntegrityError
from rnfm.report.gather import find, gather

from .conftest import rows, write_predictions


def test_artefacts_and_folders_that_hold_one_each_counted_once(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    inner = write_predictions(run / "predictions", rows("ssl_vit"))
    other = write_predictions(tmp_path / "other", rows("volume_only"))
    found = find([run, inner, other])
    assert [artifact.path for artifact in found] == [inner, other]


def test_the_order_of_paths_does_not_change_the_lineage(study):
    paths = study["predictions"]
    assert gather(paths).inputs() == gather(paths[::-1]).inputs()
    assert set(gather(paths).inputs()) == {f"predictions_{n}" for n in range(4)}
    assert set(gather(paths[:1]).inputs()) == {"predictions"}


def test_seeds_and_repeats_are_averaged_a_lesion(study):
    gathered = gather(study["predictions"][:1])
    assert len(gathered.rows) == 3 * len(gathered.pooled)
    lesion = gathered.pooled.iloc[0]["lesion"]
    mean = gathered.rows.loc[gathered.rows["lesion"] == lesion, "probability"].mean()
    assert gathered.pooled.iloc[0]["probability"] == pytest.approx(mean)
    assert {split: len(codes) for split, codes in gathered.test_patients().items()} == {"external": 19, "holdout": 15}


def test_the_same_method_twice(tmp_path):
    paths = [write_predictions(tmp_path / name, rows("ssl_vit", noise=n)) for n, name in enumerate("ab")]
    with pytest.raises(DataError) as caught:
        gather(paths)
    assert str(caught.value) == (
        f"{paths[0]} and {paths[1]}: 'ssl_vit' predicts 50 lesions twice for the same split, fold and seed. "
        "Give one of them, or another --seed or --method name to one."
    )


@pytest.mark.parametrize(("column", "value"), [("label", 0), ("site", "C"), ("patient", "P-FFFFFFFF")])
def test_artefacts_that_disagree_about_a_lesion(tmp_path, column, value):
    other = rows("volume_only")
    other.loc[0, column] = value
    paths = [write_predictions(tmp_path / "a", rows("ssl_vit")), write_predictions(tmp_path / "b", other)]
    with pytest.raises(
        DataError, match=rf"lesion P-A0000000-L1 has two values of '{column}'\. Make the predictions from one"
    ):
        gather(paths)


def test_bad_paths(tmp_path):
    with pytest.raises(ConfigError, match=r"^predictions: no path was given\."):
        gather([])
    with pytest.raises(ConfigError, match=r"nowhere: no predictions folder here\."):
        gather([tmp_path / "nowhere"])
    path = write_predictions(tmp_path / "a", rows("ssl_vit"))
    (path / "predictions.parquet").write_bytes(b"short")
    with pytest.raises(IntegrityError, match=r"predictions\.parquet has 5 bytes"):
        gather([path])
