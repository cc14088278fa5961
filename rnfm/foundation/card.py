"""The model card, in the form the Hugging Face hub reads: YAML front matter, then Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from rnfm.core import InputContract

USE = """\
## Intended use

Research on contrast-enhanced T1 MRI of the brain: features for small labelled cohorts. **Not a medical device**; nothing it
returns may guide the care of a patient. It knows the scanners and populations of its training data and no others: test it on
your own data first.
"""

LOAD = """\
## Loading

```python
import torch
from rnfm import foundation

model, report = foundation.load("path/of/this/folder")
print(report.summary())
embedding = model(torch.zeros({shape}))  # (1, {dim})
```
"""


def foundation_card(
    architecture: Mapping[str, Any],
    contract: InputContract,
    lineage: Mapping[str, Any],
    facts: Mapping[str, Any],
    parameters: int,
) -> str:
    """The whole card. Patients are counted, never named; `facts` are shown as they are given."""
    shape = f"1, {architecture['in_channels']}, {', '.join(str(size) for size in architecture['crop'])}"
    return "\n".join(
        [
            front_matter(facts),
            f"# {architecture['name']}: a foundation for T1CE MRI\n",
            f"{parameters:,} parameters, pre-trained without labels by rnfm.\n",
            _table("## Input contract", contract_rows(contract)),
            _table("## Architecture", dict(architecture)),
            _table("## Training", _training_rows(lineage)),
            _table("## Facts", {key: value for key, value in facts.items() if key != "license"}),
            USE,
            LOAD.format(shape=shape, dim=architecture.get("dim", "width")),
        ]
    )


def front_matter(facts: Mapping[str, Any]) -> str:
    """The hub's YAML head. Weights inherit the terms of their data, so the licence is 'other' unless it is given."""
    head = {
        "license": str(facts.get("license", "other")),
        "library_name": "rnfm",
        "pipeline_tag": "image-feature-extraction",
        "tags": ["medical-imaging", "mri", "3d", "vision-transformer", "self-supervised-learning"],
    }
    return f"---\n{yaml.safe_dump(head, sort_keys=False)}---\n"


def contract_rows(contract: InputContract) -> dict[str, Any]:
    """What an input must be, by name, with units."""
    return {
        "axes of D, H, W": f"{contract.axes} (right, anterior, superior)",
        "voxel size": " x ".join(f"{size:g}" for size in contract.spacing_mm) + " mm",
        "brain": ", ".join(str(value) for value in contract.brain.as_dict().values() if value != []),
        "bias field": contract.bias.rule,
        "intensity": ", ".join(f"{key} {value}" for key, value in contract.intensity.as_dict().items() if value != []),
        "channels": ", ".join(contract.channels),
        "crop": " x ".join(str(size) for size in contract.crop or ()) + " voxels",
    }


def _training_rows(lineage: Mapping[str, Any]) -> dict[str, Any]:
    rows = {key: value for key, value in lineage.items() if isinstance(value, str | int | float) and value != ""}
    rows |= {f"input: {role}": digest for role, digest in lineage.get("inputs", {}).items()}
    return rows | ({"patients seen": len(lineage["patients"])} if "patients" in lineage else {})


def _table(title: str, rows: Mapping[str, Any]) -> str:
    if not rows:
        return ""
    lines = [title, "", "| | |", "|---|---|"]
    return "\n".join(
        lines + [f"| {_cell(key.replace('_', ' '))} | {_cell(value)} |" for key, value in rows.items()] + [""]
    )


def _cell(value: Any) -> str:
    """One line of text that cannot break out of its table cell."""
    text = ", ".join(str(part) for part in value) if isinstance(value, list | tuple) else str(value)
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
