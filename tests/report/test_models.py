"""Registered models on a real MLflow store (SQLite): tags from evaluate, comparison, promotion, pulling.

The schema of a new store takes seconds, so every test gets a copy of one that was made once.
"""

import json
import shutil

import pytest

from rnfm import tracking
from rnfm.core.artifact import Artifact
from rnfm.core.errors import ConfigError, DataError, IntegrityError, RnfmError
from rnfm.report import (
    CompareConfig,
    EvaluateConfig,
    ModelsListConfig,
    ModelsShowConfig,
    PromoteConfig,
    PullConfig,
    compare,
    evaluate,
    list_models,
    promote,
    pull,
    show_model,
)

from .conftest import rows, write_classifier, write_foundation, write_predictions


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    tracking.client(f"sqlite:///{path}")
    return path


class Registry:
    """A store of its own with helpers to put models into it."""

    def __init__(self, folder, database):
        self.folder, self.uri = folder, f"sqlite:///{folder / 'mlflow.db'}"
        shutil.copyfile(database, folder / "mlflow.db")
        self.count = 0

    def foundation(self, patients=("P-POOL0001",)):
        self.count += 1
        artifact = write_foundation(self.folder / f"foundation{self.count}", patients, steps=self.count)
        tracking.register(self.uri, tracking.FOUNDATION, artifact, run_id=None)
        return artifact

    def classifier(self, foundation, gain, noise=0, **extra):
        """A registered classifier with predictions and an evaluation whose AUCs are in its tags."""
        self.count += 1
        digest = foundation.digest if foundation else ""
        artifact = write_classifier(self.folder / f"classifier{self.count}", digest, self.count)
        inputs = {"classifier": artifact.digest} | ({"foundation": digest} if digest else {})
        path = write_predictions(
            self.folder / f"predictions{self.count}", rows("ssl_vit", gain=gain, noise=noise, **extra), **inputs
        )
        tags = {"foundation_digest": digest, "predictions": str(path)}
        tracking.register(self.uri, tracking.CLASSIFIER, artifact, run_id=None, tags=tags)
        config = EvaluateConfig(
            predictions=[path], out=self.folder / f"e{self.count}", bootstrap=100, tracking=self.uri
        )
        return artifact, evaluate(config)

    def tags(self, name, version="1"):
        return tracking.client(self.uri).get_model_version(name, version).tags

    def promote(self, model, **settings):
        return promote(PromoteConfig(model=model, tracking=self.uri, **settings))


@pytest.fixture
def registry(tmp_path, empty_store):
    return Registry(tmp_path, empty_store)


def test_evaluate_writes_aucs_to_the_versions_it_judged_and_logs_a_run(registry):
    foundation = registry.foundation()
    _, result = registry.classifier(foundation, gain=2.2)
    assert "registered: AUCs of ssl_vit on rnfm-foundation version 1" in result.lines
    assert "registered: AUCs of ssl_vit on rnfm-classifier version 1" in result.lines
    metrics = {
        line.split(",")[1]: line.split(",") for line in (result.path / "metrics.csv").read_text().splitlines()[1:]
    }
    for name in (tracking.FOUNDATION, tracking.CLASSIFIER):
        tags = registry.tags(name)
        for split, row in metrics.items():
            found = [float(tags[f"{key}/{split}"]) for key in ("auc", "auc_low", "auc_high")]
            assert found == pytest.approx([float(value) for value in row[5:8]], abs=1e-6)
        assert tags["method"] == "ssl_vit"
    store = tracking.client(registry.uri)
    experiment = store.get_experiment_by_name("rnfm/evaluate")
    run = store.search_runs([experiment.experiment_id])[0]
    assert set(run.data.metrics) == {"auc/ssl_vit/holdout", "auc/ssl_vit/external"}
    assert run.data.params["threshold"] == "0.5"
    assert not list(registry.folder.glob(".rnfm-spool*"))


def test_a_model_of_another_digest_is_not_tagged(registry):
    registry.classifier(registry.foundation(), gain=2.2)
    other = registry.foundation()
    assert other.digest != registry.tags(tracking.FOUNDATION, "1")["digest"]
    assert "auc/external" not in registry.tags(tracking.FOUNDATION, "2")


def test_a_store_that_is_away_costs_a_warning_only(study, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    config = EvaluateConfig(
        predictions=study["predictions"], out=tmp_path / "e", bootstrap=100, tracking=f"sqlite:///{blocked / 'x.db'}"
    )
    result = evaluate(config)
    assert any(warning.startswith("AUCs were not written to the model registry (") for warning in result.warnings)
    assert Artifact.open(tmp_path / "e", kind="evaluation")
    assert len(list(tmp_path.glob(".rnfm-spool-*/tracking-*.jsonl"))) == 1  # `rnfm track sync` sends it later


def test_list_show_and_every_way_to_name_a_model(registry):
    foundation = registry.foundation()
    artifact, _ = registry.classifier(foundation, gain=2.2)
    registry.promote("classifier/1")
    text = list_models(ModelsListConfig(tracking=registry.uri)).summary()
    line = next(line for line in text.splitlines() if line.startswith("classifier/1"))
    assert line.split()[:5] == ["classifier/1", "@champion", artifact.digest[:12], foundation.digest[:12], "ssl_vit"]
    assert "0.9" in line
    assert "classifier" not in list_models(ModelsListConfig(kind="foundation", tracking=registry.uri)).lines[1]
    for name in ("@champion", "classifier@champion", "rnfm-classifier/1", artifact.digest[:8], artifact.digest):
        shown = show_model(ModelsShowConfig(model=name, tracking=registry.uri))
        assert "rnfm-classifier version 1" in shown.lines[0]
        assert shown.path == artifact.path
    for name, sentence in {
        "classifier/9": r"classifier/9: no such model is registered\. Registered are: foundation/1, classifier/1 @champion\.",
        "clasifier/1": r"'clasifier' is no kind of model \(did you mean 'classifier'\?\)",
        "the best one": r"the best one: does not name a model\.",
    }.items():
        with pytest.raises(ConfigError, match=sentence):
            show_model(ModelsShowConfig(model=name, tracking=registry.uri))


def test_an_empty_registry_says_so(registry):
    assert (
        list_models(ModelsListConfig(tracking=registry.uri)).lines[0].startswith("no model is registered in sqlite:///")
    )
    with pytest.raises(ConfigError, match=r"@champion: no such model is registered\. Run finetune or pretrain"):
        registry.promote("@champion")


def test_compare_prefers_the_external_centre_and_pairs_lesions(registry):
    foundation = registry.foundation()
    registry.classifier(foundation, gain=2.5)
    registry.classifier(foundation, gain=0.5, noise=1, counts={"holdout": (7, 15, "A"), "external": (9, 17, "B")})
    result = compare(CompareConfig(a="classifier/1", b="classifier/2", tracking=registry.uri))
    assert (result.comparison.split, result.comparison.n, result.comparison.n_pos) == ("external", 26, 9)
    assert not result.comparison.worse
    assert "26 common lesions (9 RN) of the external split" in result.summary()
    assert "paired DeLong p = " in result.summary()


def test_compare_falls_back_to_the_hold_out_where_the_external_centre_has_one_class(registry):
    foundation = registry.foundation()
    for noise in (0, 1):
        registry.classifier(foundation, gain=1, noise=noise, counts={"holdout": (3, 4, "A"), "external": (0, 6, "B")})
    assert (
        compare(CompareConfig(a="classifier/1", b="classifier/2", tracking=registry.uri)).comparison.split == "holdout"
    )


def test_promoting_a_better_a_worse_and_a_leaked_model(registry):
    foundation = registry.foundation()
    registry.classifier(foundation, gain=0.8)
    registry.classifier(foundation, gain=2.5)
    registry.classifier(foundation, gain=0.1)
    registry.classifier(registry.foundation(["P-B0000000"]), gain=3)
    first = registry.promote("classifier/1")
    assert "no version is @champion yet" in first.summary()

    better = registry.promote("classifier/2")
    assert (better.version, better.replaced) == ("2", "1")
    assert "classifier/2 against classifier/1 on 28 common lesions (9 RN) of the external split:" in better.lines
    assert "None of the test patients" in better.lines[0]

    with pytest.raises(
        DataError, match=r"classifier/3: classifier/3 against classifier/2 .* give a reason with --because"
    ):
        registry.promote("classifier/3")
    with pytest.raises(
        DataError, match=r"classifier/4: Leak: .* 1 of 19 \(external centre\)\. .*no reason overrides this"
    ):
        registry.promote("classifier/4", because="it is so good")
    aliases = tracking.client(registry.uri).get_registered_model(tracking.CLASSIFIER).aliases
    assert {alias: int(version) for alias, version in aliases.items()} == {"champion": 2}

    worse = registry.promote("classifier/3", because="the other was trained on withdrawn scans")
    assert worse.replaced == "2"
    audit = [json.loads(line) for line in (registry.folder / "promotions.jsonl").read_text().splitlines()]
    assert [(entry["version"], entry["replaced"], entry["because"]) for entry in audit] == [
        ("1", None, None),
        ("2", "1", None),
        ("3", "2", "the other was trained on withdrawn scans"),
    ]
    assert json.loads(registry.tags(tracking.CLASSIFIER, "3")["promoted/champion"]) == audit[-1]


def test_another_alias_starts_afresh_and_a_foundation_can_be_promoted(registry):
    foundation = registry.foundation()
    registry.classifier(foundation, gain=2)
    assert registry.promote("classifier/1", alias="candidate").replaced is None
    assert "rnfm-foundation version 1 is now @champion" in registry.promote("foundation/1").summary()
    assert registry.promote("foundation/1").replaced is None  # again: nothing to compare with but itself


@pytest.mark.parametrize("gone", ["foundation", "patients", "predictions"])
def test_what_is_not_known_needs_a_reason(registry, gone):
    foundation = registry.foundation(None if gone == "patients" else ("P-POOL0001",))
    registry.classifier(foundation, gain=2)
    if gone != "patients":
        shutil.rmtree(foundation.path if gone == "foundation" else registry.folder / "predictions2")
    sentence = "its predictions are gone" if gone == "predictions" else "leakage cannot be ruled out"
    with pytest.raises(DataError, match=sentence):
        registry.promote("classifier/1")
    assert "leakage cannot be ruled out" in registry.promote("classifier/1", because="seen by eye").summary()


def test_a_classifier_without_a_foundation_has_nothing_to_leak(registry):
    registry.classifier(None, gain=1)
    assert "stands on no foundation" in registry.promote("classifier/1").summary()


def test_pull_copies_verifies_and_repeats_nothing(registry):
    artifact, _ = registry.classifier(registry.foundation(), gain=2)
    out = registry.folder / "pulled"
    first = pull(PullConfig(model="classifier/1", out=out, tracking=registry.uri))
    assert Artifact.open(out).digest == artifact.digest
    assert first.summary().endswith(f"next: rnfm predict SCAN --mask MASK --classifier {out}")
    assert (first.fresh, pull(PullConfig(model="classifier/1", out=out, tracking=registry.uri)).fresh) == (True, False)
    with pytest.raises(ConfigError, match="exists already"):
        pull(PullConfig(model="foundation/1", out=out, tracking=registry.uri))
    pull(PullConfig(model="foundation/1", out=out, tracking=registry.uri, overwrite=True))
    assert Artifact.open(out).kind == "foundation"


def test_a_tampered_or_exchanged_artefact_is_refused(registry):
    artifact, _ = registry.classifier(registry.foundation(), gain=2)
    out = registry.folder / "pulled"
    config = PullConfig(model="classifier/1", out=out, tracking=registry.uri)
    (artifact.path / "model.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(IntegrityError, match=r"model\.safetensors has other content than was published"):
        pull(config)
    shutil.rmtree(artifact.path)
    write_classifier(artifact.path, weight=99)
    with pytest.raises(IntegrityError, match=rf"registered was {artifact.digest[:12]}"):
        pull(config)
    assert not out.exists()


def test_pull_from_the_store_where_the_folder_is_gone(registry):
    artifact = write_foundation(registry.folder / "f")
    with tracking.start(
        tracking.TrackingConfig(uri=registry.uri), stage="pretrain", name="t", folder=registry.folder / "r"
    ) as run:
        run_id = run.id
    tracking.register(registry.uri, tracking.FOUNDATION, artifact, run_id=run_id)
    shutil.rmtree(artifact.path)
    pull(PullConfig(model="foundation/1", out=registry.folder / "pulled", tracking=registry.uri))
    assert Artifact.open(registry.folder / "pulled").digest == artifact.digest


def test_pull_of_what_is_nowhere(registry):
    artifact, _ = registry.classifier(registry.foundation(), gain=2)
    shutil.rmtree(artifact.path)
    with pytest.raises(RnfmError, match=r"classifier/1: its artefact is neither at its path nor in the tracking store"):
        pull(PullConfig(model="classifier/1", out=registry.folder / "pulled", tracking=registry.uri))
