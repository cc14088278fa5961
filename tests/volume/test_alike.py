"""From scan files to the answer of `rnfm data overlap`: what `prepare` stores is enough to find a changed copy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import ndimage

from rnfm.cohort import IndexConfig, OverlapConfig, index, likeness, overlap
from rnfm.volume import PrepareConfig, VolumeArchive, alike, prepare


def textured(seed: int, head_arrays: Callable[..., tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """A head with smooth structure of its own."""
    raw, _ = head_arrays(seed)
    texture = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=raw.shape), 1.2)
    return (raw * (1 + 0.25 * texture / texture.std()).clip(0.3, 2)).astype(np.int16)


def archive_of(folder: Path, scans: dict[str, np.ndarray], save: Callable[..., Path]) -> Path:
    for name, data in scans.items():
        save(folder / "source" / f"{name}.nii.gz", data)
    index(IndexConfig(source=folder / "source", out=folder / "cohort", layout="folder", namespace=folder.name))
    return prepare(PrepareConfig(cohort=folder / "cohort", out=folder / "volumes", spacing_mm=(3, 3, 3))).path


def test_a_copy_that_was_flipped_and_rescaled_is_found(tmp_path: Path, head_arrays: Callable, save: Callable) -> None:
    own = {f"own{seed}": textured(seed, head_arrays) for seed in (1, 2)}
    noise = np.random.default_rng(0).normal(0, 30, (36, 44, 37))
    copy = (np.flip(own["own2"], 0)[2:-2, :, 3:] * 2.5 + 40 + noise).astype(np.int16)
    one = archive_of(tmp_path / "one", own, save)
    two = archive_of(tmp_path / "two", {"copy": copy, "new": textured(3, head_arrays)}, save)
    found = overlap(OverlapConfig(first=one, second=two))
    assert [(pair.kind, pair.mirrored) for pair in found.pairs] == [("copy", (0,))]
    assert found.compared == ("patient codes", "voxel hashes", "likenesses")
    assert overlap(OverlapConfig(first=two, second=two)).found == 0


def test_one_row_a_scan_and_thumbnails_of_the_canonical_volume(
    tmp_path: Path, head_arrays: Callable, save: Callable
) -> None:
    volumes = VolumeArchive.open(
        archive_of(tmp_path / "one", {f"own{seed}": textured(seed, head_arrays) for seed in (1, 2)}, save)
    )
    stored = likeness.Likenesses(volumes.artifact.file(likeness.FILE))
    assert stored.scans == volumes.scans["scan"].tolist()
    for scan in stored.scans:
        thumb, image = stored.thumbnail(scan), volumes.image(scan)
        assert all(n <= m for n, m in zip(thumb.shape, image.shape, strict=True))
        # At 3 mm the thumbnail is the head itself, voxel for voxel, in another scale.
        assert (thumb > 0).sum() == volumes.row(scan)["foreground_voxels"]


def test_staging_is_the_same_bytes_again(tmp_path: Path) -> None:
    thumb = np.random.default_rng(0).integers(0, 255, (20, 22, 18)).astype(np.uint8)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        alike.stage(tmp_path / name, thumb)
    assert (tmp_path / "a" / alike.STAGED).read_bytes() == (tmp_path / "b" / alike.STAGED).read_bytes()
    alike.gather(tmp_path / "likeness.parquet", [("S-1", tmp_path / "a"), ("S-2", tmp_path / "b")])
    np.testing.assert_array_equal(likeness.Likenesses(tmp_path / "likeness.parquet").thumbnail("S-2"), thumb)
