"""Copies of a scan as they occur in the wild, made with NumPy and SciPy only: it shares nothing with what looks for them.

Each maker takes (data (i, j, k) float32, affine 4x4, generator) and returns (data, affine) of the copy.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import fft, ndimage

Scan = tuple[np.ndarray, np.ndarray]
Maker = Callable[[np.ndarray, np.ndarray, np.random.Generator], Scan]


def _bright(data: np.ndarray) -> float:
    return float(np.percentile(data, 99))


def _steps_mm(affine: np.ndarray) -> np.ndarray:
    return np.linalg.norm(affine[:3, :3], axis=0)


def stored_otherwise(data: np.ndarray, affine: np.ndarray, draw: np.random.Generator) -> Scan:
    """The same voxels in the same places, axes in another order and direction."""
    order = draw.permutation(3)
    data, turned = data.transpose(order), affine.copy()
    turned[:3, :3] = affine[:3, order]
    for axis in range(3):
        if draw.random() < 0.5:
            data = np.flip(data, axis)
            turned[:3, 3] += turned[:3, axis] * (data.shape[axis] - 1)
            turned[:3, axis] *= -1
    return data, turned


def flipped(axis: int) -> Maker:
    """Mirrored against its header."""
    return lambda data, affine, draw: (np.flip(data, axis), affine)


def resampled(data: np.ndarray, affine: np.ndarray, draw: np.random.Generator) -> Scan:
    """Other spacing: about 1.7 mm in plane, and 3 mm slices where there is a stack worth the name."""
    old = _steps_mm(affine)
    new = np.array([1.7, 1.7, 3.0 if data.shape[2] > 40 else old[2]]) * draw.uniform(0.9, 1.1)
    out = ndimage.zoom(data, old / new, order=1, grid_mode=True, mode="nearest")
    step = old * np.array(data.shape) / np.array(out.shape)
    turned = affine.copy()
    turned[:3, :3] = affine[:3, :3] / old * step
    turned[:3, 3] += (turned[:3, :3] - affine[:3, :3]) @ np.full(3, 0.5)
    return out, turned


def cropped(data: np.ndarray, affine: np.ndarray, draw: np.random.Generator) -> Scan:
    """Up to 12% cut off every side, and 15 to 30% of the bottom of a tall stack."""
    low = [int(n * share) for n, share in zip(data.shape, draw.uniform(0, 0.12, 3), strict=True)]
    high = [n - int(n * share) for n, share in zip(data.shape, draw.uniform(0, 0.12, 3), strict=True)]
    if data.shape[2] > 40:
        low[2] = int(data.shape[2] * draw.uniform(0.15, 0.3))
    moved = affine.copy()
    moved[:3, 3] += affine[:3, :3] @ np.array(low)
    return data[tuple(slice(a, b) for a, b in zip(low, high, strict=True))], moved


def noisy(data: np.ndarray, affine: np.ndarray, draw: np.random.Generator) -> Scan:
    """Gaussian noise, sd 10% of the bright end."""
    return data + draw.normal(0, 0.1 * _bright(data), data.shape).astype(np.float32), affine


def biased(data: np.ndarray, affine: np.ndarray, draw: np.random.Generator) -> Scan:
    """A smooth gain between about 0.6 and 1.7."""
    field = ndimage.zoom(draw.normal(0, 0.2, (3, 3, 3)), np.array(data.shape) / 3 + 1e-6, order=3)
    return data * np.exp(field[tuple(slice(n) for n in data.shape)]), affine


def rescaled(data: np.ndarray, affine: np.ndarray, draw: np.random.Generator) -> Scan:
    """Other gain and offset, and a gamma between 0.6 and 1.6."""
    return 1000 * np.clip(data / _bright(data), 0, 2) ** draw.uniform(0.6, 1.6) + 50, affine


def compressed(data: np.ndarray, affine: np.ndarray, draw: np.random.Generator) -> Scan:
    """8 bit, and JPEG's way of losing detail: quantised cosine coefficients of 8 x 8 blocks of every slice."""
    wide = np.pad(np.clip(data / _bright(data), 0, 1.5), [(0, -data.shape[0] % 8), (0, -data.shape[1] % 8), (0, 0)])
    blocks = wide.reshape(wide.shape[0] // 8, 8, wide.shape[1] // 8, 8, -1)
    step = (0.06 * (1 + np.add.outer(np.arange(8), np.arange(8))))[None, :, None, :, None]
    kept = np.rint(fft.dctn(blocks, axes=(1, 3), norm="ortho") / step) * step
    back = fft.idctn(kept, axes=(1, 3), norm="ortho").reshape(wide.shape)[: data.shape[0], : data.shape[1]]
    return np.rint(255 * np.clip(back, 0, 1)), affine


def turned(data: np.ndarray, affine: np.ndarray, draw: np.random.Generator) -> Scan:
    """Moved into another frame: turned by up to 8 degrees about each axis."""
    return data, _moved(affine, draw, stretch=0.0)


def registered(data: np.ndarray, affine: np.ndarray, draw: np.random.Generator) -> Scan:
    """Laid over an atlas: turned, and each axis stretched by up to 8%."""
    return data, _moved(affine, draw, stretch=0.08)


def _moved(affine: np.ndarray, draw: np.random.Generator, stretch: float) -> np.ndarray:
    turn = np.eye(3)
    for axis, angle in enumerate(np.radians(draw.uniform(-8, 8, 3))):
        a, b = (other for other in range(3) if other != axis)
        one = np.eye(3)
        one[a, a] = one[b, b] = np.cos(angle)
        one[a, b], one[b, a] = -np.sin(angle), np.sin(angle)
        turn = turn @ one
    out = affine.copy()
    out[:3] = np.diag(draw.uniform(1 - stretch, 1 + stretch, 3)) @ turn @ affine[:3]
    return out


def stripped(data: np.ndarray, affine: np.ndarray, draw: np.random.Generator) -> Scan:
    """Without its outer 12 mm, which is about where skull and scalp are."""
    head = ndimage.binary_fill_holes(ndimage.gaussian_filter(data, 1) > 0.15 * _bright(data))
    step = _steps_mm(affine)
    if data.shape[2] > 40:
        depth = ndimage.distance_transform_edt(np.pad(head, 1), sampling=step)[1:-1, 1:-1, 1:-1]
    else:  # a slab shows no top and no bottom of the head
        planes = [ndimage.distance_transform_edt(plane, sampling=step[:2]) for plane in np.moveaxis(head, 2, 0)]
        depth = np.stack(planes, axis=2)
    return np.where(depth > 12, data, 0), affine


def five_at_once(data: np.ndarray, affine: np.ndarray, draw: np.random.Generator) -> Scan:
    """Rescaled, biased, noisy, cropped and resampled, one after the other."""
    for make in (rescaled, biased, noisy, cropped, resampled):
        data, affine = make(data, affine, draw)
    return data, affine


MAKERS: dict[str, Maker] = {
    "stored otherwise": stored_otherwise,
    "flipped, first axis": flipped(0),
    "flipped, second axis": flipped(1),
    "flipped, third axis": flipped(2),
    "resampled": resampled,
    "cropped": cropped,
    "noisy": noisy,
    "biased": biased,
    "rescaled": rescaled,
    "compressed": compressed,
    "turned": turned,
    "registered": registered,
    "stripped": stripped,
    "five at once": five_at_once,
}
