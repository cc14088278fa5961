"""`rnfm data overlap`: do two cohorts share patients (by code) or scans (by the hash of their voxels)?

Codes tell the truth only within one key table; voxel hashes, which `rnfm data prepare` computes on the decoded source,
find exact copies under any name. Copies that were flipped, resampled or noised are not found here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rnfm.core.artifact import Artifact
from rnfm.core.config import Config, positional
from rnfm.core.errors import DataError, IntegrityError

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 10


class OverlapConfig(Config):
    """Find patients and scans that two cohorts share."""

    first: Path = positional("cohort or volumes folder")
    second: Path = positional("cohort or volumes folder to compare it with")


@dataclass(frozen=True)
class OverlapResult:
    """`found` is the number of shared patients plus shared scans; the command's exit code is 3 when it is not 0."""

    path: Path
    other: Path
    patients: tuple[str, ...]
    scans: tuple[tuple[str, str], ...]
    compared: tuple[str, ...]
    remarks: tuple[str, ...]

    @property
    def found(self) -> int:
        return len(self.patients) + len(self.scans)

    @property
    def exit_code(self) -> int:
        return DataError.exit_code if self.found else 0

    def summary(self) -> str:
        verdict = f"{self.found} overlaps found" if self.found else "no overlap found"
        pairs = [f"{first} = {second}" for first, second in self.scans]
        return "\n".join(
            [
                f"overlap of {self.path} and {self.other}: {verdict} (compared: {', '.join(self.compared)})",
                *([f"shared patients, {len(self.patients)}: {_listed(self.patients)}"] if self.patients else []),
                *([f"scans with equal voxels, {len(pairs)}: {_listed(pairs)}"] if pairs else []),
                *(f"warning: {remark}" for remark in self.remarks),
                "next: leave shared patients out of one side"
                if self.found
                else f"next: rnfm data split {self.path} --external {self.other} --out SPLIT",
            ]
        )


def overlap(config: OverlapConfig) -> OverlapResult:
    """Compare patient codes, and voxel hashes if both are volumes. ConfigError, IntegrityError for the folders."""
    from rnfm.cohort import table

    (first, one), (second, two) = table.open_cohort(config.first), table.open_cohort(config.second)
    patients = tuple(sorted(set(one["patient"]) & set(two["patient"])))
    scans: tuple[tuple[str, str], ...] = ()
    compared, remarks = ["patient codes"], []
    if first.kind == second.kind == "volumes":
        compared.append("voxel hashes")
        scans = _equal_voxels(_hashes(first), _hashes(second))
    else:
        remarks.append("scans were not compared: that needs two volumes folders (`rnfm data prepare`)")
    tables = [opened.contract.get("key_table") for opened in (first, second)]
    if None not in tables and tables[0] != tables[1]:
        remarks.append("two key tables were used, so equal patients have different codes: only scans can tell")
    return OverlapResult(config.first, config.second, patients, scans, tuple(compared), tuple(remarks))


def _hashes(volumes: Artifact) -> dict[str, list[str]]:
    """Voxel hash -> scan codes."""
    import pyarrow.parquet as pq

    frame: pd.DataFrame = pq.read_table(volumes.file("scans.parquet")).to_pandas()
    if not {"scan", "voxels_sha256"} <= set(frame.columns):
        raise IntegrityError(volumes.path, "scans.parquet has no voxel hashes", "Make the volumes again")
    found: dict[str, list[str]] = {}
    for scan, digest in zip(frame["scan"], frame["voxels_sha256"], strict=True):
        found.setdefault(digest, []).append(scan)
    return found


def _equal_voxels(one: Mapping[str, list[str]], two: Mapping[str, list[str]]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((a, b) for digest in set(one) & set(two) for a in one[digest] for b in two[digest]))


def _listed(items: Sequence[str]) -> str:
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return ", ".join(items[:SHOWN]) + more
