"""`rnfm export`: a foundation for programs that do not know rnfm.

    out/                       an artefact of kind "export", so that it can be verified
    +-- hf/                    the folder to hand on, or to upload to a model hub
        +-- model.safetensors  the backbone, as it was published
        +-- config.json        names of the transformers library, and our input contract
        +-- modeling_rnfm.py   a reader in plain torch (`plain.py` of this room)
        +-- README.md          the card, with the lines that load it

The exported folder is loaded with its own reader and compared with the foundation before it is published.
No torch at import: the command line reads the configuration.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rnfm.core import Config, Field, files
from rnfm.core.artifact import Artifact, current, publish
from rnfm.core.config import positional
from rnfm.core.errors import ConfigError, IntegrityError

if TYPE_CHECKING:
    from rnfm.model.backbone import Backbone

KIND, VERSION = "export", 1
TOLERANCE = 1e-6  # largest allowed difference of a feature, which layer norm keeps near 1

SNIPPET = """\
## Loading without rnfm

Inside this folder, with torch and safetensors:

```python
import torch
from modeling_rnfm import load

model = load(".")
tokens = model(torch.zeros({shape}))  # (1, {tokens}, {dim}): the class token, then the patch tokens
```
"""


class ExportConfig(Config):
    """Export a foundation to a form that other programs read."""

    foundation: Path = positional("folder of the foundation")
    to: Literal["hf"] = Field(
        "hf", description="hf: a folder in the shape of the Hugging Face hub, read by plain torch"
    )
    out: Path = Field(Path("export"), description="folder to write")
    overwrite: bool = Field(False, description="replace an export made with other settings or inputs")


@dataclass(frozen=True)
class ExportResult:
    """`folder` is what to hand on; `difference` the largest between both readers' features (none if it stood already)."""

    path: Path
    folder: Path
    fresh: bool
    difference: float | None

    def summary(self) -> str:
        if not self.fresh:
            return f"{self.folder}: up to date"
        return (
            f"{self.folder}: loads in plain torch, features differ by at most {self.difference:.1e}\n"
            f"next: read {self.folder / 'README.md'} for the lines that load it"
        )


def export(config: ExportConfig) -> ExportResult:
    """Write, check and publish the export. Raises ConfigError for what is no foundation, or no ViT."""
    from rnfm.foundation.loading import load, open_verified

    source = open_verified(config.foundation)
    folder, inputs = config.out / config.to, {"foundation": source.digest}
    settings = hashlib.sha256(json.dumps({"to": config.to}).encode()).hexdigest()
    if current(config.out, KIND, settings, inputs):
        return ExportResult(config.out, folder, fresh=False, difference=None)
    model, _ = load(config.foundation, num_classes=0)
    if not model.has_tokens:
        raise ConfigError(config.foundation, f"holds a {model.architecture['name']}", "Only ViTs can be exported")
    lineage = {"config_hash": settings, "inputs": inputs}
    contract = {"to": config.to, **source.contract}
    with publish(config.out, KIND, VERSION, contract=contract, lineage=lineage, overwrite=config.overwrite) as draft:
        _write_hf(draft.path / config.to, source, model)
        difference = _compare(draft.path / config.to, model)
        if not difference <= TOLERANCE:
            raise IntegrityError(config.out, f"the export's features differ by {difference:.1e}", "Report this fault")
    return ExportResult(config.out, folder, fresh=True, difference=difference)


def _write_hf(folder: Path, source: Artifact, model: Backbone) -> None:
    from rnfm.foundation import plain
    from rnfm.foundation.saving import write_tensors

    folder.mkdir()
    write_tensors(folder / "model.safetensors", model.state_dict())
    files.write_json(folder / "config.json", _hf_config(source, model))
    files.write_text(folder / "modeling_rnfm.py", Path(plain.__file__).read_text())
    shape = f"1, {model.in_channels}, {', '.join(str(size) for size in model.crop)}"
    tokens = 1 + model.grid[0] * model.grid[1] * model.grid[2]
    snippet = SNIPPET.format(shape=shape, tokens=tokens, dim=model.embed_dim)
    files.write_text(folder / "README.md", source.file("README.md").read_text() + "\n" + snippet)


def _hf_config(source: Artifact, model: Backbone) -> dict[str, Any]:
    """The architecture in the transformers library's words, and the input contract in ours."""
    from rnfm.model.vit import NORM_EPS

    ours = model.architecture
    return {
        "model_type": "rnfm-vit",
        "architectures": ["Encoder"],
        "hidden_size": ours["dim"],
        "num_hidden_layers": ours["depth"],
        "num_attention_heads": ours["heads"],
        "intermediate_size": round(ours["dim"] * ours["mlp_ratio"]),
        "image_size": ours["crop"],
        "patch_size": ours["patch"],
        "num_channels": ours["in_channels"],
        "position": ours["position"],
        "layer_norm_eps": NORM_EPS,
        "torch_dtype": "float32",
        "input": source.contract["input"],
        "foundation": source.digest,
    }


def _compare(folder: Path, model: Backbone) -> float:
    """Largest absolute difference of any token between the foundation and the exported folder, on noise."""
    import torch

    from rnfm.core import keyed
    from rnfm.foundation import plain

    noise = keyed.rng(0, "export").standard_normal((1, model.in_channels, *model.crop), dtype="float32")
    x_BCDHW = torch.from_numpy(noise)
    with torch.no_grad():
        features = model.forward_features(x_BCDHW)
        ours = torch.cat((features.cls_BE.unsqueeze(1), features.patch_BNE), dim=1)
        return float((ours - plain.load(folder)(x_BCDHW)).abs().max())
