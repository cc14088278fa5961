"""`rnfm data verify`: sound artefacts of any kind pass, damaged samples are named, the exit code is 4."""

from __future__ import annotations

import json

import numpy as np
import pytest

import rnfm.archive
from rnfm.archive.verify import VerifyConfig, find_faults, read_heads, verify
from rnfm.core import artifact
from rnfm.core.errors import ConfigError, IntegrityError


def deep_faults(path) -> list[str]:
    return find_faults(read_heads(path), deep=True)


def test_sound_archives_pass(any_archive):
    for deep in (False, True):
        result = verify(VerifyConfig(path=any_archive, deep=deep))
        assert result.kind == "shards"
        assert f"shards, sound ({'every byte' if deep else 'presence, sizes and heads'}" in result.summary()


def test_any_kind_of_artefact(tmp_path):
    with artifact.publish(tmp_path / "split", "split", 1) as draft:
        (draft.path / "split.parquet").write_bytes(b"payload")
    assert verify(VerifyConfig(path=tmp_path / "split", deep=True)).kind == "split"
    (tmp_path / "split" / "split.parquet").write_bytes(b"pbyload")
    assert verify(VerifyConfig(path=tmp_path / "split")).kind == "split"  # the size is right: only a deep look sees it
    with pytest.raises(IntegrityError, match=r"1 fault: split\.parquet has other content than was published"):
        verify(VerifyConfig(path=tmp_path / "split", deep=True))


def test_flips_anywhere_are_found_and_samples_named(tar_archive):
    """120 flips spread over all files of the archive: none is silent, and those in a member name its sample."""
    archive = rnfm.archive.open(tar_archive)
    owners = {}
    for i in range(len(archive)):
        for member in ("img", "mask", "meta"):
            extent = archive.manifest.extent(i, member)
            owners.setdefault(archive.manifest.columns["shard"][i], []).append((extent, archive.key(i)))
    random, files = np.random.default_rng(0), sorted(p for p in tar_archive.iterdir() if p.is_file())
    named = silent = in_members = 0
    for trial in range(120):
        path = files[trial % len(files)]
        whole = path.read_bytes()
        place = int(random.integers(len(whole)))
        data = bytearray(whole)
        data[place] ^= 1 << int(random.integers(8))
        path.write_bytes(data)
        try:
            faults = deep_faults(tar_archive)
        except IntegrityError as error:
            faults = [str(error)]
        silent += not faults
        hit = [key for e, key in owners.get(path.name, []) if e.length and e.offset <= place < e.offset + e.length]
        in_members += len(hit)
        named += sum(any(f"sample {key}:" in fault for fault in faults) for key in hit)
        path.write_bytes(whole)
    assert silent == 0
    assert named == in_members > 30


@pytest.mark.parametrize("share", [0.0, 0.3, 0.71, 0.999])
def test_cut_shards_are_found_without_a_deep_look(tar_archive, share):
    shard = sorted(tar_archive.glob("train-*.tar"))[1]
    whole = shard.read_bytes()
    shard.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(IntegrityError, match=f"{shard.name} has .* bytes instead of {len(whole)}"):
        verify(VerifyConfig(path=tar_archive))
    samples = [fault for fault in deep_faults(tar_archive) if fault.startswith(f"{shard.name}: ")]
    assert samples


def test_missing_and_foreign_files(tar_archive):
    shard = sorted(tar_archive.glob("val-*.tar"))[0]
    shard.rename(tar_archive / "zzz.tar")
    faults = deep_faults(tar_archive)
    assert f"{shard.name} is missing" in faults
    assert "zzz.tar is not listed in digests.json" in faults
    assert any(fault.startswith(f"{shard.name}: sample ") for fault in faults)


@pytest.mark.parametrize("harm", ["flip", "empty", "cut", "delete"])
def test_damaged_zarr_names_its_samples(make_archive, volumes, harm):
    path = make_archive(volumes, format="zarr", shard_mb=0.03)
    chunk = path / "subvolumes.zarr/train/image/c/0/0/0/0"
    data = bytearray(chunk.read_bytes())
    if harm == "flip":
        data[20] ^= 1
    chunk.write_bytes({"flip": data, "empty": b"", "cut": data[: len(data) // 2], "delete": b""}[harm])
    if harm == "delete":
        chunk.unlink()
    faults = deep_faults(path)
    assert any(fault.startswith("subvolumes.zarr/train/image: sample S-00000000-0000, row 0: ") for fault in faults)


def test_all_faults_go_to_a_file_and_the_first_into_the_sentence(tar_archive, tmp_path):
    for shard in tar_archive.glob("*.tar"):
        shard.write_bytes(bytes(shard.stat().st_size))
    with pytest.raises(IntegrityError) as caught:
        verify(VerifyConfig(path=tar_archive, deep=True, faults=tmp_path / "faults.txt"))
    lines = (tmp_path / "faults.txt").read_text().splitlines()
    assert len(lines) > 60
    assert caught.value.exit_code == 4
    assert str(caught.value).startswith(f"{tar_archive}: {len(lines)} faults: {lines[0]}; {lines[1]}; ")
    assert f"and {len(lines) - 5} more" in str(caught.value)


def test_a_damaged_manifest_is_said_plainly(tar_archive):
    (tar_archive / "manifest.parquet").write_bytes(b"PAR1")
    faults = deep_faults(tar_archive)
    assert faults[-1] == "the manifest has other content than was published; the samples cannot be told apart"


def test_damaged_heads_and_no_artefact(tar_archive, tmp_path):
    with pytest.raises(ConfigError, match="there is no such folder"):
        verify(VerifyConfig(path=tmp_path / "nothing"))
    with pytest.raises(ConfigError, match=r"is not a published artefact \(no digests\.json\)"):
        verify(VerifyConfig(path=tmp_path))
    head = json.loads((tar_archive / "lineage.json").read_text())
    (tar_archive / "lineage.json").write_text(json.dumps({**head, "patients": []}))
    with pytest.raises(IntegrityError, match=r"lineage\.json has"):
        verify(VerifyConfig(path=tar_archive))
    (tar_archive / "config.json").write_text("{")
    with pytest.raises(IntegrityError, match="its head files are damaged"):
        verify(VerifyConfig(path=tar_archive))
