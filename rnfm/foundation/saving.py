"""Writing a foundation.

foundation/
+-- model.safetensors      the backbone's state, float32
+-- decoder.safetensors    optional: what the objective needs to restore voxels
+-- README.md              the model card
+-- config.json            kind "foundation", contract {"architecture", "input"}
+-- lineage.json           what it was made from
+-- digests.json           see `rnfm.core.artifact`
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from rnfm.core import InputContract, files
from rnfm.core.artifact import Artifact, publish
from rnfm.core.errors import ConfigError, DataError
from rnfm.foundation import card
from rnfm.foundation.loading import VERSION
from rnfm.model.backbone import Backbone

KIND = "foundation"


def save(
    path: Path | str,
    model: Backbone,
    *,
    input_contract: InputContract,
    lineage: Mapping[str, Any],
    card_facts: Mapping[str, Any],
    decoder: nn.Module | None = None,
    overwrite: bool = False,
) -> Artifact:
    """Publish `model` as a foundation at `path` and return the opened artefact.

    `input_contract`: what the model was trained on; its channels and crop must be the model's (a crop of none is filled
    in). `lineage`: `inputs {role: digest}`, `patients`, `objective`, `steps`, `run_id`, ... `card_facts`: label -> text or
    number for the card's table; the key `license` is the licence of the weights.
    Raises ConfigError if contract and model disagree or `path` is taken, DataError if a weight is not finite.
    """
    contract = _agreed(input_contract, model)
    tensors = {"model": _state(model)} | ({"decoder": _state(decoder)} if decoder is not None else {})
    parts = {"architecture": model.architecture, "input": contract.as_dict()}
    with publish(path, KIND, VERSION, contract=parts, lineage=lineage, overwrite=overwrite) as draft:
        for name, state in tensors.items():
            write_tensors(draft.path / f"{name}.safetensors", state)
        text = card.foundation_card(model.architecture, contract, lineage, card_facts, _count(tensors["model"]))
        files.write_text(draft.path / "README.md", text)
    return Artifact.open(path, KIND, VERSION)


def write_tensors(path: Path, state: Mapping[str, Tensor]) -> None:
    """One safetensors file, readable like any other (the library's own writer leaves it to its owner, mode 0600)."""
    files.write_bytes(path, to_bytes(dict(state), metadata={"format": "pt"}))


def _agreed(contract: InputContract, model: Backbone) -> InputContract:
    """The contract with the model's crop; raises ConfigError if it speaks of other input than the model takes."""
    if len(contract.channels) != model.in_channels:
        raise ConfigError(
            "input contract",
            f"names {len(contract.channels)} channels, the model takes {model.in_channels}",
            "Name each channel of the model, in order",
        )
    if contract.crop not in (None, model.crop):
        raise ConfigError("input contract", f"crop {contract.crop} is not the model's {model.crop}", "Give the model's")
    return contract.model_copy(update={"crop": model.crop})


def _state(module: nn.Module) -> dict[str, Tensor]:
    """The module's state as plain CPU tensors: float32 for all that is a real number."""
    state = {}
    for name, value in module.state_dict().items():
        tensor = value.detach().to("cpu", torch.float32 if value.is_floating_point() else value.dtype)
        if not torch.isfinite(tensor).all():
            raise DataError(name, "holds values that are not finite", "Train again with a lower learning rate")
        state[name] = tensor.contiguous().clone()
    return state


def _count(state: Mapping[str, Tensor]) -> int:
    return sum(tensor.numel() for tensor in state.values())
