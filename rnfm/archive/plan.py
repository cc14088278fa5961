"""What will be written, known before the first voxel is read: the samples, their keys and subsets, the layout, the bill."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rnfm.archive.manifest import KEY, SUBSETS
from rnfm.archive.order import MOST_LANES
from rnfm.archive.samples import npy_header
from rnfm.archive.tar import BLOCK, END, padded
from rnfm.core.errors import DataError

if TYPE_CHECKING:
    from rnfm.archive.shard import ShardConfig

MB = 1_000_000
SHARD_MB = (64, 1024)
META_BYTES = 1024  # a meta.json is about 600 bytes
MANIFEST_BYTES = 512  # a row, generously


@dataclass(frozen=True)
class Planned:
    """One sub-volume to cut: the k-th of its scan."""

    key: str
    subset: str
    scan: str
    k: int


@dataclass(frozen=True)
class Bill:
    """What an archive will cost at most: Zarr compresses, and scans without a mask have no mask member."""

    samples: dict[str, int]
    shards: int
    bytes: int

    def text(self) -> str:
        counts = " + ".join(f"{count} {subset}" for subset, count in self.samples.items())
        return f"bill: {counts} sub-volumes, {self.shards} shards, at most {self.bytes / MB:.1f} MB"


@dataclass(frozen=True)
class Plan:
    """The samples in the order of their keys, and how many of them stand in one shard."""

    samples: list[Planned]
    per_shard: int
    bill: Bill

    def shards(self) -> Iterator[tuple[str, list[Planned]]]:
        """(name without suffix, samples): shards hold one subset each, and samples in the order of keys."""
        for subset in SUBSETS:
            mine = [sample for sample in self.samples if sample.subset == subset]
            for number in range(0, len(mine), self.per_shard):
                yield f"{subset}-{number // self.per_shard:05d}", mine[number : number + self.per_shard]


def make(scans: Any, split_table: Any | None, config: ShardConfig, thing: object) -> Plan:
    """The plan for a table of scans (`scan`, `patient`); raises DataError if there is nothing to train on."""
    subset_of = _subsets(scans, split_table, thing)
    bad = [scan for scan in scans["scan"] if not KEY.fullmatch(f"{scan}-0000")]
    if bad:
        raise DataError(thing, f"{len(bad)} scan codes break the rule {KEY.pattern}", "Index the scans again")
    samples = [
        Planned(f"{scan}-{k:04d}", subset_of[patient], scan, k)
        for scan, patient in zip(scans["scan"], scans["patient"], strict=True)
        if patient in subset_of
        for k in range(config.per_scan)
    ]
    samples.sort(key=lambda sample: sample.key)
    counts = Counter(sample.subset for sample in samples)
    if not counts["train"]:
        raise DataError(thing, "no scan of it is for training", "Give volumes and a split of the same patients")
    total = len(samples) * sample_bytes(config.crop)
    target = shard_bytes(total, config.shard_mb)
    per_shard = max(1, min(target // sample_bytes(config.crop), max(counts.values())))
    shards = sum(-(-count // per_shard) for count in counts.values())
    bill = Bill(
        {subset: counts[subset] for subset in SUBSETS},
        shards,
        total + shards * len(END) + len(samples) * MANIFEST_BYTES,
    )
    return Plan(samples, per_shard, bill)


def sample_bytes(crop: tuple[int, int, int]) -> int:
    """The most one sample takes in a tar: three headers, image, mask and meta, each padded to whole blocks."""
    voxels = len(npy_header(crop)) + crop[0] * crop[1] * crop[2]
    return 3 * BLOCK + 2 * padded(voxels) + META_BYTES


def shard_bytes(total: int, shard_mb: float | None) -> int:
    """Size of a shard: 8 shards a lane, so that a lane mixes many, but neither tiny files nor huge ones."""
    if shard_mb is not None:
        return int(shard_mb * MB)
    low, high = (size * MB for size in SHARD_MB)
    return min(max(total // (8 * MOST_LANES), low), high)


def _subsets(scans: Any, split_table: Any | None, thing: object) -> dict[str, str]:
    """Subset of each patient that is used; patients of role `external` are not in it."""
    patients = set(scans["patient"])
    if split_table is None:
        return dict.fromkeys(patients, "train")
    role_of = dict(zip(split_table["patient"], split_table["role"], strict=True))
    strangers = patients - set(role_of)
    if strangers:
        raise DataError(
            thing,
            f"{len(strangers)} of its {len(patients)} patients have no role in the split",
            "Split the cohort that the volumes were made from",
        )
    used = {patient: role_of[patient] for patient in patients if role_of[patient] != "external"}
    return {patient: "val" if role == "holdout" else "train" for patient, role in used.items()}
