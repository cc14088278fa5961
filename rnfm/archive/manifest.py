"""The manifest: one row a sample, in the order of keys; what a reader trusts instead of names found in a shard.

It is read whole and checked whole before any voxel is: a manifest that contradicts itself, or names a file that the
artefact does not list, is refused. Its sha256 goes into every stream state and so into every checkpoint.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnfm.archive.tar import ABSENT, SUFFIXES, Extent
from rnfm.core.artifact import Artifact
from rnfm.core.errors import IntegrityError

NAME = "manifest.parquet"
KEY = re.compile(r"[A-Za-z0-9_-]{1,80}")
SUBSETS = ("train", "val")
TEXT = ("key", "subset", "shard", "patient", "scan", "lesion", "site", "meta")
MEMBERS = tuple(SUFFIXES)


@dataclass(frozen=True)
class Row:
    """One sample: who it is, where it was cut, how its codes become values, where its bytes lie.

    `meta` holds the JSON text where no member does (Zarr), else it is empty.
    """

    key: str
    subset: str
    shard: str
    patient: str
    scan: str
    lesion: str | None
    site: str | None
    origin_vox: tuple[int, int, int]
    value_scale: float
    value_offset: float
    extents: dict[str, Extent]
    meta: str = ""


def write(path: Path, rows: Sequence[Row]) -> None:
    """Write the rows sorted by key; `index` is their place in that order."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = sorted(rows, key=lambda row: row.key)
    columns: dict[str, Any] = {name: pa.array([getattr(row, name) for row in rows], pa.string()) for name in TEXT}
    columns["index"] = pa.array(range(len(rows)), pa.int64())
    columns["origin_vox"] = pa.array([list(row.origin_vox) for row in rows], pa.list_(pa.int32()))
    for name in ("value_scale", "value_offset"):
        columns[name] = pa.array([getattr(row, name) for row in rows], pa.float32())
    for member in MEMBERS:
        extents = [row.extents.get(member, ABSENT) for row in rows]
        columns[f"{member}_offset"] = pa.array([extent.offset for extent in extents], pa.int64())
        columns[f"{member}_length"] = pa.array([extent.length for extent in extents], pa.int64())
        columns[f"{member}_crc32"] = pa.array([extent.crc32 for extent in extents], pa.uint32())
    pq.write_table(pa.table(columns), path, compression="zstd")


@dataclass(frozen=True)
class Manifest:
    """The columns of the manifest, or of one subset of it, as arrays of length n."""

    columns: dict[str, NDArray]

    def __len__(self) -> int:
        return len(self.columns["key"])

    def subset(self, name: str) -> Manifest:
        chosen = self.columns["subset"] == name
        return Manifest({column: values[chosen] for column, values in self.columns.items()})

    def extent(self, i: int, member: str) -> Extent:
        offset, length, crc32 = (int(self.columns[f"{member}_{part}"][i]) for part in ("offset", "length", "crc32"))
        return Extent(offset, length, crc32)

    def extents(self, i: int) -> dict[str, Extent]:
        return {member: self.extent(i, member) for member in MEMBERS}

    def shard_groups(self) -> dict[str, NDArray[np.int64]]:
        """Rows of each shard, shards in the order of their first row."""
        groups: dict[str, list[int]] = {}
        for i, shard in enumerate(self.columns["shard"]):
            groups.setdefault(shard, []).append(i)
        return {shard: np.asarray(rows, np.int64) for shard, rows in groups.items()}

    def shard_sizes(self) -> list[int]:
        """Samples of each shard, in the order in which rows count them."""
        return [len(rows) for rows in self.shard_groups().values()]


def read(artifact: Artifact) -> Manifest:
    """Read and check the manifest of a shard archive; raises IntegrityError naming what is wrong with it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from rnfm.core import files

    path = artifact.file(NAME)
    mend = "Restore it from a copy or cut the shards again"
    if files.sha256(path) != artifact.files[NAME]["sha256"]:
        raise IntegrityError(path, "the manifest has other content than was published", mend)
    try:
        table = pq.read_table(path)
        columns = {name: _as_array(table.column(name)) for name in _all_columns()}
    except (pa.ArrowException, KeyError, ValueError, OSError) as error:
        raise IntegrityError(path, f"the manifest cannot be read ({type(error).__name__})", mend) from None
    manifest = Manifest(columns)
    faults = _faults(manifest, artifact)
    if faults:
        raise IntegrityError(path, f"the manifest contradicts itself: {'; '.join(faults)}", mend)
    return manifest


def _all_columns() -> list[str]:
    parts = [f"{member}_{part}" for member in MEMBERS for part in ("offset", "length", "crc32")]
    return [*TEXT, "index", "origin_vox", "value_scale", "value_offset", *parts]


def _as_array(column: Any) -> NDArray:
    import pyarrow as pa

    if pa.types.is_list(column.type):
        return np.asarray(column.to_pylist(), dtype=np.int64).reshape(len(column), 3)
    if pa.types.is_string(column.type):
        return np.asarray(column.to_pylist(), dtype=object)
    return column.to_numpy()


def _faults(manifest: Manifest, artifact: Artifact) -> list[str]:
    columns, faults = manifest.columns, []
    keys = list(columns["key"])
    if not all(isinstance(key, str) and KEY.fullmatch(key) for key in keys):
        faults.append("a key breaks the rule [A-Za-z0-9_-]{1,80}")
    elif keys != sorted(set(keys)) or not np.array_equal(columns["index"], np.arange(len(keys))):
        faults.append("keys are not unique and in order")
    if not set(columns["subset"]) <= set(SUBSETS):
        faults.append("a subset is neither train nor val")
    is_tar = artifact.contract.get("format") == "tar"
    shards = set(columns["shard"])
    if not all(re.fullmatch(r"(train|val)-\d{5}" + (r"\.tar" if is_tar else ""), str(shard)) for shard in shards):
        faults.append("a shard's name is not one of ours")
    elif is_tar and not shards <= set(artifact.files):
        faults.append("a shard is not listed in digests.json")
    elif is_tar:
        sizes = np.array([artifact.files[shard]["bytes"] for shard in columns["shard"]], np.int64)
        for member in MEMBERS:
            offset, length = columns[f"{member}_offset"], columns[f"{member}_length"]
            if ((length < 0) | ((length > 0) & ((offset < 0) | (length > sizes) | (offset > sizes - length)))).any():
                faults.append(f"{member} of a sample lies outside its shard")
    return faults
