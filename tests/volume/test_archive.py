"""Reading the archive: by code, with the right types, and never damaged bytes in silence."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr

from rnfm.archive import VerifyConfig, verify
from rnfm.core.artifact import publish
from rnfm.core.contract import InputContract
from rnfm.core.errors import ConfigError, IntegrityError
from rnfm.volume import PrepareConfig, VolumeArchive, load, prepare


@pytest.fixture
def archive(make_cohort: Callable) -> VolumeArchive:
    cohort = make_cohort(2)
    out = cohort.path.parent / "volumes"
    prepare(PrepareConfig(cohort=cohort.path, out=out, spacing_mm=(3, 3, 3)))
    return VolumeArchive.open(out)


def test_what_it_gives(archive: VolumeArchive, tmp_path: Path) -> None:
    first, second = archive.scans["scan"]
    image, mask = archive.image(first), archive.mask(first)
    assert (image.dtype, mask.dtype) == (np.float32, np.uint16)
    assert image.shape == mask.shape
    assert archive.affine(first).shape == (4, 4)
    assert archive.contract == InputContract(spacing_mm=(3, 3, 3))
    assert not archive.mask(second).any()
    assert archive.cohort["label"].dropna().tolist() == [0, 1]
    shape, affine = archive.source_grid(first)
    source = load(tmp_path / "source/Mustermann-0.nii.gz")
    assert shape == source.shape
    np.testing.assert_array_equal(affine, source.affine)


@pytest.mark.parametrize("values", [[1], [1, 9], [], None, np.array([1], np.int16)])
def test_a_lesions_voxels(archive: VolumeArchive, values: object) -> None:
    scan = archive.scans["scan"][0]
    lesion = archive.lesion_mask(scan, values)
    assert lesion.dtype == bool
    np.testing.assert_array_equal(lesion, archive.mask(scan) > 0)
    assert not archive.lesion_mask(scan, [9]).any()


def test_an_unknown_code(archive: VolumeArchive) -> None:
    with pytest.raises(
        ConfigError, match=r"S-00000009: no scan of this code in the archive \(did you mean 'S-0000000[01]'\?\)"
    ):
        archive.image("S-00000009")


def test_a_folder_of_another_kind(archive: VolumeArchive, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is of kind cohort, not volumes"):
        VolumeArchive.open(tmp_path / "cohort")


def test_a_flipped_byte_is_found_by_verify_and_by_reading(archive: VolumeArchive) -> None:
    """In every tenth part of an image shard and of its index at the end."""
    scan, geometry = archive.scans["scan"][0], archive.scans["geometry"][0]
    name = f"volumes.zarr/{geometry}/image/c/0/0/0/0"
    shard = archive.artifact.path / name
    sound = shard.read_bytes()
    for at in [*range(0, len(sound), max(1, len(sound) // 10)), len(sound) - 1]:
        shard.write_bytes(sound[:at] + bytes([sound[at] ^ 0x10]) + sound[at + 1 :])
        again = VolumeArchive.open(archive.artifact.path)
        assert again.verify() == []
        assert again.verify(deep=True) == [f"scan {scan}: {name} has other content than was published"]
        with pytest.raises(IntegrityError, match=f"scan {scan}, image: the stored voxels are damaged"):
            again.image(scan)
    shard.write_bytes(sound)
    assert np.isfinite(VolumeArchive.open(archive.artifact.path).image(scan)).all()


@pytest.mark.parametrize("kind", ["image", "mask"])
@pytest.mark.parametrize(
    ("damage", "said"), [("remove", "is missing"), ("empty", "has 0 bytes instead of"), ("cut", "bytes instead of")]
)
def test_a_missing_empty_or_cut_shard_is_found_on_opening(
    archive: VolumeArchive, kind: str, damage: str, said: str
) -> None:
    scan, geometry = archive.scans["scan"][1], archive.scans["geometry"][1]
    row = archive.scans["row"][1]
    shard = archive.artifact.path / f"volumes.zarr/{geometry}/{kind}/c/{row}/0/0/0"
    content = shard.read_bytes()
    shard.unlink()
    if damage != "remove":
        shard.write_bytes(b"" if damage == "empty" else content[:-1])
    with pytest.raises(IntegrityError, match=rf"scan {scan}: volumes\.zarr/{geometry}/{kind}/c/{row}/0/0/0 .*{said}"):
        VolumeArchive.open(archive.artifact.path)
    with pytest.raises(IntegrityError, match=rf"1 fault: scan {scan}: volumes"):
        verify(VerifyConfig(path=archive.artifact.path))


def test_a_shard_lost_while_the_archive_is_open_is_not_read_as_zeros(archive: VolumeArchive) -> None:
    """Zarr itself would: that is the reason for a list of our own."""
    scan, geometry = archive.scans["scan"][0], archive.scans["geometry"][0]
    shard = archive.artifact.path / f"volumes.zarr/{geometry}/image/c/0/0/0/0"
    shard.unlink()
    plain = zarr.open_array(archive.artifact.path / "volumes.zarr", path=f"{geometry}/image", mode="r")
    assert not np.any(plain[0])
    with pytest.raises(IntegrityError, match=f"scan {scan}, image: the stored voxels are damaged"):
        archive.image(scan)


def test_an_archive_that_was_published_without_a_shard(archive: VolumeArchive, tmp_path: Path) -> None:
    scan, geometry = archive.scans["scan"][0], archive.scans["geometry"][0]
    with publish(tmp_path / "less", "volumes", 1, contract=archive.artifact.contract) as draft:
        shutil.copytree(archive.artifact.path, draft.path, dirs_exist_ok=True)
        (draft.path / f"volumes.zarr/{geometry}/mask/c/0/0/0/0").unlink()
        (draft.path / "digests.json").unlink()
    with pytest.raises(IntegrityError, match=rf"scan {scan}: volumes\.zarr/.*/mask/c/0/0/0/0 was never published"):
        VolumeArchive.open(tmp_path / "less")


def test_a_damaged_scan_table_is_said_as_such(archive: VolumeArchive) -> None:
    (archive.artifact.path / "scans.parquet").write_bytes(b"PAR1")
    with pytest.raises(IntegrityError, match=r"scans\.parquet has 4 bytes instead of"):
        VolumeArchive.open(archive.artifact.path)


def test_plain_zarr_in_another_process_reads_the_same(archive: VolumeArchive) -> None:
    code = (
        "import sys, json, zarr\n"
        "root = zarr.open_group(sys.argv[1], mode='r')\n"
        "sums = {f'{g}/{name}': [float(array[i].astype('f8').sum()) for i in range(array.shape[0])]\n"
        "        for g, group in root.groups() for name, array in group.arrays()}\n"
        "print(json.dumps([sums, dict(root.attrs), [m for m in sys.modules if m.startswith('rnfm')]]))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-I", "-c", code, str(archive.artifact.path / "volumes.zarr")], capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    sums, attributes, ours = json.loads(ran.stdout)
    assert ours == []
    assert attributes["axes"] == "RAS"
    assert attributes["spacing_mm"] == [3, 3, 3]
    for scan, geometry, row in archive.scans[["scan", "geometry", "row"]].itertuples(index=False):
        assert sums[f"{geometry}/image"][row] == archive.image(scan).astype("f8").sum()
        assert sums[f"{geometry}/mask"][row] == archive.mask(scan).astype("f8").sum()
