"""Archive: samples decode to what was cut, in both formats; plain libraries read the same; damage and forgery are refused."""

from __future__ import annotations

import io
import json
import tarfile

import numpy as np
import pytest

import rnfm.archive
from rnfm.archive import crops
from rnfm.archive.write import background_value
from rnfm.core.errors import ConfigError, DataError, IntegrityError


def test_samples_are_what_was_cut(any_archive, volumes):
    archive = rnfm.archive.open(any_archive)
    assert len(archive) == 20
    rows = {row.scan: row for row in volumes.scans.itertuples()}
    for sample in archive:
        scan, start = sample.meta["scan"], tuple(sample.meta["origin_vox"])
        fill = background_value(rows[scan], volumes.contract)
        expected = crops.cut(volumes.image(scan), start, (16, 16, 16), fill)
        assert sample.image.dtype == np.float32
        assert np.abs(sample.image - expected).max() <= sample.meta["scale"] / 2 + 1e-5
        assert (sample.mask is not None) == bool(rows[scan].has_mask)
        if sample.mask is not None:
            np.testing.assert_array_equal(sample.mask > 0, crops.cut(volumes.mask(scan), start, (16, 16, 16), 0) > 0)
            assert (sample.mask == 1).any()
        corner = np.array(sample.meta["affine"]).reshape(4, 4)[:3, 3]
        np.testing.assert_allclose(corner, volumes.affine(scan)[:3, 3] + start)


def test_lesions_take_turns(tar_archive):
    archive = rnfm.archive.open(tar_archive)
    lesions = [s.meta["lesion"] for s in archive if s.meta["scan"] == "S-00000000"]
    assert lesions == [f"S-00000000-L{number}" for number in (1, 2, 1, 2, 1)]


def test_both_formats_hold_the_same(make_archive, volumes, make_split):
    split = make_split(volumes, ["train", "holdout"])
    one, other = (
        rnfm.archive.open(make_archive(volumes, split, name=f, format=f, shard_mb=0.03), "train")
        for f in ("tar", "zarr")
    )
    assert one.shard_sizes == other.shard_sizes  # so the order of batches is the same
    for ours, theirs in zip(one, other, strict=True):
        assert ours.key == theirs.key
        assert ours.meta == theirs.meta
        np.testing.assert_array_equal(ours.image, theirs.image)
        np.testing.assert_array_equal(ours.mask, theirs.mask)


def test_subsets_and_what_the_archive_says_of_itself(any_archive):
    whole, train, val = (rnfm.archive.open(any_archive, s) for s in (None, "train", "val"))
    assert (len(whole), len(train), len(val)) == (20, 10, 10)
    assert {sample.meta["patient"] for sample in train} == {"P-00000000"}
    assert {sample.meta["patient"] for sample in val} == {"P-00000001"}
    assert whole.patients == train.patients == ["P-00000000", "P-00000001"]
    assert train.contract.crop == (16, 16, 16)
    assert whole.verify(deep=True) == []
    assert train.first_state(seed=1, global_batch=4).manifest_sha256 == whole.manifest_sha256


def test_an_archive_without_a_validation_part(make_archive, volumes):
    path = make_archive(volumes)
    assert len(rnfm.archive.open(path, "val")) == 0
    assert len(rnfm.archive.open(path, "train")) == 16


def test_plain_webdataset_reads_the_shards(tar_archive):
    import webdataset

    archive = rnfm.archive.open(tar_archive)
    seen = {}
    for shard in sorted(tar_archive.glob("*.tar")):
        for sample in webdataset.WebDataset(str(shard), shardshuffle=False).decode():
            seen[sample["__key__"]] = sample
    assert sorted(seen) == [archive.key(i) for i in range(len(archive))]
    for ours in archive:
        theirs = seen[ours.key]
        meta = theirs["meta.json"]
        values = theirs["img.npy"].astype(np.float32) * np.float32(meta["scale"]) + np.float32(meta["offset"])
        np.testing.assert_allclose(values, ours.image, rtol=1e-6, atol=1e-6)
        assert meta == ours.meta
        if ours.mask is not None:
            np.testing.assert_array_equal(theirs["mask.npy"], ours.mask)


def test_plain_zarr_reads_the_arrays(make_archive, volumes):
    import zarr

    path = make_archive(volumes, format="zarr")
    group = zarr.open_group(path / "subvolumes.zarr", mode="r")
    archive = rnfm.archive.open(path)
    assert group["train/image"].shape == (16, 16, 16, 16)
    for i, sample in enumerate(archive):
        codes = group["train/image"][i].astype(np.float32)
        np.testing.assert_allclose(
            codes * np.float32(sample.meta["scale"]) + np.float32(sample.meta["offset"]),
            sample.image,
            rtol=1e-6,
            atol=1e-6,
        )


@pytest.mark.parametrize("uri", ["pipe:curl host", "https://host/a", "s3://bucket/a"])
def test_only_local_folders_are_opened(uri):
    with pytest.raises(ConfigError, match="only local folders are read"):
        rnfm.archive.open(uri)


def test_wrong_requests(tar_archive, tmp_path):
    with pytest.raises(ConfigError, match=r"'trian' is neither train nor val \(did you mean 'train'\?\)"):
        rnfm.archive.open(tar_archive, "trian")
    with pytest.raises(ConfigError, match="no shards folder here"):
        rnfm.archive.open(tmp_path / "nothing")
    archive = rnfm.archive.open(tar_archive, "train")
    with pytest.raises(DataError, match="holds 10 samples here, fewer than one global batch of 11"):
        archive.first_state(seed=0, global_batch=11)
    with pytest.raises(IndexError, match="sample 10 of 10"):
        archive[10]


def test_an_archive_of_another_format_version_is_refused_with_a_sentence(tar_archive, reseal):
    head = json.loads((tar_archive / "config.json").read_text())
    (tar_archive / "config.json").write_text(json.dumps({**head, "version": 0}))
    reseal(tar_archive)
    with pytest.raises(ConfigError, match=r"shards format 0, this release reads 1\. Make it again with this release\."):
        rnfm.archive.open(tar_archive)


def test_damage_met_while_reading_names_shard_key_and_offset(tar_archive):
    archive = rnfm.archive.open(tar_archive)
    shard, extent = archive.manifest.columns["shard"][3], archive.manifest.extent(3, "img")
    with open(tar_archive / shard, "r+b") as file:
        file.seek(extent.offset + 200)
        byte = file.read(1)
        file.seek(extent.offset + 200)
        file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(IntegrityError) as caught:
        archive[3]
    assert str(caught.value).startswith(f"{shard}: sample {archive.key(3)}, img.npy at offset {extent.offset}: other")


class Bomb:
    """Unpickled, it would leave a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_planted_pickle_never_runs(tar_archive, tmp_path, reseal):
    """An img.npy that is an object array, with manifest and digests forged to match: refused without a decode."""
    import zlib

    import pyarrow.parquet as pq

    trace = tmp_path / "executed"
    buffer = io.BytesIO()
    np.save(buffer, np.array([Bomb(trace)], dtype=object), allow_pickle=True)
    archive = rnfm.archive.open(tar_archive)
    shard, extent = archive.manifest.columns["shard"][0], archive.manifest.extent(0, "img")
    payload = buffer.getvalue().ljust(extent.length, b"\0")
    with open(tar_archive / shard, "r+b") as file:
        file.seek(extent.offset)
        file.write(payload)
    table = pq.read_table(tar_archive / "manifest.parquet").to_pandas()
    table.loc[0, "img_crc32"] = zlib.crc32(payload)
    table.to_parquet(tar_archive / "manifest.parquet")
    reseal(tar_archive)
    forged = rnfm.archive.open(tar_archive)
    with pytest.raises(IntegrityError, match=r"is not a u8 array of \(16, 16, 16\); it was not decoded"):
        forged[0]
    assert not trace.exists()
    np.load(io.BytesIO(payload), allow_pickle=True)[0].close()
    assert trace.exists()  # the bomb was live


def test_planted_members_are_never_extracted(tar_archive, tmp_path, reseal):
    """Members named ../ and *.pkl behind the samples, digests forged: reading ignores them, a deep check names the shard."""
    shard = next(tar_archive.glob("train-*.tar"))
    with tarfile.open(shard, "a") as tar:
        for name in ("../../escaped", "/tmp/escaped", "S-1-0000.pkl"):
            info = tarfile.TarInfo(name)
            info.size = 4
            tar.addfile(info, io.BytesIO(b"evil"))
    reseal(tar_archive)
    archive = rnfm.archive.open(tar_archive)
    for i in range(len(archive)):
        archive[i]
    assert not list(tmp_path.rglob("escaped"))
    assert [fault for fault in archive.verify(deep=True) if fault.startswith(shard.name)]


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        ("key", "../../etc/passwd", "a key breaks the rule"),
        ("key", "S-00000000-0001", "keys are not unique and in order"),
        ("shard", "../../other.tar", "a shard's name is not one of ours"),
        ("shard", "train-99999.tar", "a shard is not listed in digests.json"),
        ("subset", "test", "a subset is neither train nor val"),
        ("img_offset", 10**12, "img of a sample lies outside its shard"),
        ("meta_length", 2**62, "meta of a sample lies outside its shard"),
        ("mask_length", -5, "mask of a sample lies outside its shard"),
    ],
)
def test_a_forged_manifest_is_refused(tar_archive, reseal, column, value, sentence):
    import pandas as pd

    table = pd.read_parquet(tar_archive / "manifest.parquet")
    table.loc[0, column] = value
    table.to_parquet(tar_archive / "manifest.parquet")
    reseal(tar_archive)
    with pytest.raises(IntegrityError, match=f"the manifest contradicts itself: .*{sentence}"):
        rnfm.archive.open(tar_archive)


def test_a_damaged_manifest_is_refused(tar_archive):
    path = tar_archive / "manifest.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match="the manifest has other content than was published"):
        rnfm.archive.open(tar_archive)
