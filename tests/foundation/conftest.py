"""A tiny foundation on disk, and what it was made from."""

from types import SimpleNamespace

import pytest
import torch

from rnfm.core import InputContract
from rnfm.foundation import save
from rnfm.model import create_model

LINEAGE = {
    "config_hash": "c" * 64,
    "inputs": {"shards": "d" * 64},
    "patients": ["P-00000001", "P-00000002"],
    "objective": "mae",
    "steps": 40,
    "run_id": "run-1",
}


def tiny(seed=0, **settings):
    torch.manual_seed(seed)
    return create_model("vit_micro", **{"crop": 8, "patch": 4, "dim": 24, "depth": 2, "heads": 3, **settings}).eval()


@pytest.fixture
def made(tmp_path):
    """`path`, `artifact`, `model` and `contract` of a saved foundation."""
    model, contract = tiny(), InputContract(spacing_mm=(1.5, 1.5, 1.5))
    path = tmp_path / "foundation"
    facts = {"license": "cc-by-4.0", "scans": 2, "sites": ["A", "B"], "note": "one | two\nthree <b>"}
    artifact = save(path, model, input_contract=contract, lineage=LINEAGE, card_facts=facts)
    return SimpleNamespace(path=path, artifact=artifact, model=model, contract=contract)
