"""`rnfm fuse` end to end: two methods in one artefact, learned on the right patients, and its refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rnfm.core import Artifact, DataError, publish
from rnfm.downstream import FuseConfig, cross_validate, fuse, predictions

from .conftest import write_split


def write_embeddings(path, *, count=40, signal=3.0, labels=(0, 1), clinical=True):
    """Two sites; the label moves the first two of 12 numbers, and `clinical_dose` a little."""
    random = np.random.default_rng(0)
    label = np.array([labels[i % len(labels)] for i in range(count)])
    vectors = random.normal(size=(count, 12)).astype(np.float32)
    vectors[:, :2] += signal * label[:, None]
    frame = pd.DataFrame(
        {
            "patient": [f"P-{i:03d}" for i in range(count)],
            "lesion": [f"P-{i:03d}-L1" for i in range(count)],
            "scan": [f"S-{i:03d}" for i in range(count)],
            "site": ["B" if i >= count - 8 else "A" for i in range(count)],
            "label": pd.array(label, dtype="Int8"),
        }
    )
    if clinical:
        frame["clinical_dose"] = np.where(np.arange(count) % 9 == 0, np.nan, label + random.normal(0, 0.8, count))
        frame["clinical_primary"] = np.array(["lung", "breast", "kidney"])[np.arange(count) % 3]
    column = pa.array(list(vectors), type=pa.list_(pa.float32()))
    table = pa.Table.from_pandas(frame, preserve_index=False).add_column(5, "embedding", column)
    lineage = {"config_hash": "h", "inputs": {"volumes": "v", "foundation": "f"}}
    contract = {"foundation": "f", "dim": 12, "pooling": ["cls"]}
    with publish(path, "embeddings", 1, contract=contract, lineage=lineage) as draft:
        pq.write_table(table, draft.path / "embeddings.parquet")
    return path, frame


def split_for(path, frame):
    roles = ["external" if s == "B" else "holdout" if i % 4 > 1 else "train" for i, s in enumerate(frame["site"])]
    return write_split(path, list(zip(frame["patient"], frame["site"], roles, strict=True)), folds=3)


@pytest.fixture(scope="module")
def fused(tmp_path_factory):
    root = tmp_path_factory.mktemp("fuse")
    embeddings, frame = write_embeddings(root / "e")
    return FuseConfig(embeddings=embeddings, split=split_for(root / "s", frame), out=root / "out"), root


def test_both_methods_learn_and_predict_every_lesion_once_a_split(fused):
    config, _ = fused
    result = fuse(config)
    rows = predictions.read(config.out)
    assert set(rows["method"]) == {"ssl_probe", "multimodal"}
    assert result.auc["ssl_probe"]["cv"] > 0.9
    assert result.auc["multimodal"]["external"] > 0.7  # eight lesions
    counts = rows.groupby(["method", "split"]).size()
    assert counts["ssl_probe", "cv"] == 32
    assert counts["ssl_probe", "external"] == 8
    lineage = Artifact.open(config.out).lineage
    assert set(lineage["inputs"]) == {"embeddings", "split", "foundation"}
    assert not fuse(config).fresh


def test_two_runs_are_equal_bit_for_bit(fused):
    config, root = fused
    again = config.model_copy(update={"out": root / "again"})
    fuse(again)
    first = fuse(config)
    assert Artifact.open(again.out).digest == Artifact.open(first.path).digest


def test_late_fusion_is_the_mean_of_two_logits(fused):
    config, root = fused
    update = {"fusion": "late", "out": root / "late", "methods": ["multimodal"]}
    fuse(config.model_copy(update=update))
    late = predictions.read(root / "late").set_index(["split", "lesion"])["probability"]
    image = predictions.read(config.out).query("method == 'ssl_probe'").set_index(["split", "lesion"])["probability"]
    assert (late.index.sort_values() == image.index.sort_values()).all()
    logit = np.log(late / (1 - late)) * 2 - np.log(image / (1 - image)).reindex(late.index)
    clinical = 1 / (1 + np.exp(-logit["holdout"]))  # what the clinical model must have said
    assert clinical.between(0.02, 0.98).all()
    assert clinical.nunique() > 3


def test_labels_without_a_link_to_the_image_give_chance(tmp_path):
    embeddings, frame = write_embeddings(tmp_path / "e", count=120, signal=0.0, clinical=False)
    split = split_for(tmp_path / "s", frame)
    config = FuseConfig(embeddings=embeddings, split=split, out=tmp_path / "o", methods=["ssl_probe"])
    assert abs(fuse(config).auc["ssl_probe"]["cv"] - 0.5) < 0.15


def test_a_sweep_sees_training_patients_only(fused, tmp_path):
    """The number does not move when every hold-out and external label is turned round."""
    config, _ = fused
    before = cross_validate(config)
    _, frame = write_embeddings(tmp_path / "e")
    table = pq.read_table(tmp_path / "e" / "embeddings.parquet")
    roles = pd.read_parquet(config.split / "split.parquet").set_index("patient")["role"]
    label = frame["label"].to_numpy(int)
    turned = np.where(roles.loc[frame["patient"]] == "train", label, 1 - label)
    changed = table.set_column(4, "label", pa.array(turned.astype(np.int8)))
    lineage, contract = {"inputs": {}}, {"foundation": "f", "dim": 12, "pooling": ["cls"]}
    with publish(tmp_path / "turned", "embeddings", 1, contract=contract, lineage=lineage) as draft:
        pq.write_table(changed, draft.path / "embeddings.parquet")
    other = config.model_copy(update={"embeddings": tmp_path / "turned"})
    assert cross_validate(other) == before
    assert cross_validate(other, train_only=False) != cross_validate(config, train_only=False)


def refusal(config) -> str:
    with pytest.raises(DataError) as caught:
        fuse(config)
    assert not config.out.exists()
    return str(caught.value)


def test_embeddings_of_another_split_one_class_and_no_clinical_value_are_refused(tmp_path):
    embeddings, frame = write_embeddings(tmp_path / "e", clinical=False)
    split, out = split_for(tmp_path / "s", frame), tmp_path / "out"
    other = write_split(tmp_path / "other", [("P-000", "A", "train"), ("P-001", "A", "holdout")])
    assert refusal(FuseConfig(embeddings=embeddings, split=other, out=out)) == (
        f"{other}: does not hold 38 of 40 patients (first: P-002). "
        "Give the split made from the same cohorts, or split again."
    )
    assert "holds no clinical value" in refusal(FuseConfig(embeddings=embeddings, split=split, out=out))
    one, _ = write_embeddings(tmp_path / "one", labels=(1,))
    assert refusal(FuseConfig(embeddings=one, split=split, out=out)) == (
        f"{one}: holds only label 1. Embed a cohort with both outcomes."
    )
