"""The stage `shard`: bytes that repeat, crops that do not depend on their neighbours, all or nothing, clear refusals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

import rnfm.archive
from rnfm.archive.shard import ShardConfig, shard
from rnfm.core import artifact
from rnfm.core.contract import InputContract
from rnfm.core.errors import ConfigError


def payload(path: Path) -> dict[str, str]:
    """sha256 of every payload file and of the contract."""
    files = artifact.Artifact.open(path).files
    return {name: entry["sha256"] for name, entry in files.items() if name != "lineage.json"}


def config(volumes: Path, out: Path, **settings) -> ShardConfig:
    return ShardConfig(volumes=volumes, out=out, **{"crop": (16, 16, 16), "shard_mb": 0.03, **settings})


def test_from_volumes_to_samples(volumes_folder, split_folder, tmp_path):
    result = shard(config(volumes_folder, tmp_path / "out", split=split_folder))
    assert result.samples == {"train": 8, "val": 8}
    assert result.fresh
    assert (
        result.summary().splitlines()[0].startswith(f"{tmp_path / 'out'}: 8 train, 8 val sub-volumes of 2 patients, ")
    )
    assert "4 of them are larger than their scan along an axis and filled with background" in result.summary()
    assert result.summary().endswith(f"next: rnfm pretrain {tmp_path / 'out'}")
    opened = artifact.Artifact.open(tmp_path / "out", kind="shards", version=1)
    assert opened.contract["samples"] == {"train": 8, "val": 8}
    assert opened.contract["input"]["crop"] == [16, 16, 16]
    assert opened.contract["format"] == "tar"
    assert opened.contract["dtype"] == "u8"
    assert opened.lineage["patients"] == ["P-00000000", "P-00000001"]
    assert opened.lineage["inputs"] == {
        "volumes": artifact.Artifact.open(volumes_folder).digest,
        "split": artifact.Artifact.open(split_folder).digest,
    }
    assert len(rnfm.archive.open(tmp_path / "out", "train")) == 8


def test_the_manifest_has_the_documented_columns(volumes_folder, tmp_path):
    shard(config(volumes_folder, tmp_path / "out"))
    table = pd.read_parquet(tmp_path / "out" / "manifest.parquet", dtype_backend="pyarrow")
    types = {name: str(dtype) for name, dtype in table.dtypes.items()}
    for name in ("key", "subset", "shard", "patient", "scan", "lesion", "site"):
        assert types[name].startswith("string")
    assert types["index"] == "int64[pyarrow]"
    assert "int32" in types["origin_vox"]
    for member in ("img", "mask", "meta"):
        assert types[f"{member}_offset"] == types[f"{member}_length"] == "int64[pyarrow]"
        assert types[f"{member}_crc32"] == "uint32[pyarrow]"
    assert list(table["index"]) == list(range(16))
    assert list(table["key"]) == sorted(table["key"])


@pytest.mark.parametrize("kind", ["tar", "zarr"])
def test_the_same_bytes_twice(volumes_folder, tmp_path, kind):
    for name in ("a", "b"):
        shard(config(volumes_folder, tmp_path / name, format=kind))
    assert payload(tmp_path / "a") == payload(tmp_path / "b")


def test_a_second_run_does_nothing_and_other_settings_are_refused(volumes_folder, tmp_path):
    first = config(volumes_folder, tmp_path / "out")
    shard(first)
    before = os.stat(tmp_path / "out" / "manifest.parquet").st_mtime_ns
    again = shard(first)
    assert not again.fresh
    assert "(up to date)" in again.summary()
    assert os.stat(tmp_path / "out" / "manifest.parquet").st_mtime_ns == before
    with pytest.raises(ConfigError, match="exists already, made with other settings or inputs"):
        shard(config(volumes_folder, tmp_path / "out", seed=1))
    assert shard(config(volumes_folder, tmp_path / "out", seed=1, overwrite=True)).fresh


def test_adding_a_scan_changes_no_other_crop(make_volumes, publish, tmp_path):
    """Also with one sample a shard and more crops a scan: a crop is keyed by (seed, scan, k)."""
    shard(config(publish(make_volumes(3), "three"), tmp_path / "a", per_scan=2))
    shard(config(publish(make_volumes(5), "five"), tmp_path / "b", per_scan=4))
    before = {s.key: s for s in rnfm.archive.open(tmp_path / "a")}
    after = {s.key: s for s in rnfm.archive.open(tmp_path / "b")}
    assert len(before) == 6
    for key, sample in before.items():
        assert sample.meta == after[key].meta
        assert (sample.image == after[key].image).all()


def test_the_seed_moves_the_crops(volumes_folder, tmp_path):
    places = []
    for seed in (0, 1):
        shard(config(volumes_folder, tmp_path / str(seed), seed=seed))
        places.append([sample.meta["origin_vox"] for sample in rnfm.archive.open(tmp_path / str(seed))])
    assert places[0] != places[1]


def test_a_volume_shorter_than_the_crop_is_padded_with_background(volumes_folder, tmp_path):
    shard(config(volumes_folder, tmp_path / "out"))
    (short, *_) = [s for s in rnfm.archive.open(tmp_path / "out") if s.meta["scan"] == "S-00000003"]
    assert short.meta["origin_vox"][0] == -3
    step = short.meta["scale"]
    assert abs(short.image[:3] + 2.0).max() <= step
    assert abs(short.image[13:] + 2.0).max() <= step
    assert short.image[3:13].std() > 0.3


def test_refusals_before_any_work(volumes_folder, split_folder, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(ConfigError, match="no volumes folder here"):
        shard(config(tmp_path / "nothing", out))
    with pytest.raises(ConfigError, match="is of kind split, not volumes"):
        shard(config(split_folder, out))
    with pytest.raises(ConfigError, match="is of kind volumes, not split"):
        shard(config(volumes_folder, out, split=volumes_folder))
    with pytest.raises(ConfigError, match=r"crop: \(16, 0, 16\) has an edge below one voxel"):
        shard(config(volumes_folder, out, crop=(16, 0, 16)))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("keep")
    with pytest.raises(ConfigError, match="is not one of our artefacts, so it is not replaced"):
        shard(config(volumes_folder, tmp_path / "mine", overwrite=True))
    assert not out.exists()


KILLED = """
import sys, time
from pathlib import Path
from rnfm.archive import write
from rnfm.archive.shard import ShardConfig, shard
honest = write.quantise
def slow(*arguments):
    print("cut", flush=True)
    time.sleep(0.02)
    return honest(*arguments)
write.quantise = slow
shard(ShardConfig(volumes=Path(sys.argv[1]), out=Path(sys.argv[2]), crop=(16, 16, 16), shard_mb=0.03))
"""


@pytest.mark.parametrize("cuts", [1, 9])
def test_sigkill_in_the_middle_leaves_nothing_and_a_rerun_gives_the_same_bytes(volumes_folder, tmp_path, cuts):
    shard(config(volumes_folder, tmp_path / "whole"))
    out = tmp_path / "killed"
    command = [sys.executable, "-c", KILLED, str(volumes_folder), str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        for _ in range(cuts):
            assert process.stdout.readline() == "cut\n"
        time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not out.exists()
    assert shard(config(volumes_folder, out)).fresh
    assert payload(out) == payload(tmp_path / "whole")


@pytest.mark.realdata
@pytest.mark.skipif("RNFM_REAL_DATA" not in os.environ, reason="RNFM_REAL_DATA names no folder of real scans")
@pytest.mark.parametrize("kind", ["tar", "zarr"])
def test_real_scans(tmp_path, kind):
    """Real scans with masks as `rnfm.volume` reads them: each crop holds the part of the mask it was cut around."""
    from rnfm.archive.write import write_shards
    from rnfm.volume import prepare_one

    class RealVolumes:
        contract = InputContract(spacing_mm=(3.0, 3.0, 3.0))

        def __init__(self, folder):
            files = sorted((folder / "t1c").glob("*.nii.gz"))[:3]
            found = [prepare_one(file, folder / "masks" / file.name, self.contract) for file in files]
            self._found = dict(zip((f"S-{i:08X}" for i in range(len(files))), found, strict=True))
            self.scans = pd.DataFrame(
                [
                    {"scan": scan, "patient": f"P{scan[1:]}", "site": "x", "has_mask": True}
                    | {f"intensity_{name}": value for name, value in one.intensity.items()}
                    for scan, one in self._found.items()
                ]
            )
            self.cohort = pd.DataFrame({"scan": list(self._found), "lesion": None, "mask_values": None})

        def image(self, scan):
            return self._found[scan].image

        def mask(self, scan):
            return self._found[scan].mask

        def affine(self, scan):
            return self._found[scan].affine

    volumes = RealVolumes(Path(os.environ["RNFM_REAL_DATA"]))
    settings = config(tmp_path, tmp_path / "out", crop=(32, 32, 32), format=kind)
    with artifact.publish(tmp_path / "out", "shards", 1) as draft:
        written = write_shards(volumes, None, settings, draft.path)
        draft.contract.update(written.contract)
        draft.lineage["patients"] = written.patients
    archive = rnfm.archive.open(tmp_path / "out")
    assert archive.verify(deep=True) == []
    assert len(archive) == 12
    for sample in archive:
        assert (sample.mask == 1).any()
        assert sample.image.std() > 0.1
