"""The stage: what it writes, what it warns of, and what it refuses."""

import json

import pandas as pd
import pytest

from rnfm.core import config as configs
from rnfm.core.artifact import Artifact
from rnfm.core.errors import ConfigError, DataError
from rnfm.report import EvaluateConfig, evaluate

from .conftest import rows, write_predictions


def judged(paths, out, **settings):
    return evaluate(EvaluateConfig(predictions=paths, out=out, bootstrap=200, **settings))


def test_it_writes_the_contract(study, tmp_path):
    result = judged(study["predictions"], tmp_path / "evaluation")
    artifact = Artifact.open(result.path, kind="evaluation", version=1)
    assert {"metrics.csv", "comparisons.csv", "curves.json"} < set(artifact.files)
    assert artifact.contract["methods"] == ["ssl_vit", "radiomics_l2", "supervised_vit", "volume_only"]
    assert artifact.contract["cohort"]["external"] == {"lesions": 28, "positive": 9, "patients": 19, "sites": ["B"]}
    assert artifact.lineage["made_by"]["foundation"] == {"ssl_vit": study["foundation"].digest}
    assert len(artifact.lineage["test_patients"]["holdout"]) == 15
    assert len(pd.read_csv(result.path / "metrics.csv")) == 8
    assert json.loads((result.path / "curves.json").read_text())["roc"][0]["method"] == "ssl_vit"


def test_its_summary_is_the_papers_table(study, tmp_path):
    text = judged(study["predictions"], tmp_path / "evaluation").summary()
    lines = text.splitlines()
    assert lines[2].split("  ")[0] == "AUC [interval]"
    assert "holdout (22, 7 RN)" in lines[2]
    assert lines[3].startswith("ssl_vit ")
    assert any(line.startswith("ssl_vit - volume_only") for line in lines)
    assert lines[-1] == f"next: rnfm report {tmp_path / 'evaluation'} --out report"


def test_a_second_run_does_nothing_and_other_settings_need_overwrite(study, tmp_path):
    out = tmp_path / "evaluation"
    first = judged(study["predictions"], out)
    digest = Artifact.open(out).digest
    again = judged(study["predictions"][::-1], out)
    assert (first.fresh, again.fresh) == (True, False)
    assert again.summary().startswith("evaluation up to date at")
    assert again.lines == first.lines
    with pytest.raises(ConfigError, match="exists already, made with other settings or inputs"):
        judged(study["predictions"], out, threshold=0.4)
    assert Artifact.open(out).digest == digest
    judged(study["predictions"], out, threshold=0.4, overwrite=True)
    assert Artifact.open(out).digest != digest


def test_every_setting_changes_the_hash_and_no_place_does(study, tmp_path):
    from rnfm.report.evaluate import _hash

    base = EvaluateConfig(predictions=study["predictions"], out=tmp_path)
    changes = {"reference": "x", "threshold": 0.4, "level": 0.9, "interval": "delong", "bootstrap": 300, "seed": 1}
    hashes = {_hash(configs.with_overrides(base, {key: value})) for key, value in changes.items()}
    assert len(hashes | {_hash(base)}) == 1 + len(changes)
    for key, value in {"out": "b", "overwrite": True, "tracking": "sqlite:///x.db", "predictions": ["x"]}.items():
        assert _hash(configs.with_overrides(base, {key: value})) == _hash(base)


def test_five_patients_one_method_one_class_in_a_centre(tmp_path):
    counts = {"holdout": (2, 3, "A"), "external": (0, 5, "B")}
    path = write_predictions(tmp_path / "p", rows("ssl_vit", counts=counts))
    result = judged([path], tmp_path / "evaluation")
    text = " ".join(result.warnings)
    assert "External centre: all 5 lesions have label 0, so no AUC, interval or test can be given" in text
    assert "Hold-out: 5 lesions, 2 of label 1. Intervals are wide" in text
    assert "Only SSL ViT was judged, so there is nothing to compare it with." in text
    assert result.lines[1].split()[-1] == "-"


def test_one_class_everywhere_is_refused(tmp_path):
    path = write_predictions(tmp_path / "p", rows("ssl_vit", counts={"holdout": (0, 5, "A"), "external": (3, 0, "B")}))
    with pytest.raises(DataError, match=r"every split of every method holds lesions of one class only"):
        judged([path], tmp_path / "evaluation")
    assert not (tmp_path / "evaluation").exists()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["p"]


@pytest.mark.parametrize(
    ("frames", "sentence"),
    [
        (
            [rows("ssl_vits"), rows("volume_only")],
            "The reference 'ssl_vit' has no predictions (did you mean 'ssl_vits'?)",
        ),
        ([rows("ssl_vit"), rows("volume_only")], "Not judged beside it: Clinical only, Radiomics."),
        ([rows("ssl_vit", gain=50)], "SSL ViT ranks every lesion right (AUC 1)."),
        ([rows("ssl_vit", gain=50), rows("volume_only", gain=-50)], "their p value is an artefact of the small sample"),
        (
            [rows("ssl_vit"), rows("volume_only", counts={"holdout": (7, 12, "A")})],
            "Hold-out: SSL ViT and Volume only are compared on the 19 lesions both judged.",
        ),
        (
            [rows("ssl_vit", gain=-1, counts={"external": (30, 40, "B")})],
            "External centre: probabilities of SSL ViT are off (calibration slope",
        ),
    ],
    ids=["no reference", "no baselines", "perfect", "infinite z", "other lesions", "calibration"],
)
def test_cautions(tmp_path, frames, sentence):
    paths = [write_predictions(tmp_path / f"p{n}", frame) for n, frame in enumerate(frames)]
    assert sentence in " ".join(judged(paths, tmp_path / "evaluation").warnings)


def test_a_large_sound_study_has_no_cautions(tmp_path):
    counts = {"external": (60, 90, "B")}
    names = ("ssl_vit", "volume_only", "clinical_only", "radiomics_l2")
    paths = [write_predictions(tmp_path / name, rows(name, counts=counts, gain=1)) for name in names]
    assert judged(paths, tmp_path / "evaluation").warnings == ()


def test_sites_named_like_numbers_or_nothing_stay_names(tmp_path):
    frame = rows("ssl_vit")
    frame.loc[frame["split"] == "external", "site"] = ["01", "NA"] * 14
    result = judged([write_predictions(tmp_path / "p", frame)], tmp_path / "evaluation")
    assert "external 01 (14" in result.lines[0]
    assert "external NA (14" in result.lines[0]
