"""The classifier artefact: what is loaded gives what was saved; damage is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rnfm.core import InputContract, IntegrityError
from rnfm.downstream.calibrate import Calibration
from rnfm.downstream.classifier import load_classifier, save_classifier
from rnfm.downstream.network import Network
from rnfm.model import create_model


@pytest.fixture
def saved(tmp_path) -> tuple[Path, Network, Calibration]:
    torch.manual_seed(0)
    model = create_model("vit_micro", in_channels=2, num_classes=1, crop=16, patch=8, pooling="mask").eval()
    network, calibration = Network(model, shift=-0.7, losses=(1.0,)), Calibration(0.8, 0.3, 0.4)
    save_classifier(
        tmp_path / "c",
        network,
        calibration,
        input_contract=InputContract(),
        method="m",
        foundation=None,
        lesion_volume_mm3=[30.0, 10.0, 20.0],
        lineage={"config_hash": "h", "inputs": {}, "patients": ["P-1"]},
        overwrite=False,
    )
    return tmp_path / "c", network, calibration


def test_what_is_loaded_gives_the_calibrated_probability_of_what_was_saved(saved):
    path, network, calibration = saved
    loaded = load_classifier(path)
    x = torch.randn(1, 2, 16, 16, 16)
    with torch.inference_mode():
        expected = calibration.probability(np.array([float(network.model(x)[0, 0]) - 0.7]))[0]
    assert loaded.probability(x) == pytest.approx(expected, abs=1e-7)
    assert loaded.calibration.threshold == 0.4
    assert loaded.lesion_volume_mm3 == (10.0, 30.0)


def test_the_contract_says_what_a_reader_must_agree_to(saved):
    contract = load_classifier(saved[0]).artifact.contract
    assert set(contract) == {
        "architecture",
        "input",
        "method",
        "threshold",
        "calibration",
        "foundation",
        "lesion_volume_mm3",
    }
    assert contract["input"]["channels"] == ["t1ce", "lesion_mask"]
    assert contract["input"]["crop"] == [16, 16, 16]
    assert contract["architecture"]["pooling"] == "mask"


def test_a_flipped_bit_is_refused(saved):
    weights = saved[0] / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(IntegrityError, match=r"model.safetensors has other content than was published"):
        load_classifier(saved[0])
