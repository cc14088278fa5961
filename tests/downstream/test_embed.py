"""`rnfm embed` end to end on a hand-made cohort, and its refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rnfm.core import Artifact, ConfigError, InputContract, IntensityRule
from rnfm.downstream import EmbedConfig, embed

from .conftest import make_scans, write_volumes


def config(cohort, foundation, out, **changes) -> EmbedConfig:
    return EmbedConfig(foundation=foundation, volumes=cohort.volumes, out=out, **changes)


def test_one_row_a_lesion_with_clinical_columns_and_an_honest_contract(cohort, foundation, tmp_path):
    result = embed(config(cohort, foundation, tmp_path / "e"))
    schema = pq.read_schema(tmp_path / "e" / "embeddings.parquet")
    table = pd.read_parquet(tmp_path / "e" / "embeddings.parquet")
    assert schema.names[:6] == ["patient", "lesion", "scan", "site", "label", "embedding"]
    assert {"clinical_age_years", "clinical_wbrt", "clinical_primary"} == set(schema.names[6:])
    assert schema.field("embedding").type.value_type == pa.float32()
    assert len(table) == result.lesions == 32
    assert {len(vector) for vector in table["embedding"]} == {result.dim} == {3 * 96}
    artifact = Artifact.open(tmp_path / "e", "embeddings", 1)
    digest = Artifact.open(foundation).digest
    assert artifact.contract == {"foundation": digest, "dim": 288, "pooling": ["lesion", "rim", "cls"]}
    assert artifact.lineage["inputs"]["foundation"] == digest
    assert "32 lesions, 288 numbers each" in result.summary()


def test_it_is_the_same_in_batches_of_any_size_and_does_nothing_the_second_time(cohort, foundation, tmp_path):
    embed(config(cohort, foundation, tmp_path / "a", batch=5))
    embed(config(cohort, foundation, tmp_path / "b", batch=32))
    a, b = (np.stack(pd.read_parquet(tmp_path / n / "embeddings.parquet")["embedding"]) for n in "ab")
    np.testing.assert_allclose(a, b, atol=1e-5)
    again = embed(config(cohort, foundation, tmp_path / "a", batch=7))
    assert not again.fresh
    assert "up to date" in again.summary()


def test_other_settings_need_overwrite(cohort, foundation, tmp_path):
    embed(config(cohort, foundation, tmp_path / "e"))
    with pytest.raises(ConfigError, match="exists already, made with other settings or inputs"):
        embed(config(cohort, foundation, tmp_path / "e", pooling=["mean"]))
    assert embed(config(cohort, foundation, tmp_path / "e", pooling=["mean"], overwrite=True)).dim == 96


def test_volumes_of_another_contract_than_the_foundation_are_refused(foundation, tmp_path):
    contract = InputContract(spacing_mm=(1, 1, 2), intensity=IntensityRule(clip=3))
    volumes = write_volumes(tmp_path / "v", make_scans("A", 4, seed=1), contract=contract)
    with pytest.raises(ConfigError) as caught:
        embed(EmbedConfig(foundation=foundation, volumes=[volumes], out=tmp_path / "e"))
    said = str(caught.value)
    assert said.startswith(f"{volumes}: spacing_mm is (1.0, 1.0, 2.0), expected (1.0, 1.0, 1.0); intensity is ")
    assert said.endswith("Prepare the scans with the settings that the model expects.")
    assert not (tmp_path / "e").exists()
