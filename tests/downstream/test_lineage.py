"""The hash of a stage follows what changes its result and nothing else."""

from pathlib import Path

import pytest

from rnfm.downstream import FuseConfig
from rnfm.downstream.lineage import result_hash, volume_inputs


def test_paths_change_nothing_and_settings_do():
    config = FuseConfig(embeddings=Path("a"), split=Path("s"), out=Path("o"))
    moved = FuseConfig(embeddings=Path("b"), split=Path("t"), out=Path("p"), overwrite=True)
    other = FuseConfig(embeddings=Path("a"), split=Path("s"), out=Path("o"), components=3)
    keys = ("embeddings", "split")
    assert result_hash(config, *keys) == result_hash(moved, *keys)
    assert result_hash(config, *keys) != result_hash(other, *keys)


def test_a_key_that_is_not_there_is_a_mistake():
    with pytest.raises(KeyError):
        result_hash(FuseConfig(embeddings=Path("a"), split=Path("s"), out=Path("o")), "volumes")


def test_roles_of_archives():
    assert volume_inputs(["a"]) == {"volumes": "a"}
    assert volume_inputs(["a", "b"]) == {"volumes_0": "a", "volumes_1": "b"}
