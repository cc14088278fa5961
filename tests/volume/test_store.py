"""The layout on the disk, read back with plain zarr: rows, chunks, codecs, and that nothing is left unwritten."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr

from rnfm.core.errors import IntegrityError
from rnfm.volume import store

SHAPES = [(32, 48, 16), (16, 16, 16), (32, 48, 16)]


def fill(folder: Path, order: list[int]) -> tuple[list[np.ndarray], list[int]]:
    """Stage the scans in `order` (as workers might end), assemble them in their own."""
    images = [np.random.default_rng(i).normal(size=shape).astype(np.float32) for i, shape in enumerate(SHAPES)]
    staged = {}
    for i in order:
        (folder / f"staging-{i}").mkdir(parents=True)
        staged[i] = store.stage(folder / f"staging-{i}", images[i], None if i else (images[i] > 1) * 3)
    (folder / "out").mkdir()
    return images, store.assemble(folder / "out", [staged[i] for i in range(3)], {"axes": "RAS"})


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_plain_zarr_reads_it(tmp_path: Path) -> None:
    images, rows = fill(tmp_path, [0, 1, 2])
    assert rows == [0, 0, 1]
    root = zarr.open_group(tmp_path / "out/volumes.zarr", mode="r")
    assert dict(root.attrs) == {"axes": "RAS"}
    assert sorted(name for name, _ in root.groups()) == ["g16x16x16", "g32x48x16"]
    array = root["g32x48x16/image"]
    assert (array.shape, array.dtype, array.shards, array.chunks) == (
        (2, 32, 48, 16),
        np.float16,
        (1, 32, 48, 16),
        (1, 32, 24, 16),
    )
    np.testing.assert_array_equal(array[0], images[0].astype(np.float16))
    np.testing.assert_array_equal(array[1], images[2].astype(np.float16))
    np.testing.assert_array_equal(root["g32x48x16/mask"][0], (images[0] > 1) * 3)
    assert not root["g16x16x16/mask"][0].any()


def test_every_chunk_is_written_and_what_was_staged_stays(tmp_path: Path) -> None:
    fill(tmp_path, [0, 1, 2])
    for i in range(3):
        assert sorted(path.name for path in (tmp_path / f"staging-{i}").iterdir()) == ["image", "mask"]
    shards = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("c/*/0/0/0"))
    assert len(shards) == 6
    # An empty mask of 2 chunks: two compressed chunks and an index of 16 bytes each with 4 of CRC; "absent" is all ones.
    empty = (tmp_path / "out/volumes.zarr/g32x48x16/mask/c/1/0/0/0").read_bytes()
    index = np.frombuffer(empty[-36:-4], "<u8")
    assert (index != 2**64 - 1).all()


def test_the_order_of_staging_changes_no_byte(tmp_path: Path) -> None:
    fill(tmp_path / "a", [0, 1, 2])
    fill(tmp_path / "b", [2, 0, 1])
    assert contents(tmp_path / "a/out") == contents(tmp_path / "b/out")


def test_a_chunk_that_went_missing_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = store.os.link
    monkeypatch.setattr(store.os, "link", lambda a, b: None if "mask" in str(a) else link(a, b))
    with pytest.raises(IntegrityError, match=r"g16x16x16/mask lacks chunks after writing\. Check the disk"):
        fill(tmp_path, [0, 1, 2])


def test_chunks_divide_their_shard() -> None:
    sizes = [store.chunk_of(n) for n in range(16, 400, 16)]
    assert all(n % chunk == 0 and 20 <= chunk <= 44 for n, chunk in zip(range(32, 400, 16), sizes[1:], strict=True))
    assert sizes[0] == 16
