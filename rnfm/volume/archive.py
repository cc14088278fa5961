"""Reading the volume archive that `rnfm data prepare` wrote (docs/pipeline.md, section 3).

archive = VolumeArchive.open("work/volumes")
image_DHW = archive.image("S-0B77E1D4")      # float32, RAS, under archive.contract.intensity

Zarr reads a missing or empty shard as zeros, without a word. What must be there is therefore listed twice outside Zarr: every
shard with size and sha256 in digests.json, every scan with geometry and row in scans.parquet; both are held together here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rnfm.core.artifact import HEADS, Artifact
from rnfm.core.config import from_dict
from rnfm.core.contract import InputContract
from rnfm.core.errors import ConfigError, IntegrityError, nearest
from rnfm.core.ledger import Entry, Ledger
from rnfm.volume.geometry import Grid, shape3

KIND, VERSION = "volumes", 1


@dataclass(frozen=True)
class VolumeArchive:
    """Canonical volumes by scan code. Arrays are (D, H, W) = patient's right, anterior, superior.

    Reading decodes one scan at a time and checks the checksum of every chunk; damage raises IntegrityError. Sizes of all
    files are checked on opening, their content by `archive.artifact.verify(deep=True)`.
    """

    artifact: Artifact

    @classmethod
    def open(cls, path: Path | str) -> VolumeArchive:
        """Raises ConfigError for a folder that is no volume archive, IntegrityError for a damaged one, naming the scans."""
        archive = cls(Artifact.open(path, KIND, VERSION, intact=False))
        faults = archive.verify()
        if faults:
            more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
            mend = "Restore it from a copy or run `rnfm data prepare --overwrite`"
            raise IntegrityError(path, "; ".join(faults[:3]) + more, mend)
        return archive

    def verify(self, deep: bool = False) -> list[str]:
        """Every fault found, one phrase each, those of a shard with its scan; with `deep` every byte is read.

        Beyond `Artifact.verify`: a scan of scans.parquet whose shards are not listed, so that they were never there.
        """
        faults = self.artifact.verify(deep)
        if any(fault.startswith(("scans.parquet", *HEADS)) for fault in faults):
            return faults  # what they say of the scans cannot be trusted
        try:
            scan_of = self._scan_of_shard
        except (OSError, ValueError, KeyError) as error:
            return [*faults, f"scans.parquet cannot be read ({type(error).__name__})"]
        named = [_named(fault, scan_of) for fault in faults]
        missing = [name for name in scan_of if name not in self.artifact.files]
        return named + [f"scan {scan_of[name]}: {name} was never published" for name in missing]

    @property
    def digest(self) -> str:
        return self.artifact.digest

    @cached_property
    def contract(self) -> InputContract:
        return from_dict(InputContract, self.artifact.contract["input"])

    @cached_property
    def scans(self) -> pd.DataFrame:
        """One row a scan, in the order of the cohort; columns as in docs/pipeline.md."""
        return pd.read_parquet(self.artifact.file("scans.parquet"))

    @cached_property
    def cohort(self) -> pd.DataFrame:
        """The cohort's rows (one a lesion-scan) of the scans in here; nullable integers stay integers."""
        return pd.read_parquet(self.artifact.file("cohort.parquet"))

    def image(self, scan: str) -> np.ndarray:
        """float32 (D, H, W) under the contract's intensity rule."""
        return self._read(scan, "image").astype(np.float32)

    def mask(self, scan: str) -> np.ndarray:
        """uint16 (D, H, W): the source mask's own values; all 0 where the scan has none."""
        return self._read(scan, "mask")

    def lesion_mask(self, scan: str, mask_values: Any) -> np.ndarray:
        """bool (D, H, W): where the mask has one of `mask_values`, or any value above 0 if none is given."""
        mask, values = self.mask(scan), [] if mask_values is None else [int(value) for value in mask_values]
        return np.isin(mask, values) if values else mask > 0

    def affine(self, scan: str) -> np.ndarray:
        """4x4 float64: voxel of `image(scan)` -> RAS mm."""
        return np.array(self.row(scan)["affine"], np.float64).reshape(4, 4)

    def source_grid(self, scan: str) -> Grid:
        """Shape and affine of the source scan, for `rnfm.volume.restore(map, like=...)`."""
        row = self.row(scan)
        return shape3(tuple(row["source_shape_vox"])), np.array(row["source_affine"], np.float64).reshape(4, 4)

    def row(self, scan: str) -> dict[str, Any]:
        """The row of `scans` for one scan. Raises ConfigError for a code that is not in here."""
        if scan not in self._row_of:
            raise ConfigError(
                scan,
                f"no scan of this code in the archive{nearest(scan, self._row_of)}",
                "Take a code of scans.parquet",
            )
        return self._row_of[scan]

    @property
    def refused(self) -> list[Entry]:
        """The quarantine ledger."""
        return Ledger.read(self.artifact.file("quarantine.jsonl"))

    @property
    def findings(self) -> list[Entry]:
        """The findings ledger."""
        return Ledger.read(self.artifact.file("findings.jsonl"))

    @cached_property
    def _row_of(self) -> dict[str, dict[str, Any]]:
        rows: list[dict[Any, Any]] = self.scans.to_dict("records")
        return {row["scan"]: row for row in rows}

    @cached_property
    def _scan_of_shard(self) -> dict[str, str]:
        return {_shard(row, kind): code for code, row in self._row_of.items() for kind in ("image", "mask")}

    @cached_property
    def _arrays(self) -> dict[str, Any]:
        return {}

    def _read(self, scan: str, name: str) -> np.ndarray:
        row = self.row(scan)
        array = f"{row['geometry']}/{name}"
        try:
            os.stat(self.artifact.path / _shard(row, name))  # Zarr would read a shard that has gone as zeros
            if array not in self._arrays:
                import zarr

                self._arrays[array] = zarr.open_array(self.artifact.path / "volumes.zarr", path=array, mode="r")
            return np.asarray(self._arrays[array][row["row"]])
        except (ValueError, RuntimeError, OSError, KeyError) as error:  # by codec, Zarr raises any of these for damage
            raise IntegrityError(
                self.artifact.path,
                f"scan {scan}, {name}: the stored voxels are damaged ({type(error).__name__})",
                "Restore the archive from a copy or run `rnfm data prepare --overwrite`",
            ) from None


def _shard(row: Mapping[str, Any], kind: str) -> str:
    return f"volumes.zarr/{row['geometry']}/{kind}/c/{row['row']}/0/0/0"


def _named(fault: str, scan_of: Mapping[str, str]) -> str:
    """The fault with the scan in front, where it is one of a shard."""
    scan = scan_of.get(fault.split(" ", 1)[0])
    return fault if scan is None else f"scan {scan}: {fault}"
