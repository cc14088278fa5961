"""The exported folder: read without rnfm, with the same features; made once; refused when it cannot be right."""

import json
import re
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from rnfm.core import Artifact, ConfigError, InputContract, IntegrityError
from rnfm.core import config as core_config
from rnfm.foundation import ExportConfig, export, exports, plain, save
from rnfm.model import create_model


def test_the_export_is_verified_and_done_once(made, tmp_path):
    config = ExportConfig(foundation=made.path, out=tmp_path / "out")
    first = export(config)
    assert first.fresh
    assert first.difference <= 1e-6
    assert f"{tmp_path / 'out' / 'hf'}: loads in plain torch" in first.summary()
    assert Artifact.open(tmp_path / "out", "export").verify(deep=True) == []
    names = sorted(file.name for file in first.folder.iterdir())
    assert names == ["README.md", "config.json", "model.safetensors", "modeling_rnfm.py"]
    again = export(config)
    assert (again.fresh, again.summary()) == (False, f"{first.folder}: up to date")


def test_config_json_speaks_the_librarys_words_and_keeps_the_contract(made, tmp_path):
    folder = export(ExportConfig(foundation=made.path, out=tmp_path / "out")).folder
    config = json.loads((folder / "config.json").read_text())
    assert config["hidden_size"] == 24
    assert config["num_hidden_layers"] == 2
    assert config["num_attention_heads"] == 3
    assert config["intermediate_size"] == 96
    assert config["image_size"] == [8, 8, 8]
    assert config["input"]["spacing_mm"] == [1.5, 1.5, 1.5]
    assert config["foundation"] == made.artifact.digest


@pytest.mark.parametrize(
    "settings",
    [{}, {"in_channels": 2, "position": "learned"}, {"crop": (4, 8, 6), "patch": (4, 2, 3), "dim": 32, "heads": 4}],
)
def test_the_plain_reader_gives_the_same_features(tmp_path, settings):
    torch.manual_seed(0)
    model = create_model("vit_micro", **{"crop": 8, "patch": 4, "dim": 24, "depth": 2, "heads": 3, **settings}).eval()
    channels = ("t1ce", "flair")[: model.in_channels]
    save(tmp_path / "f", model, input_contract=InputContract(channels=channels), lineage={}, card_facts={})
    folder = export(ExportConfig(foundation=tmp_path / "f", out=tmp_path / "out")).folder
    x = torch.randn(2, model.in_channels, *model.crop)
    features, tokens = model.forward_features(x), plain.load(folder)(x)
    torch.testing.assert_close(tokens[:, 0], features.cls_BE, atol=1e-6, rtol=0)
    torch.testing.assert_close(tokens[:, 1:], features.patch_BNE, atol=1e-6, rtol=0)


def test_the_lines_of_the_card_load_it_without_rnfm(made, tmp_path):
    folder = export(ExportConfig(foundation=made.path, out=tmp_path / "out")).folder
    code = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)[-1]
    code = f"import sys; sys.modules['rnfm'] = None; sys.path.insert(0, '')\n{code}print(tokens.flatten()[:5].tolist())"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    features = made.model.forward_features(torch.zeros(1, 1, 8, 8, 8))
    assert json.loads(done.stdout) == pytest.approx(features.cls_BE.flatten()[:5].tolist(), abs=1e-6)


def test_an_export_that_reads_differently_is_not_published(made, tmp_path, monkeypatch):
    honest = exports._write_hf

    def faulty(folder, source, model):
        honest(folder, source, model)
        state = {name: value.clone() for name, value in load_file(folder / "model.safetensors").items()}
        state["cls_token"][0, 0, 0] += 0.1
        save_file(state, folder / "model.safetensors")

    monkeypatch.setattr(exports, "_write_hf", faulty)
    with pytest.raises(IntegrityError, match="the export's features differ by"):
        export(ExportConfig(foundation=made.path, out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_refusals(made, tmp_path):
    with pytest.raises(ConfigError, match="no foundation folder here"):
        export(ExportConfig(foundation=tmp_path / "missing", out=tmp_path / "out"))
    with pytest.raises(ConfigError, match="'foundation' is missing"):
        core_config.load(ExportConfig, overrides=["--to", "hf"])
    with pytest.raises(ConfigError, match="to: input should be 'hf', got 'onxx'"):
        core_config.load(ExportConfig, overrides=[str(made.path), "--to", "onxx"])
    save(tmp_path / "cnn", create_model("resnet10", crop=16), input_contract=InputContract(), lineage={}, card_facts={})
    with pytest.raises(ConfigError, match="holds a resnet10. Only ViTs can be exported"):
        export(ExportConfig(foundation=tmp_path / "cnn", out=tmp_path / "out"))


def test_a_tampered_foundation_is_not_exported(made, tmp_path):
    (made.path / "README.md").write_text("another card")
    with pytest.raises(IntegrityError):
        export(ExportConfig(foundation=made.path, out=tmp_path / "out"))


def test_another_foundation_is_not_overwritten_in_silence(made, tmp_path):
    export(ExportConfig(foundation=made.path, out=tmp_path / "out"))
    with torch.no_grad():
        made.model.norm.bias.add_(1)
    save(tmp_path / "g", made.model, input_contract=made.contract, lineage={}, card_facts={})
    with pytest.raises(ConfigError, match="exists already"):
        export(ExportConfig(foundation=tmp_path / "g", out=tmp_path / "out"))
    assert export(ExportConfig(foundation=tmp_path / "g", out=tmp_path / "out", overwrite=True)).fresh


def test_the_configuration_is_read_without_torch():
    code = "import sys; from rnfm.foundation import ExportConfig; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
