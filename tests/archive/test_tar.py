"""Tar shards: plain readers agree, the bytes never change, every kind of damage is found and located."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zlib

import numpy as np
import pytest

from rnfm.archive.samples import json_bytes, npy_bytes
from rnfm.archive.tar import ABSENT, BLOCK, END, Extent, ShardFiles, TarWriter, faults_of, header
from rnfm.core.errors import IntegrityError


def write(path, keys=("S-1-0000", "S-1-0001", "S-2-0000")):
    """A tiny shard; every second sample has a mask. Returns (key, extents) as the manifest would hold them."""
    samples = []
    with TarWriter(path) as tar:
        for number, key in enumerate(keys):
            voxels = (np.arange(60) * 37 + number).astype(np.uint8).reshape(5, 4, 3)
            members = {"img": npy_bytes(voxels)}
            if number % 2 == 0:
                members["mask"] = npy_bytes(voxels // 200)
            members["meta"] = json_bytes({"key": key})
            samples.append((key, {"mask": ABSENT, **tar.add(key, members)}))
    return samples


@pytest.fixture
def shard(tmp_path):
    path = tmp_path / "train-00000.tar"
    return path, write(path)


def test_the_bytes_are_these_for_ever(shard):
    """A change of this digest is a change of the format: raise VERSION in rnfm/archive/shard.py."""
    path, _ = shard
    assert hashlib.sha256(path.read_bytes()).hexdigest() == GOLDEN


def test_tarfile_reads_it_and_agrees_with_the_extents(shard):
    path, samples = shard
    with tarfile.open(path) as tar:
        members = tar.getmembers()
        for member in members:
            assert (member.mtime, member.uid, member.gid, member.uname, member.mode) == (0, 0, 0, "", 0o644)
        extents = {
            f"{key}.{ {'img': 'img.npy', 'mask': 'mask.npy', 'meta': 'meta.json'}[name] }": extent
            for key, all_of_it in samples
            for name, extent in all_of_it.items()
            if extent.length
        }
        assert {m.name: (m.offset_data, m.size) for m in members} == {
            name: (extent.offset, extent.length) for name, extent in extents.items()
        }
        for member in members:
            assert zlib.crc32(tar.extractfile(member).read()) == extents[member.name].crc32


def test_a_sound_shard_has_no_faults(shard):
    assert list(faults_of(*shard)) == []


def test_cut_at_every_64_bytes_is_found(shard, tmp_path):
    path, samples = shard
    whole, cut = path.read_bytes(), tmp_path / "cut.tar"
    for length in range(0, len(whole), 64):
        cut.write_bytes(whole[:length])
        assert list(faults_of(cut, samples)), f"silent at {length} bytes"


def test_flipped_bytes_are_found(shard, tmp_path):
    """Headers, payloads, padding and end: every seventh byte of the shard, one at a time."""
    path, samples = shard
    whole, flipped = bytearray(path.read_bytes()), tmp_path / "flipped.tar"
    flipped.write_bytes(whole)
    with open(flipped, "r+b") as file:
        for place in range(0, len(whole), 7):
            file.seek(place)
            file.write(bytes([whole[place] ^ (1 << place % 8)]))
            file.flush()
            assert list(faults_of(flipped, samples)), f"silent at byte {place}"
            file.seek(place)
            file.write(bytes([whole[place]]))
            file.flush()


def test_faults_name_the_sample_the_member_and_the_offset(shard, tmp_path):
    path, samples = shard
    key, extents = samples[1]
    data = bytearray(path.read_bytes())
    data[extents["img"].offset + 130] ^= 4
    data[samples[2][1]["meta"].offset - BLOCK] ^= 1
    path.write_bytes(data)
    assert list(faults_of(path, samples)) == [
        f"sample {key}: img.npy at offset {extents['img'].offset} has other content than was published",
        f"sample S-2-0000: the header of meta.json at offset {samples[2][1]['meta'].offset - BLOCK} is damaged",
    ]


def test_a_cut_names_every_sample_behind_it(shard):
    path, samples = shard
    path.write_bytes(path.read_bytes()[: samples[1][1]["img"].offset])
    named = {fault.split(":")[0] for fault in faults_of(path, samples) if fault.startswith("sample")}
    assert named == {"sample S-1-0001", "sample S-2-0000"}


def test_something_between_or_behind_the_members_is_found(shard):
    path, samples = shard
    whole = path.read_bytes()
    planted = header("../../evil.pkl", 4) + b"cos\n" + bytes(508)
    path.write_bytes(whole[: -len(END)] + planted + END)
    assert list(faults_of(path, samples)) == [
        f"the end at offset {len(whole) - len(END)} is not 1024 zeros and nothing more"
    ]
    moved = [
        (k, {m: Extent(e.offset + len(planted), e.length, e.crc32) if e.length else e for m, e in x.items()})
        for k, x in samples
    ]
    path.write_bytes(planted + whole)
    assert next(faults_of(path, moved)).endswith("begins at offset 1024 instead of 0: something else lies between")


def test_a_missing_shard_names_all_its_samples(shard):
    path, samples = shard
    path.unlink()
    assert list(faults_of(path, samples)) == [
        f"sample {key}: the shard cannot be read (No such file or directory)" for key, _ in samples
    ]


def test_reading_checks_every_member(shard):
    path, samples = shard
    files, (key, extents) = ShardFiles(path.parent), samples[0]
    data = files.read(path.name, extents["img"], key=key, member="img")
    assert np.load(io.BytesIO(data.tobytes())).shape == (5, 4, 3)
    bad = bytearray(path.read_bytes())
    bad[extents["img"].offset] ^= 1
    path.write_bytes(bad)
    place = f"sample {key}, img.npy at offset {extents['img'].offset}"
    with pytest.raises(IntegrityError, match=f"^train-00000.tar: {place}: other content than was published"):
        ShardFiles(path.parent).read(path.name, extents["img"], key=key, member="img")
    path.write_bytes(bad[: extents["img"].offset + 100])
    with pytest.raises(IntegrityError, match=f"{place}: the file ends 88 bytes early"):
        ShardFiles(path.parent).read(path.name, extents["img"], key=key, member="img")
    path.unlink()
    with pytest.raises(IntegrityError, match=r"cannot be read \(No such file or directory\)"):
        ShardFiles(path.parent).read(path.name, extents["img"], key=key, member="img")


def test_no_more_than_128_descriptors_stay_open(tmp_path):
    import os

    files, before = ShardFiles(tmp_path), len(os.listdir("/proc/self/fd"))
    for number in range(140):
        (tmp_path / f"{number}").write_bytes(b"x")
        files.read(f"{number}", Extent(0, 1, zlib.crc32(b"x")), key="k", member="img")
    assert len(os.listdir("/proc/self/fd")) - before <= 130
    del files
    assert len(os.listdir("/proc/self/fd")) - before <= 2


def test_a_writer_that_fails_leaves_no_valid_end(tmp_path):
    path = tmp_path / "s.tar"
    with pytest.raises(RuntimeError, match="disk"), TarWriter(path) as tar:
        tar.add("S-1-0000", {"meta": b"{}"})
        raise RuntimeError("disk")
    assert not path.read_bytes().endswith(END)


GOLDEN = "a2e21f9658ed0e5ecbe2defd70da9fa04f289ca5c9cd40191636268199668b99"
