"""Loading: verified bytes, a contract that holds, a report on each parameter."""

import json
import subprocess
import sys

import pytest
import torch

from rnfm.core import ConfigError, InputContract, IntegrityError
from rnfm.core.artifact import publish
from rnfm.foundation import load, save
from rnfm.model import create_model

X = torch.randn(2, 1, 8, 8, 8, generator=torch.Generator().manual_seed(0))


def test_a_loaded_model_is_the_saved_one(made):
    model, report = load(made.path)
    assert torch.equal(model(X), made.model(X))
    assert not model.training
    assert sorted(report.loaded) == sorted(made.model.state_dict())
    assert report.adapted == report.new == report.unused == {}
    assert report.digest == made.artifact.digest
    assert report.contract == made.contract.model_copy(update={"crop": (8, 8, 8)})
    assert report.lineage["objective"] == "mae"
    count = len(report.loaded)
    assert report.summary() == f"vit_micro {report.digest[:12]}: {count} parameters loaded, 0 adapted, 0 new, 0 unused"


def test_everything_may_change_at_once_and_is_reported(made):
    model, report = load(made.path, in_channels=2, crop=(12, 8, 16), num_classes=2, pooling="mask")
    assert model.architecture == made.model.architecture | {
        "in_channels": 2, "crop": [12, 8, 16], "num_classes": 2, "pooling": "mask",
    }  # fmt: skip
    assert report.architecture == model.architecture
    fates = [*report.loaded, *report.adapted, *report.new]
    assert sorted(fates) == sorted(model.state_dict())
    assert report.unused == {}
    assert report.summary().splitlines()[1:] == [
        "  adapted patch_embed.weight: 1 to 2 input channels, the new ones with zero weights",
        "  new head.weight: a new head of 2 classes",
        "  new head.bias: a new head of 2 classes",
    ]
    assert model(torch.rand(1, 2, 12, 8, 16)).shape == (1, 2)


def test_a_second_channel_leaves_the_features_as_they_were(made):
    model, _ = load(made.path, in_channels=2)
    padded = torch.cat((X, torch.zeros_like(X)), dim=1)
    torch.testing.assert_close(model(padded), made.model(X), atol=1e-6, rtol=0)


def test_the_expected_input_sets_channels_and_crop(made):
    expect = InputContract(spacing_mm=(1.5, 1.5, 1.5), channels=("t1ce", "lesion_mask"), crop=(16, 8, 8))
    model, report = load(made.path, expect=expect)
    assert (model.in_channels, model.crop, report.differences) == (2, (16, 8, 8), ())
    for conflict in ({"in_channels": 3}, {"crop": (8, 8, 8)}):
        with pytest.raises(ConfigError, match="the expected input has .* Leave one of the two out"):
            load(made.path, expect=expect, **conflict)


BROKEN = [
    ({"spacing_mm": (1.0, 1.0, 1.0)}, r"spacing_mm is \(1.0, 1.0, 1.0\), expected \(1.5, 1.5, 1.5\)"),
    ({"intensity": {"rule": "percentile"}}, "intensity is .*percentile.*, expected .*zscore"),
    ({"channels": ("flair",)}, r"channels are \('flair',\), expected to begin with \('t1ce',\)"),
    ({"channels": ("lesion_mask", "t1ce")}, "channels are .*'lesion_mask', 't1ce'.*, expected to begin with"),
]


@pytest.mark.parametrize(("change", "sentence"), BROKEN)
def test_data_that_break_the_contract_are_refused_or_said(made, change, sentence):
    expect = InputContract(**{"spacing_mm": (1.5, 1.5, 1.5), **change})
    with pytest.raises(ConfigError, match=f"was made for other input: {sentence}.*strict_contract=False"):
        load(made.path, expect=expect)
    _, report = load(made.path, expect=expect, strict_contract=False)
    assert len(report.differences) == 1
    assert report.summary().endswith(f"  warning: {report.differences[0]}")


def flip_byte(path):
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["model.safetensors", "README.md", "lineage.json"])
def test_a_tampered_artefact_is_refused(made, name):
    flip_byte(made.path / name)
    with pytest.raises(IntegrityError) as caught:
        load(made.path)
    assert caught.value.exit_code == 4


def test_a_contract_edited_by_hand_is_refused(made):
    config = made.path / "config.json"
    config.write_text(config.read_text().replace("1.5", "1.0"))
    with pytest.raises(IntegrityError, match=r"config\.json"):
        load(made.path)


@pytest.mark.parametrize(
    ("contract", "sentence"),
    [
        ({"architecture": {"name": "vit_giga"}, "input": {}}, "names no architecture that we know"),
        ({"architecture": {"name": "vit_micro", "in_channels": 2}, "input": {}}, "its contract names 1 channels"),
        ({"architecture": {"name": "vit_micro"}, "input": {"axes": "LPS"}}, "input contract we cannot keep: .*'RAS'"),
        ({"architecture": {"name": "vit_micro"}}, "input contract we cannot keep: it is missing"),
    ],
)
def test_a_published_contract_that_is_not_ours_is_refused(tmp_path, contract, sentence):
    with publish(tmp_path / "f", "foundation", 1, contract=contract) as draft:
        (draft.path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ConfigError, match=sentence):
        load(tmp_path / "f")


def test_what_is_no_foundation_is_refused(made, tmp_path):
    with pytest.raises(ConfigError, match="no foundation folder here"):
        load(tmp_path / "missing")
    with pytest.raises(ConfigError, match="is no local folder"):
        load("models:/rnfm/1")
    with pytest.raises(ConfigError, match="is of kind foundation, not classifier"):
        load(made.path, kind="classifier")


def test_a_channel_cannot_be_dropped(tmp_path):
    two = create_model("vit_micro", in_channels=2, crop=8, patch=4)
    save(tmp_path / "f", two, input_contract=InputContract(channels=("t1ce", "flair")), lineage={}, card_facts={})
    with pytest.raises(ConfigError, match="takes 1 input channels, its weights were made for 2"):
        load(tmp_path / "f", in_channels=1)


def test_a_cnn_travels_the_same_way(tmp_path):
    torch.manual_seed(0)
    cnn = create_model("resnet10", crop=16).eval()
    save(tmp_path / "f", cnn, input_contract=InputContract(), lineage={}, card_facts={})
    model, report = load(tmp_path / "f", in_channels=2, num_classes=2, pooling="mask")
    assert list(report.adapted) == ["net.conv1.weight"]
    assert model(torch.rand(1, 2, 16, 16, 16)).shape == (1, 2)


def test_loading_needs_torch_safetensors_and_core_only(made):
    code = f"""
import json, sys
from rnfm import foundation
foundation.load({str(made.path)!r}, in_channels=2, crop=(16, 8, 8))
heavy = ("deepspeed", "ray", "mlflow", "monai", "pandas", "scipy", "zarr", "sklearn", "matplotlib", "nibabel")
print(json.dumps([name for name in heavy if name in sys.modules]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
