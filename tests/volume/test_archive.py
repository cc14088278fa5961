"""Reading the archive: by code, with the right types, and never damaged bytes in silence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

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
    with pytest.raises(ConfigError, match="holds a cohort, not a volumes"):
        VolumeArchive.open(tmp_path / "cohort")


def test_a_flipped_byte_is_found_by_verify_and_by_reading(archive: VolumeArchive) -> None:
    """In every tenth part of an image shard and of its index at the end."""
    scan, geometry = archive.scans["scan"][0], archive.scans["geometry"][0]
    shard = archive.artifact.path / f"volumes.zarr/{geometry}/image/c/0/0/0/0"
    sound = shard.read_bytes()
    for at in [*range(0, len(sound), max(1, len(sound) // 10)), len(sound) - 1]:
        shard.write_bytes(sound[:at] + bytes([sound[at] ^ 0x10]) + sound[at + 1 :])
        again = VolumeArchive.open(archive.artifact.path)
        assert again.artifact.verify() == []
        assert again.artifact.verify(deep=True) == [
            f"volumes.zarr/{geometry}/image/c/0/0/0/0 has other content than was published"
        ]
        with pytest.raises(IntegrityError, match=f"scan {scan}, image: the stored voxels are damaged"):
            again.image(scan)
    shard.write_bytes(sound)
    assert np.isfinite(VolumeArchive.open(archive.artifact.path).image(scan)).all()


@pytest.mark.parametrize("damage", ["remove", "empty"])
def test_a_missing_or_empty_shard_is_found_on_opening(archive: VolumeArchive, damage: str) -> None:
    shard = next(archive.artifact.path.rglob("mask/c/1/0/0/0"))
    shard.unlink()
    if damage == "empty":
        shard.touch()
    with pytest.raises(IntegrityError, match=r"mask/c/1/0/0/0 (is missing|has 0 bytes)"):
        VolumeArchive.open(archive.artifact.path)
