"""Merging, validation and the wording of faults."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from rnfm.core.config import Config, Field, fields, from_dict, load, positional, with_overrides
from rnfm.core.errors import ConfigError


class Optim(Config):
    lr: float = Field(1e-3, gt=0, description="learning rate")
    kind: Literal["adam", "sgd"] = Field("adam", description="optimiser")


class Toy(Config):
    source: Path = positional("where")
    steps: int = Field(10, ge=1, description="steps")
    crop: tuple[int, int, int] = Field((8, 8, 8), description="crop [voxel]")
    names: list[str] = Field([], description="names")
    fast: bool = Field(False, description="switch")
    optim: Optim = Field(Optim(), description="optimiser")
    options: dict[str, object] = Field({}, description="free")


def test_file_and_command_line_are_merged_the_command_line_wins(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("source: a\nsteps: 5\noptim: {lr: 1e-2}\n")
    config = load(Toy, file, ["--optim.lr", "3e-4", "steps=7"])
    assert (str(config.source), config.steps, config.optim.lr, config.optim.kind) == ("a", 7, 3e-4, "adam")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["p", "--fast"], {"fast": True}),
        (["p", "--no-fast"], {"fast": False}),
        (["p", "--fast", "false"], {"fast": False}),
        (["p", "--crop", "4", "5", "6"], {"crop": (4, 5, 6)}),
        (["p", "--crop", "[4,5,6]"], {"crop": (4, 5, 6)}),
        (["p", "--names", "010005", "b"], {"names": ["010005", "b"]}),
        (["p", "--options.a.b", "2"], {"options": {"a": {"b": 2}}}),
        (["p", "--optim.kind=sgd"], {"optim": Optim(kind="sgd")}),
        (["source=q"], {"source": Path("q")}),
    ],
)
def test_every_way_to_write_a_key(words: list[str], expected: dict[str, object]) -> None:
    config = load(Toy, None, words)
    assert {key: getattr(config, key) for key in expected} == expected


def test_all_faults_at_once_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError) as caught:
        load(Toy, None, ["--stps", "3", "--optim.lr", "-1", "--optim.kind", "adm"])
    assert str(caught.value) == (
        "toy configuration: 5 faults in the configuration: 'source' is missing; "
        "optim.lr: input should be greater than 0, got -1; optim.kind: input should be 'adam' or 'sgd', got 'adm'; "
        "'stps' is not a key (did you mean 'steps'?). Mend the keys named and run again."
    ).replace("5 faults", "4 faults")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("- 1\n", "holds no mapping"),
        ("a: [", "is not plain YAML"),
        ("x: !!python/object/apply:os.getcwd []\n", "is not plain YAML"),
    ],
)
def test_files_that_are_no_configuration(tmp_path: Path, text: str, cause: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=cause):
        load(Toy, file, ["p"])


def test_missing_file_and_missing_value(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such configuration file"):
        load(Toy, tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="'steps' has no value"):
        load(Toy, None, ["p", "--steps"])


def test_the_hash_knows_values_not_spelling() -> None:
    assert load(Toy, None, ["p", "optim.lr=0.001"]).hash() == load(Toy, None, ["p", "--optim.lr", "1e-3"]).hash()
    assert load(Toy, None, ["p"]).hash() != load(Toy, None, ["p", "steps=9"]).hash()


def test_yaml_round_trip_and_overrides() -> None:
    import yaml

    config = load(Toy, None, ["p", "crop=[1,2,3]"])
    assert from_dict(Toy, yaml.safe_load(config.as_yaml())) == config
    assert with_overrides(config, {"optim.lr": 0.5}).optim.lr == 0.5
    with pytest.raises(ConfigError, match="did you mean 'optim.lr'"):
        with_overrides(config, {"optim.lrr": 0.5})


def test_fields_lists_leaves_with_descriptions() -> None:
    listed = dict(fields(Toy))
    assert list(listed) == ["source", "steps", "crop", "names", "fast", "optim.lr", "optim.kind", "options"]
    assert all(info.description for info in listed.values())
