"""What a saved foundation holds, and what is never saved."""

import pytest
import torch
from safetensors.torch import load_file

from rnfm.core import Artifact, ConfigError, DataError, InputContract
from rnfm.foundation import save
from rnfm.model import create_model
from rnfm.objective.mae import MaeConfig, build


def test_the_folder_holds_weights_contract_lineage_and_card(made):
    artifact = Artifact.open(made.path, kind="foundation", version=1)
    assert sorted(artifact.files) == ["README.md", "config.json", "lineage.json", "model.safetensors"]
    assert artifact.contract["architecture"] == made.model.architecture
    assert artifact.contract["input"] == made.contract.as_dict() | {"crop": [8, 8, 8]}
    assert artifact.lineage["patients"] == ["P-00000001", "P-00000002"]
    assert artifact.lineage["inputs"] == {"shards": "d" * 64}
    assert artifact.digest == made.artifact.digest
    state = load_file(made.path / "model.safetensors")
    assert {name: tuple(value.shape) for name, value in state.items()} == {
        name: tuple(value.shape) for name, value in made.model.state_dict().items()
    }
    assert all(torch.equal(value, made.model.state_dict()[name]) for name, value in state.items())


def test_the_same_model_gives_the_same_bytes(made, tmp_path):
    twin = save(tmp_path / "twin", made.model, input_contract=made.contract, lineage={}, card_facts={})
    assert twin.files["model.safetensors"] == made.artifact.files["model.safetensors"]


def test_others_may_read_the_weights_as_they_may_read_the_card(made):
    modes = {(made.path / name).stat().st_mode & 0o777 for name in made.artifact.files}
    assert len(modes) == 1


def test_half_precision_is_saved_as_single(made, tmp_path):
    twin = save(tmp_path / "twin", made.model.bfloat16(), input_contract=made.contract, lineage={}, card_facts={})
    assert {value.dtype for value in load_file(twin.file("model.safetensors")).values()} == {torch.float32}


def test_the_decoder_travels_beside(made, tmp_path):
    mae = build(MaeConfig(), made.model)
    twin = save(
        tmp_path / "twin", made.model, input_contract=made.contract, lineage={}, card_facts={}, decoder=mae.decoder
    )
    assert set(load_file(twin.file("decoder.safetensors"))) == set(mae.decoder.state_dict())
    assert set(load_file(twin.file("model.safetensors"))) == set(made.model.state_dict())


@pytest.mark.parametrize(
    ("contract", "sentence"),
    [
        ({"channels": ("t1ce", "mask")}, "input contract: names 2 channels, the model takes 1"),
        ({"crop": (16, 8, 8)}, r"input contract: crop \(16, 8, 8\) is not the model's"),
    ],
)
def test_a_contract_of_other_input_is_refused(tmp_path, contract, sentence):
    model = create_model("vit_micro", crop=8, patch=4)
    with pytest.raises(ConfigError, match=sentence):
        save(tmp_path / "f", model, input_contract=InputContract(**contract), lineage={}, card_facts={})
    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_not_finite_are_never_published(tmp_path):
    model = create_model("vit_micro", crop=8, patch=4)
    model.norm.bias.data[3] = float("nan")
    with pytest.raises(DataError, match="norm.bias: holds values that are not finite"):
        save(tmp_path / "f", model, input_contract=InputContract(), lineage={}, card_facts={})
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_replaced_unless_asked(made):
    arguments = {"input_contract": made.contract, "lineage": {}, "card_facts": {}}
    with pytest.raises(ConfigError, match="exists already"):
        save(made.path, made.model, **arguments)
    assert save(made.path, made.model, **arguments, overwrite=True).lineage.get("patients") is None
