"""The likeness of a scan: a thumbnail by which a copy of it is known again, whatever was done to its file.

    canonical image (D, H, W) --foreground only, means over 3 mm cubes, 8 bit--> thumbnail uint8 (d, h, w), 0 = outside

    likeness.parquet          one row a scan, written by `rnfm data prepare`
    scan       string         code
    spectrum   list<float16>  what `rnfm.cohort.screening` compares: no phases, no wave under 41 mm, so no picture
    shape_vox  list<int32>    of the thumbnail
    voxels     binary         the thumbnail in C order, about 0.2 MB

It is made before the intensity rule, so that archives made with other rules can be compared; the grid is concentric with
the box around the foreground, so that the thumbnail of a flipped scan is the flipped thumbnail; and the foreground is
marked, so that what lies outside it (air, a removed skull, a cut neck) need not agree. A thumbnail is a coarse picture of
the head: share it only where the archive itself may be shared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np

from rnfm.core.errors import IntegrityError

FILE = "likeness.parquet"
STEP_MM = 3.0
MAX_VOX = 128  # of a thumbnail along an axis; more is cut away evenly on both sides
RANGE = (0.5, 99.5)  # percentiles of the foreground that become 1 and 255
GROUP = 16  # rows decoded at once when one thumbnail is asked for


def thumbnail(image_DHW: np.ndarray, foreground_DHW: np.ndarray, spacing_mm: tuple[float, float, float]) -> np.ndarray:
    """uint8 (d, h, w) in steps of 3 mm, axes as given; 0 outside the foreground, 1..255 within.

    Slice by slice, so that no second copy of the scan is made. Raises ValueError if the shapes differ or the foreground
    is empty.
    """
    if image_DHW.shape != foreground_DHW.shape or not foreground_DHW.any():
        raise ValueError(f"an image {image_DHW.shape} needs a foreground of its own shape, and not an empty one")
    box = tuple(_extent(foreground_DHW, axis) for axis in range(3))
    image, inside = image_DHW[box], foreground_DHW[box]
    down, across, along = (overlap(n, mm / STEP_MM) for n, mm in zip(image.shape, spacing_mm, strict=True))
    share = np.zeros((len(down), len(across), len(along)), np.float32)
    total = np.zeros_like(share)
    for slice_no, (plane, within) in enumerate(zip(image, inside, strict=True)):
        for row in np.flatnonzero(down[:, slice_no]):
            share[row] += down[row, slice_no] * (across @ within.astype(np.float32) @ along.T)
            total[row] += down[row, slice_no] * (across @ np.where(within, plane, 0).astype(np.float32) @ along.T)
    # In a thin slab no cube may be filled by half; then the fullest ones count.
    head = share >= 0.5 * min(1.0, float(share.max()))
    values = total / np.maximum(share, 1e-6)
    low, high = np.percentile(values[head], RANGE)
    eight_bit = np.clip(np.rint(1 + 254 * (values - low) / max(high - low, 1e-6)), 1, 255)
    return _central(np.where(head, eight_bit, 0).astype(np.uint8))


def overlap(size: int, ratio: float) -> np.ndarray:
    """(m, size) float32: the share of new voxel j that old voxel i fills; both rows of voxels have the same centre.

    `ratio` is the old voxel size by the new one.

    >>> overlap(3, 0.5).tolist()
    [[0.5, 0.25, 0.0], [0.0, 0.25, 0.5]]
    """
    count = max(1, int(np.ceil(size * ratio - 1e-3)))
    old = (np.arange(size) - size / 2) * ratio
    new = (np.arange(count) - count / 2)[:, None]
    return np.clip(np.minimum(old + ratio, new + 1) - np.maximum(old, new), 0, None).astype(np.float32)


def write(path: Path, rows: Iterable[tuple[str, np.ndarray, np.ndarray]]) -> None:
    """Write `likeness.parquet` from (scan code, spectrum, thumbnail), a few rows at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = {"scan": pa.string(), "spectrum": pa.list_(pa.float16()), "shape_vox": pa.list_(pa.int32()), "voxels": pa.binary()}  # fmt: skip
    schema = pa.schema(list(names.items()))
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=False) as writer:
        for group in _groups(rows):
            columns = (
                [code for code, _, _ in group],
                [spectrum.astype(np.float16) for _, spectrum, _ in group],
                [list(thumb.shape) for _, _, thumb in group],
                [thumb.tobytes() for _, _, thumb in group],
            )
            arrays = [pa.array(column, kind) for column, kind in zip(columns, names.values(), strict=True)]
            writer.write_table(pa.table(arrays, schema=schema))


class Likenesses:
    """`likeness.parquet`, opened: `scans` (codes) and `spectra` (n, k) at once, thumbnails when asked for.

    Raises IntegrityError if the file is damaged.
    """

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet as pq

        self._path = path
        with self._readable():
            self._file = pq.ParquetFile(path)
            head = self._file.read(columns=["scan", "spectrum"])
            self.scans: list[str] = head["scan"].to_pylist()
            spectra = head["spectrum"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
            self.spectra = spectra.astype(np.float32).reshape(len(self.scans), -1)
        self._row_of = {code: row for row, code in enumerate(self.scans)}
        self._group = lru_cache(maxsize=16)(self._read_group)

    def thumbnail(self, scan: str) -> np.ndarray:
        group, row = divmod(self._row_of[scan], GROUP)
        return self._group(group)[row]

    def _read_group(self, group: int) -> list[np.ndarray]:
        with self._readable():
            rows = self._file.read_row_group(group, columns=["shape_vox", "voxels"]).to_pylist()
            return [np.frombuffer(row["voxels"], np.uint8).reshape(row["shape_vox"]) for row in rows]

    def _readable(self) -> _Readable:
        return _Readable(self._path)


class _Readable:
    """Turns what a damaged Parquet file raises into an IntegrityError."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if isinstance(error, OSError | ValueError | KeyError | TypeError):  # ArrowInvalid is a ValueError
            cause = f"is not a readable table of likenesses ({type(error).__name__})"
            raise IntegrityError(self._path.name, cause, "Make the volumes again") from None


def _groups(rows: Iterable[tuple[str, np.ndarray, np.ndarray]]) -> Iterator[list[tuple[str, np.ndarray, np.ndarray]]]:
    group: list[tuple[str, np.ndarray, np.ndarray]] = []
    for row in rows:
        group.append(row)
        if len(group) == GROUP:
            yield group
            group = []
    if group:
        yield group


def _extent(where: np.ndarray, axis: int) -> slice:
    found = np.flatnonzero(where.any(axis=tuple(other for other in range(3) if other != axis)))
    return slice(int(found[0]), int(found[-1]) + 1)


def _central(thumb: np.ndarray) -> np.ndarray:
    cut = [max(0, size - MAX_VOX) // 2 for size in thumb.shape]
    return np.ascontiguousarray(thumb[tuple(slice(low, low + MAX_VOX) for low in cut)])
