"""A stand-in for `rnfm.volume.VolumeArchive` with a few tiny scans, and shard archives cut from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rnfm.archive.shard import KIND, VERSION, ShardConfig
from rnfm.core import artifact
from rnfm.core.contract import InputContract


class StandInVolumes:
    """Scans of assorted sizes. Scan 0 has two named lesions, 1 an unnamed mask of two parts, 2 no mask, 3 is short."""

    contract = InputContract(spacing_mm=(1.0, 1.0, 1.0))

    def __init__(self, count: int = 4) -> None:
        self._scans = [f"S-{i:08X}" for i in range(count)]
        self.scans = pd.DataFrame(
            {
                "scan": self._scans,
                "patient": [f"P-{i // 2:08X}" for i in range(count)],
                "site": ["north", "south"] * (count // 2) + ["north"] * (count % 2),
                "has_mask": [i % 4 in (0, 1) for i in range(count)],
                "intensity_low": 0.0,
                "intensity_high": 400.0,
                "intensity_mean": 100.0,
                "intensity_sd": 50.0,
            }
        )
        named = [scan for i, scan in enumerate(self._scans) if i % 4 == 0]
        self.cohort = pd.DataFrame(
            [
                {"scan": scan, "lesion": f"{scan}-L{number}", "mask_values": np.array([number], np.int16)}
                for scan in named
                for number in (1, 2)
            ]
            + [{"scan": scan, "lesion": None, "mask_values": None} for scan in self._scans if scan not in named]
        )

    def shape(self, scan: str) -> tuple[int, int, int]:
        return [(32, 32, 16), (24, 20, 28), (20, 24, 24), (10, 32, 12)][int(scan[2:], 16) % 4]

    def image(self, scan: str) -> np.ndarray:
        number, shape = int(scan[2:], 16), self.shape(scan)
        raw = np.full(shape, -2.0, np.float32)  # (0 - mean) / sd: the background
        head = tuple(slice(2, size - 2) for size in shape)
        raw[head] = np.random.default_rng(number).normal(0, 1, raw[head].shape)
        return raw

    def mask(self, scan: str) -> np.ndarray:
        mask, kind = np.zeros(self.shape(scan), np.uint16), int(scan[2:], 16) % 4
        if kind == 0:
            mask[4:8, 4:8, 4:8], mask[22:28, 20:26, 8:12] = 1, 2
        if kind == 1:
            mask[3:5, 3:5, 3:5], mask[12:18, 10:15, 14:20] = 300, 300
        return mask

    def affine(self, scan: str) -> np.ndarray:
        affine = np.diag([1.0, 1.0, 1.0, 1.0])
        affine[:3, 3] = (-60.0, -70.0, -50.0)
        return affine


def split_of(volumes: StandInVolumes, roles: list[str]) -> pd.DataFrame:
    patients = sorted(set(volumes.scans["patient"]))
    return pd.DataFrame({"patient": patients, "role": roles})


def write(folder: Path, volumes: StandInVolumes, split: pd.DataFrame | None = None, **settings) -> Path:
    """A published archive cut from the stand-in, as `shard` would publish it."""
    from rnfm.archive.write import write_shards

    config = ShardConfig(volumes=Path("volumes"), out=folder, **{"crop": (16, 16, 16), **settings})
    lineage = {"config_hash": config.result_hash(), "inputs": {"volumes": "0" * 64}}
    with artifact.publish(folder, KIND, VERSION, lineage=lineage) as draft:
        written = write_shards(volumes, split, config, draft.path)
        draft.contract.update(written.contract)
        draft.lineage["patients"] = written.patients
    return folder


@pytest.fixture(scope="session")
def volumes() -> StandInVolumes:
    return StandInVolumes()


@pytest.fixture(params=["tar", "zarr"])
def any_archive(request, tmp_path, volumes) -> Path:
    """Train and val, several shards, in both formats."""
    split = split_of(volumes, ["train", "holdout"])
    return write(tmp_path / request.param, volumes, split, format=request.param, shard_mb=0.03, per_scan=5)


@pytest.fixture
def tar_archive(tmp_path, volumes) -> Path:
    split = split_of(volumes, ["train", "holdout"])
    return write(tmp_path / "tar", volumes, split, shard_mb=0.03, per_scan=5)


@pytest.fixture
def make_archive(tmp_path):
    """make_archive(volumes, split=None, name=..., **settings) -> path of a published archive."""

    def make(volumes, split=None, name="archive", **settings):
        return write(tmp_path / name, volumes, split, **settings)

    return make


@pytest.fixture
def make_volumes():
    return StandInVolumes


@pytest.fixture
def make_split():
    return split_of


@pytest.fixture
def reseal():
    """Make digests.json agree with the folder again: what a forger (not an accident) would do."""
    import hashlib
    import json

    def reseal(path: Path) -> None:
        listing = {
            file.relative_to(path).as_posix(): {
                "bytes": file.stat().st_size,
                "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            }
            for file in sorted(path.rglob("*"))
            if file.is_file() and file.name != "digests.json"
        }
        digest = hashlib.sha256(json.dumps(listing, sort_keys=True).encode()).hexdigest()
        (path / "digests.json").write_text(json.dumps({"files": listing, "digest": digest}))

    return reseal


def publish_volumes(path: Path, volumes: StandInVolumes) -> Path:
    """The stand-in as a volume archive on disk, by hand after docs/pipeline.md, section 3."""
    import zarr

    with artifact.publish(path, "volumes", 1, lineage={"config_hash": "v", "inputs": {}}) as draft:
        root = zarr.create_group(draft.path / "volumes.zarr")
        rows = []
        for row in volumes.scans.itertuples():
            shape = volumes.shape(row.scan)
            name = f"g{'x'.join(str(size) for size in shape)}-{row.Index}"
            group = root.create_group(name)
            for kind, data, dtype in (
                ("image", volumes.image(row.scan), np.float16),
                ("mask", volumes.mask(row.scan), np.uint16),
            ):
                # A chunk that is not written cannot be told from a lost one: the archive writes all of them.
                whole = {"shape": (1, *shape), "chunks": (1, *shape), "config": {"write_empty_chunks": True}}
                group.create_array(name=kind, dtype=dtype, **whole)[0] = data.astype(dtype)
            affine = volumes.affine(row.scan).ravel().tolist()
            rows.append({**row._asdict(), "geometry": name, "row": 0, "affine": affine})
        pd.DataFrame(rows).drop(columns="Index").to_parquet(draft.path / "scans.parquet")
        volumes.cohort.to_parquet(draft.path / "cohort.parquet")
        draft.contract.update({"input": volumes.contract.as_dict(), "pad_vox": 16})
    return path


def publish_split(path: Path, split: pd.DataFrame) -> Path:
    with artifact.publish(path, "split", 1, contract={"repeats": 0}) as draft:
        split.to_parquet(draft.path / "split.parquet")
    return path


@pytest.fixture
def volumes_folder(tmp_path, volumes) -> Path:
    return publish_volumes(tmp_path / "volumes", volumes)


@pytest.fixture
def split_folder(tmp_path, volumes) -> Path:
    return publish_split(tmp_path / "split", split_of(volumes, ["train", "holdout"]))


@pytest.fixture
def publish(tmp_path):
    """publish(volumes, name) -> folder of a volume archive."""
    return lambda volumes, name: publish_volumes(tmp_path / name, volumes)
