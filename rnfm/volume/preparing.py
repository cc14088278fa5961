"""`rnfm data prepare`: every scan of a cohort into one archive of canonical volumes (docs/pipeline.md, section 3).

    cohort.parquet + key table --one scan at a time, in any number of processes--> staged shards + one record a scan
    records, in the order of the cohort --duplicates out, budget checked, rows given out--> volumes.zarr, tables, ledgers

A scan that cannot be used is listed in quarantine.jsonl under its code and left out; only more of them than the error
budget allows end the stage, and then nothing is published but the ledger, beside the output. The key table is the one
place that knows source paths; they are read here and appear in nothing that is written or said.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from pydantic import field_validator

from rnfm.core import artifact
from rnfm.core.artifact import Artifact
from rnfm.core.config import Config, Field, positional
from rnfm.core.contract import InputContract, IntensityRule
from rnfm.core.errors import ConfigError
from rnfm.core.ledger import Ledger

KIND, VERSION = "volumes", 1
METHOD = 1  # raised when the same settings give other voxels, so that old archives are made again


class PrepareConfig(Config):
    """Make canonical volumes: safe reading, RAS axes, spacing, intensity rule, foreground box, masks, one archive."""

    cohort: Path = positional("cohort folder, written by `rnfm data index`")
    keys: Path | None = Field(None, description="key table with the source paths; default <cohort>.keys.csv")
    out: Path = Field(description="volume archive to write (a folder)")
    spacing_mm: tuple[float, float, float] = Field(
        (1.0, 1.0, 1.0), description="voxel size of the canonical volumes along right, anterior, superior [mm]"
    )
    intensity: IntensityRule = Field(default=IntensityRule(), description="how raw values become numbers")
    margin_mm: float = Field(4.0, ge=0, le=100, description="kept around the box of foreground and lesions [mm]")
    workers: int = Field(1, ge=1, le=256, description="processes that prepare scans; changes no byte of the result")
    max_bad: float = Field(
        0.001, ge=0, le=1, description="error budget: share of scans that may be refused (one scan always may)"
    )
    overwrite: bool = Field(False, description="replace an archive made with other settings")

    @field_validator("spacing_mm")
    @classmethod
    def _plausible(cls, spacing_mm: tuple[float, float, float]) -> tuple[float, float, float]:
        if not all(0.1 <= mm <= 20 for mm in spacing_mm):
            raise ValueError("each must lie between 0.1 and 20 mm")
        return spacing_mm

    def contract(self) -> InputContract:
        """What a reader of the archive must agree to."""
        return InputContract(spacing_mm=self.spacing_mm, intensity=self.intensity)

    def result_hash(self) -> str:
        """Hash of the settings that change a voxel; paths, workers and the budget do not."""
        settings = self.model_dump(mode="json", include={"spacing_mm", "intensity", "margin_mm"})
        return hashlib.sha256(json.dumps([METHOD, settings], sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class PrepareResult:
    """What stands at `path`: scans by geometry, and the counts of refusals and findings by reason."""

    path: Path
    fresh: bool
    geometries: dict[str, int]
    refused: dict[str, int]
    findings: dict[str, int]

    @property
    def scans(self) -> int:
        return sum(self.geometries.values())

    def summary(self) -> str:
        """A few lines for people."""
        shapes = ", ".join(f"{n} of {name[1:]}" for name, n in sorted(self.geometries.items()))
        lines = [
            f"volumes: {self.scans} scans in {self.path}" + ("" if self.fresh else " (up to date)"),
            f"sizes in voxels: {shapes}",
        ]
        for title, counts in (("refused", self.refused), ("findings (used, but look)", self.findings)):
            if counts:
                lines.append(f"{title}: " + ", ".join(f"{n} {reason}" for reason, n in sorted(counts.items())))
        return "\n".join([*lines, f"next: rnfm data qc {self.path} to look, rnfm data shard {self.path} to cut"])


def prepare(config: PrepareConfig) -> PrepareResult:
    """Run the stage. Raises ConfigError for paths, DataError over the error budget; publishes whole or not at all."""
    cohort = Artifact.open(config.cohort, "cohort", 1)
    inputs = {"cohort": cohort.digest}
    standing = artifact.current(config.out, KIND, config.result_hash(), inputs)
    if standing is not None:
        return _result(standing, fresh=False)
    artifact.require_free(config.out, config.overwrite)
    from rnfm.volume import production, sources

    scans = sources.find_scans(cohort, keys_path(config))
    contract = {"input": config.contract().as_dict(), "pad_vox": 16}
    lineage = {"config_hash": config.result_hash(), "inputs": inputs}
    with artifact.publish(
        config.out, KIND, VERSION, contract=contract, lineage=lineage, overwrite=config.overwrite
    ) as draft:
        production.produce(draft.path, cohort, scans, config)
    return _result(Artifact.open(config.out, KIND, VERSION), fresh=True)


def keys_path(config: PrepareConfig) -> Path:
    """The key table given, or the one that `index` wrote beside the cohort. Raises ConfigError if it is not there."""
    path = config.keys or config.cohort.with_name(config.cohort.name + ".keys.csv")
    if not path.is_file():
        raise ConfigError(path, "no key table here, so the source scans cannot be found", "Give it with --keys")
    return path


def _result(standing: Artifact, fresh: bool) -> PrepareResult:
    import pyarrow.parquet as parquet

    geometries = parquet.read_table(standing.file("scans.parquet"), columns=["geometry"])["geometry"].to_pylist()
    refused, findings = (
        dict(Counter(str(entry.reason) for entry in Ledger.read(standing.file(name))))
        for name in ("quarantine.jsonl", "findings.jsonl")
    )
    return PrepareResult(standing.path, fresh, dict(Counter(geometries)), refused, findings)
