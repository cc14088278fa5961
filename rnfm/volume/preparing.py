"""`rnfm data prepare`: every scan of a cohort into one archive of canonical volumes (docs/pipeline.md, section 3).

    cohort.parquet + key table --one scan at a time, in any number of processes, here or on Ray--> finished scans, staged
    finished scans, in the order of the cohort --duplicates out, budget checked, rows given out--> volumes.zarr, tables, ledgers

A scan that cannot be used is listed in quarantine.jsonl under its code and left out; only more of them than the error
budget allows end the stage, and then nothing is published but the ledger, beside the output. The key table is the one
place that knows source paths; they are read here and appear in nothing that is written or said.

Finished scans lie in a work folder beside the output until the archive stands. A run that was killed, failed or ended over
the budget is therefore simply run again: what is finished, and whose source has not changed, is not done twice.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import field_validator

from rnfm.core import artifact
from rnfm.core.artifact import Artifact
from rnfm.core.config import Config, Field, positional
from rnfm.core.contract import BiasRule, BrainRule, InputContract, IntensityRule
from rnfm.core.errors import ConfigError
from rnfm.core.ledger import Ledger

if TYPE_CHECKING:
    from rnfm.volume.brain import BrainSource
    from rnfm.volume.sources import Recipe

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
    fit_on: Path | None = Field(
        None, description="split folder: the landmarks of rule nyul are fitted on its training patients in this cohort"
    )
    landmarks_from: Path | None = Field(
        None, description="volume archive, foundation or classifier whose landmarks of rule nyul are used"
    )
    bias: BiasRule = Field(
        default=BiasRule(), description="bias-field correction before the intensity rule; off by default"
    )
    brain: Literal["none", "mask", "command"] = Field(
        "none",
        description="skull-stripping: none; mask: by the files that `brain_masks` names; command: by the program of `brain_command`",
    )
    brain_masks: str | None = Field(
        None,
        description="file of each scan's brain mask, such as '{folder}/{stem}_brain.nii.gz' beside the scan or '/brains/{code}.nii.gz'",
    )
    brain_command: str | None = Field(
        None, description="command line of the program, such as 'mri_synthstrip -i {input} -o {output} -m {mask}'"
    )
    margin_mm: float = Field(4.0, ge=0, le=100, description="kept around the box of foreground and lesions [mm]")
    workers: int = Field(
        1, ge=1, le=4096, description="processes that prepare scans, with Ray on all nodes together; changes no byte"
    )
    engine: Literal["local", "ray"] = Field(
        "local",
        description="local: this machine; ray: a running Ray cluster whose nodes share this file system; changes no byte",
    )
    ray_address: str = Field(
        "auto", min_length=1, description="with engine ray: host:port of the head; auto: the cluster of this machine"
    )
    scan_seconds: float = Field(600, gt=0, description="a scan that takes longer is ended and refused as timed_out [s]")
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
        source = self.brain_source()
        program = Path(source.command[0]).name if source is not None and source.command else ""
        brain = BrainRule(rule=self.brain, program=program)
        return InputContract(spacing_mm=self.spacing_mm, brain=brain, bias=self.bias, intensity=self.intensity)

    def brain_source(self) -> BrainSource | None:
        """Where brain masks come from. Raises ConfigError for settings that contradict each other, or a program that is not there."""
        if self.brain == "none" and self.brain_masks is None and self.brain_command is None:
            return None
        from rnfm.volume.brain import source_of

        return source_of(self.brain, self.brain_masks, self.brain_command, timeout_s=0.9 * self.scan_seconds)

    def result_hash(self) -> str:
        """Hash of the settings that change a voxel; paths, workers and the budget do not."""
        changing = {"spacing_mm", "intensity", "bias", "brain", "brain_masks", "brain_command", "margin_mm"}
        settings = self.model_dump(mode="json", include=changing)
        return hashlib.sha256(json.dumps([METHOD, settings], sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class PrepareResult:
    """What stands at `path`: scans by geometry, counts of refusals and findings by reason, scans an earlier run had done."""

    path: Path
    fresh: bool
    geometries: dict[str, int]
    refused: dict[str, int]
    findings: dict[str, int]
    resumed: int = 0

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
        if self.resumed:
            lines.append(f"{self.resumed} scans had been finished by an earlier run")
        for title, counts in (("refused", self.refused), ("findings (used, but look)", self.findings)):
            if counts:
                lines.append(f"{title}: " + ", ".join(f"{n} {reason}" for reason, n in sorted(counts.items())))
        return "\n".join([*lines, f"next: rnfm data qc {self.path} to look, rnfm data shard {self.path} to cut"])


def prepare(config: PrepareConfig, recipes: Mapping[str, Recipe] | None = None) -> PrepareResult:
    """Run the stage; run again after any interruption it goes on where it was, and the archive has the same bytes.

    `recipes`: scans, by code, whose files do not exist but can be written: `recipe(folder)` writes them into an empty
    folder and returns (image path, mask path or None). They are prepared by the same code, in the same processes, so a
    recipe must be picklable and its module importable; it overrides what the key table says of its scan.

    Raises ConfigError for paths, settings, too little disk, a second run on the same output or an absent Ray cluster;
    DataError over the error budget. Publishes whole or not at all.
    """
    cohort = Artifact.open(config.cohort, "cohort", 1)
    from rnfm.volume import landmarks, workfolder

    config_hash, inputs = config.result_hash(), {"cohort": cohort.digest, **landmarks.inputs_of(config)}
    standing = artifact.current(config.out, KIND, config_hash, inputs)

    if standing is not None:
        workfolder.remove_all(config.out)
        return _result(standing, fresh=False)
    artifact.require_free(config.out, config.overwrite)
    from rnfm.volume import finishing, gathering, sources

    scans = sources.find_scans(cohort, lambda: keys_path(config), frozenset(recipes or ()))
    config.brain_source()
    with workfolder.opened(config.out, config_hash, "+".join(inputs.values())) as work:
        measure = finishing.measurer(work, recipes or {}, config)
        config = landmarks.settled(config, scans, measure, work.path / "landmarks.json")
        done = finishing.finish_all(work, cohort, scans, recipes or {}, config)
        judged = gathering.judge(scans, done.records)
        gathering.require_within_budget(judged[1], len(scans), config)
        contract = {"input": config.contract().as_dict(), "pad_vox": 16}
        lineage = {"config_hash": config_hash, "inputs": inputs}
        with artifact.publish(
            config.out, KIND, VERSION, contract=contract, lineage=lineage, overwrite=config.overwrite
        ) as draft:
            gathering.write(draft.path, cohort, judged, config)
    workfolder.remove_all(config.out)
    return _result(Artifact.open(config.out, KIND, VERSION), fresh=True, resumed=done.resumed)


def keys_path(config: PrepareConfig) -> Path:
    """The key table given, or the one that `index` wrote beside the cohort. Raises ConfigError if it is not there."""
    path = config.keys or config.cohort.with_name(config.cohort.name + ".keys.csv")
    if not path.is_file():
        raise ConfigError(path, "no key table here, so the source scans cannot be found", "Give it with --keys")
    return path


def _result(standing: Artifact, *, fresh: bool, resumed: int = 0) -> PrepareResult:
    import pyarrow.parquet as parquet

    geometries = parquet.read_table(standing.file("scans.parquet"), columns=["geometry"])["geometry"].to_pylist()
    refused, findings = (
        dict(Counter(str(entry.reason) for entry in Ledger.read(standing.file(name))))
        for name in ("quarantine.jsonl", "findings.jsonl")
    )
    return PrepareResult(standing.path, fresh, dict(Counter(geometries)), refused, findings, resumed)
