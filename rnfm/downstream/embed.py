"""Embeddings of lesions by a frozen foundation: nothing is learned here, so no split is needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rnfm.core.config import Config, Field, positional

KIND, VERSION, FILE = "embeddings", 1, "embeddings.parquet"
Part = Literal["lesion", "rim", "cls", "mean"]


class EmbedConfig(Config):
    """One vector a lesion, from the tokens of a frozen foundation."""

    foundation: Path = positional("foundation artefact (`rnfm pretrain` writes it to RUN/foundation)")
    volumes: list[Path] = Field(description="volume archives (`rnfm data prepare`)", min_length=1)
    out: Path = Field(description="folder for the embeddings")
    pooling: list[Part] = Field(
        ["lesion", "rim", "cls"],
        description="parts joined to one vector: patch tokens weighted by lesion or by its rim, class token, mean of all tokens",
        min_length=1,
    )
    rim_vox: int = Field(4, ge=1, description="width of the rim: this far outside the lesion [voxel]")
    batch: int = Field(16, ge=1, description="lesions at once")
    labelled: bool = Field(True, description="labelled lesions only")
    max_bad: float = Field(
        0.05, ge=0, le=1, description="part of the lesions that may lack a mask and are then left out"
    )
    overwrite: bool = Field(False, description="replace embeddings made with other settings or inputs")


@dataclass(frozen=True)
class EmbedResult:
    path: Path
    fresh: bool
    lesions: int
    dim: int
    warnings: tuple[str, ...] = ()

    def summary(self) -> str:
        """Counts, what was left out, what to do next."""
        head = f"{self.lesions} lesions, {self.dim} numbers each" if self.fresh else "up to date: nothing to do"
        return "\n".join([head, *self.warnings, f"next: rnfm fuse {self.path} --split SPLIT --out FUSED"])


def embed(config: EmbedConfig) -> EmbedResult:
    """Embed the lesions of `volumes`. Raises ConfigError if the foundation expects other inputs, DataError as `load_lesions`."""
    from rnfm.core import artifact as artifacts
    from rnfm.core.artifact import Artifact
    from rnfm.core.contract import InputContract
    from rnfm.downstream.lesions import load_lesions, require_same_input
    from rnfm.downstream.lineage import result_hash

    foundation = Artifact.open(config.foundation, "foundation")
    lesions = load_lesions(config.volumes, labelled=config.labelled, max_bad=config.max_bad)
    expected = InputContract.model_validate(foundation.contract["input"])
    require_same_input(config.volumes[0], lesions.contract, expected)
    settings = result_hash(config, "foundation", "volumes", "batch")
    inputs = {**lesions.inputs, "foundation": foundation.digest}
    warnings = tuple(f"left out: {reason}" for reason in lesions.left_out)
    standing = artifacts.current(config.out, KIND, settings, inputs)
    if standing:
        return EmbedResult(config.out, False, len(lesions), standing.contract["dim"], warnings)
    artifacts.require_free(config.out, config.overwrite)

    import pyarrow.parquet as pq

    from rnfm.downstream.embedding import embeddings, large_lesions, table_of

    vectors_NE, crop = embeddings(config, lesions)
    lineage = {"config_hash": settings, "inputs": inputs, "patients": sorted(set(lesions.table["patient"]))}
    contract = {"foundation": foundation.digest, "dim": vectors_NE.shape[1], "pooling": list(config.pooling)}
    with artifacts.publish(
        config.out, KIND, VERSION, contract=contract, lineage=lineage, overwrite=config.overwrite
    ) as draft:
        pq.write_table(table_of(lesions, vectors_NE), draft.path / FILE)
    return EmbedResult(config.out, True, len(lesions), vectors_NE.shape[1], (*warnings, *large_lesions(lesions, crop)))
