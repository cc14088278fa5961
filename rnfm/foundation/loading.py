"""Reading a foundation: verified bytes, a checked input contract, and a report on every parameter.

digests verified -> contract compared with what will be fed -> network built, with the changes asked for
-> weights adapted (`rnfm.model.surgery`) -> (model, LoadReport)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from safetensors.torch import load_file

from rnfm.core import InputContract, config
from rnfm.core.artifact import Artifact
from rnfm.core.errors import ConfigError
from rnfm.model.backbone import Backbone
from rnfm.model.registry import create_model, names
from rnfm.model.surgery import adapt

VERSION = 1  # of the folder's format, for every kind read here


@dataclass(frozen=True)
class LoadReport:
    """What was loaded, and what became of each parameter (`adapted`, `new`, `unused`: name -> how or why).

    `contract` is the input the weights were made for; `differences` are sentences on what the caller's data (`expect`)
    break of it, always empty unless `strict_contract=False`.
    """

    path: Path
    digest: str
    architecture: dict[str, Any]
    contract: InputContract
    lineage: dict[str, Any]
    loaded: tuple[str, ...]
    adapted: dict[str, str]
    new: dict[str, str]
    unused: dict[str, str]
    differences: tuple[str, ...]

    def summary(self) -> str:
        """A few lines for people: counts first, then every parameter that was not simply loaded."""
        counts = (
            f"{len(self.loaded)} parameters loaded, {len(self.adapted)} adapted, {len(self.new)} new, "
            f"{len(self.unused)} unused"
        )
        lines = [f"{self.architecture['name']} {self.digest[:12]}: {counts}"]
        for fate in ("adapted", "new", "unused"):
            lines += [f"  {fate} {name}: {how}" for name, how in getattr(self, fate).items()]
        return "\n".join(lines + [f"  warning: {sentence}" for sentence in self.differences])


def load(
    uri: Path | str,
    *,
    in_channels: int | None = None,
    crop: tuple[int, int, int] | None = None,
    num_classes: int | None = None,
    pooling: str | None = None,
    strict_contract: bool = True,
    expect: InputContract | None = None,
    kind: Literal["foundation", "classifier"] = "foundation",
) -> tuple[Backbone, LoadReport]:
    """The model of an artefact, in evaluation mode on the CPU, and the report on its parameters.

    `in_channels` (more than it has), `crop` [voxel], `num_classes` and `pooling` change the network, `expect` is the
    contract of the data that will be fed to it: its channels and crop hold where the other arguments are not given.
    Raises ConfigError for no such artefact, for an adaptation that cannot be made, and, with `strict_contract`, for data
    that break the contract; IntegrityError if the bytes are not what was published.
    """
    artifact = open_verified(uri, kind)
    contract = _input_of(artifact)
    differences = _differences(contract, expect)
    if differences and strict_contract:
        raise ConfigError(
            artifact.path,
            f"was made for other input: {'; '.join(differences)}",
            "Prepare the data by its contract, or pass strict_contract=False to use it all the same",
        )
    if expect is not None:
        in_channels, crop = _merged(in_channels, crop, expect)
    changes = {"in_channels": in_channels, "crop": crop, "num_classes": num_classes, "pooling": pooling}
    source = _architecture_of(artifact, contract)
    model = create_model(**source | {key: value for key, value in changes.items() if value is not None})
    coverage = adapt(model, load_file(artifact.file("model.safetensors")), source=source)
    report = LoadReport(
        path=artifact.path,
        digest=artifact.digest,
        architecture=model.architecture,
        contract=contract,
        lineage=artifact.lineage,
        loaded=tuple(coverage.loaded),
        adapted=coverage.adapted,
        new=coverage.new,
        unused=coverage.unused,
        differences=tuple(differences),
    )
    return model.eval(), report


def open_verified(uri: Path | str, kind: str = "foundation") -> Artifact:
    """The artefact with every byte checked against its digests."""
    if ":/" in str(uri):
        raise ConfigError(uri, "is no local folder", "Fetch it first with `rnfm models pull`, and give the folder")
    artifact = Artifact.open(uri, kind, VERSION)
    artifact.require_intact(deep=True)
    return artifact


def _input_of(artifact: Artifact) -> InputContract:
    try:
        return config.from_dict(InputContract, dict(artifact.contract["input"]))
    except (ConfigError, KeyError, TypeError, ValueError) as error:
        cause = error.cause if isinstance(error, ConfigError) else "it is missing"
        raise ConfigError(
            artifact.path, f"has an input contract we cannot keep: {cause}", "Make it again with this release"
        ) from None


def _differences(contract: InputContract, expect: InputContract | None) -> list[str]:
    """Sentences on what the caller's data break; further channels and another crop are adapted, not refused."""
    if expect is None:
        return []
    found = contract.differences(expect)
    known = len(contract.channels)
    if expect.channels[:known] != contract.channels:
        found.append(f"channels are {expect.channels}, expected to begin with {contract.channels}")
    return found


def _merged(
    in_channels: int | None, crop: tuple[int, int, int] | None, expect: InputContract
) -> tuple[int, tuple[int, int, int] | None]:
    channels = len(expect.channels)
    if in_channels not in (None, channels):
        raise ConfigError(
            "in_channels", f"is {in_channels}, the expected input has {channels}", "Leave one of the two out"
        )
    if crop is not None and expect.crop is not None and tuple(crop) != expect.crop:
        raise ConfigError("crop", f"is {crop}, the expected input has {expect.crop}", "Leave one of the two out")
    return channels, crop or expect.crop


def _architecture_of(artifact: Artifact, contract: InputContract) -> dict[str, Any]:
    """The arguments of `create_model` that the weights were made with."""
    architecture = artifact.contract.get("architecture")
    if not isinstance(architecture, dict) or architecture.get("name") not in names():
        raise ConfigError(artifact.path, "names no architecture that we know", "Make it again with this release")
    if len(contract.channels) != architecture.get("in_channels"):
        raise ConfigError(
            artifact.path,
            f"its contract names {len(contract.channels)} channels, its architecture takes "
            f"{architecture.get('in_channels')}",
            "Make it again with this release",
        )
    return architecture
