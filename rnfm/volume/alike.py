"""The likeness of each scan, on its way from the worker that makes it to `likeness.parquet` (rnfm.cohort.likeness)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from rnfm.cohort import likeness, screening

STAGED = "likeness.npz"


def stage(folder: Path, thumb: np.ndarray) -> None:
    """Keep thumbnail and spectrum in the folder of one finished scan; equal thumbnails give equal bytes."""
    np.savez_compressed(folder / STAGED, thumbnail=thumb, spectrum=screening.spectrum(thumb))


def gather(path: Path, scans: Iterable[tuple[str, Path]]) -> None:
    """Write the table from (scan code, folder of the finished scan)."""

    def rows() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        for code, folder in scans:
            with np.load(folder / STAGED, allow_pickle=False) as kept:
                yield code, kept["spectrum"], kept["thumbnail"]

    likeness.write(path, rows())
