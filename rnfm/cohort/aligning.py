"""Are two thumbnails pictures of one head? Lay one over the other, mirrored in any way, and correlate their fine detail.

    6 mm  --all 8 mirrorings, all shifts (Fourier)--> the best --affine, Gauss-Newton--> same head? --3 mm, the same--> score

*Detail* is what is left of a thumbnail after its local mean and contrast are divided out within the foreground: gain,
offset, bias field and a missing skull change little of it, while two heads, which are alike in the large, differ in it.
The score is the correlation of the detail where both have foreground. The affine step is small (a head registered to an
atlas, a header with another voxel size) and starts from the best shift; a turn by more than some 15 degrees is not found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

from rnfm.cohort.likeness import STEP_MM, overlap

GRID_VOX = 48  # edge of the 6 mm grid on which shifts are sought: 288 mm
MAX_SHIFT_VOX = 10
DETAIL_VOX = {6.0: 2.5, 3.0: 1.0}  # sd of the local mean [voxel]
STEPS = {6.0: 10, 3.0: 5}  # of Gauss-Newton
MIN_COMMON = 0.4  # of the smaller foreground; less in common proves nothing
MIN_VOXELS = 200
SAMPLES = 20_000  # voxels used of a foreground, evenly spread: plenty for 12 numbers, and five times as fast as all
SAME_HEAD = 0.6  # coarse score from which the fine one is computed
TRIED = 3  # mirrorings that are refined at 6 mm
UNDECIDED = 0.1  # mirrorings whose coarse scores are closer than this are told apart at 3 mm
MIRRORINGS = tuple(tuple(axis for axis in range(3) if mask >> axis & 1) for mask in range(8))


@dataclass(frozen=True, eq=False)
class Detail:
    """Fine detail of one thumbnail at one step: `values` float32 (d, h, w), 0 outside; `inside` 0/1."""

    values: np.ndarray
    inside: np.ndarray

    def mirrored(self, axes: tuple[int, ...]) -> Detail:
        if not axes:
            return self
        return Detail(
            np.ascontiguousarray(np.flip(self.values, axes)), np.ascontiguousarray(np.flip(self.inside, axes))
        )


@dataclass(frozen=True)
class Likeness:
    """`score` -1..1 and `mirrored` (axes of the second that were flipped: 0 = right-left, 1 = front-back, 2 = up-down)."""

    score: float
    mirrored: tuple[int, ...]
    common: float  # share of the smaller foreground


def coarse(thumb: np.ndarray) -> Detail:
    """Detail at 6 mm."""
    inside, total = _halved((thumb > 0).astype(np.float32)), _halved(thumb.astype(np.float32))
    within = inside >= 0.5 * inside.max()
    return _detail(np.where(within, total / np.maximum(inside, 1e-6), 0), within, 6.0)


def fine(thumb: np.ndarray) -> Detail:
    """Detail at 3 mm."""
    return _detail(thumb.astype(np.float32), thumb > 0, STEP_MM)


def compare(one: np.ndarray, two: np.ndarray) -> Likeness:
    """How alike two thumbnails are."""
    a, b = coarse(one), coarse(two)
    rough = []
    for axes, start in _starts(a.values, b.values):
        score, common, place = _refine(a, b.mirrored(axes), start, STEPS[6.0])
        rough.append((Likeness(score, axes, common), place))
    best = max(rough, key=_score)
    if best[0].score < SAME_HEAD:
        return best[0]
    # A head is nearly its own mirror image: only fine detail tells which of two mirrorings it is.
    close = [found for found in rough if found[0].score >= best[0].score - UNDECIDED]
    return max((_look_closer(one, two, found.mirrored, place) for found, place in close), key=lambda found: found.score)


def _look_closer(one: np.ndarray, two: np.ndarray, axes: tuple[int, ...], place: np.ndarray) -> Likeness:
    """The score at 3 mm, from a place found at 6 mm."""
    place = place.copy()
    place[:3, 3] *= 6.0 / STEP_MM
    score, common, _ = _refine(fine(one), fine(two).mirrored(axes), place, STEPS[STEP_MM])
    return Likeness(score, axes, common)


def _score(found: tuple[Likeness, np.ndarray]) -> float:
    return found[0].score


def _halved(data: np.ndarray) -> np.ndarray:
    """Means over voxels of twice the size; 0 beyond the edge."""
    down, across, along = (overlap(size, 0.5) for size in data.shape)
    return np.asarray(np.tensordot(down, across @ data @ along.T, axes=1))


def _detail(values: np.ndarray, within: np.ndarray, step_mm: float) -> Detail:
    inside = within.astype(np.float32)

    def local(data: np.ndarray) -> np.ndarray:
        return np.asarray(ndimage.gaussian_filter(data, DETAIL_VOX[step_mm], mode="constant", truncate=3.0))

    weight = np.maximum(local(inside), 1e-3)
    rest = (values - local(values * inside) / weight) * inside
    contrast = np.sqrt(local(rest * rest) / weight)
    floor = 0.1 * float(contrast[within].mean()) + 1e-3
    return Detail((rest / (contrast + floor)).astype(np.float32), inside)


def _starts(a: np.ndarray, b: np.ndarray) -> list[tuple[tuple[int, ...], np.ndarray]]:
    """The mirrorings of `b` that fit `a` best, each with its best shift as a place (4, 4) [voxel, from centre to centre]."""
    spectrum = fft.rfftn(padded(a))
    reach = np.r_[0 : MAX_SHIFT_VOX + 1, -MAX_SHIFT_VOX:0]
    between = [_middle(n) - _middle(m) for n, m in zip(a.shape, b.shape, strict=True)]
    found = []
    for axes in MIRRORINGS:
        other = padded(np.flip(b, axes) if axes else b)
        fit = fft.irfftn(spectrum * np.conj(fft.rfftn(other)), other.shape)[np.ix_(reach, reach, reach)]
        at = np.unravel_index(int(fit.argmax()), fit.shape)
        place = np.eye(4)
        place[:3, 3] = between - reach[np.array(at)]
        found.append((float(fit[at]), axes, place))
    found.sort(key=lambda start: -start[0])
    return [(axes, place) for _, axes, place in found[:TRIED]]


def _middle(size: int) -> float:
    """Where the centre of `size` voxels lies on the padded grid [voxel]."""
    return _offset(size) + (min(size, GRID_VOX) - 1) / 2


def _offset(size: int) -> int:
    return (GRID_VOX - min(size, GRID_VOX)) // 2


def padded(data: np.ndarray) -> np.ndarray:
    """`data` in the middle of a grid of 48 voxels a side; what is larger is cut evenly."""
    out = np.zeros((GRID_VOX,) * 3, np.float32)
    source = tuple(
        slice((n - GRID_VOX) // 2, (n - GRID_VOX) // 2 + GRID_VOX) if n > GRID_VOX else slice(None) for n in data.shape
    )
    target = tuple(slice(_offset(n), _offset(n) + min(n, GRID_VOX)) for n in data.shape)
    out[target] = data[source]
    return out


def _refine(a: Detail, b: Detail, place: np.ndarray, steps: int) -> tuple[float, float, np.ndarray]:
    """(score, share in common, place) after `steps` of Gauss-Newton on the 12 numbers of an affine; the best one seen.

    `place` maps voxels of `a` to voxels of `b`, both counted from their centres. The update is the inverse compositional
    one (Baker and Matthews, IJCV 2004): the gradient is taken on `a`, once.
    """
    smooth_a, smooth_b = (ndimage.gaussian_filter(side.values, 0.7, truncate=3.0) for side in (a, b))
    inside_a = np.flatnonzero(a.inside)
    chosen = inside_a[:: max(1, len(inside_a) // SAMPLES)]
    away = (np.stack(np.unravel_index(chosen, a.values.shape), axis=1) - _centre(a)).astype(np.float32)
    slopes = np.stack([_slope(smooth_a, axis).ravel()[chosen] for axis in range(3)], axis=1)
    columns = np.concatenate([away / 10, np.ones((len(away), 1), np.float32)], axis=1)
    jacobian = (slopes[:, :, None] * columns[:, None, :]).reshape(-1, 12)
    target, best = smooth_a.ravel()[chosen], (-1.0, 0.0, place)
    smaller = max(1.0, min(float(a.inside.sum()), float(b.inside.sum()))) * len(chosen) / max(1, len(inside_a))
    for step in range(steps + 1):
        at = place[:3, :3] @ away.T + (place[:3, 3] + _centre(b))[:, None]
        moved, inside = (ndimage.map_coordinates(data, at, order=1) for data in (smooth_b, b.inside))
        both = inside > 0.6
        common = float(both.sum()) / smaller
        if both.sum() < MIN_VOXELS or common < MIN_COMMON:
            break
        score = _correlation(target[both], moved[both])
        if score > best[0]:
            best = (score, common, place)
        if step < steps:
            place = place @ np.linalg.inv(_update(jacobian[both], target[both], moved[both]))
    return best[0], best[1], best[2].copy()


def _update(jacobian: np.ndarray, target: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """The affine (4x4) by which `target` has to move to look like `moved`."""
    gain = float(target @ moved) / max(float(moved @ moved), 1e-6)
    normal = (jacobian.T @ jacobian).astype(np.float64)
    normal += np.diag(1e-3 * np.diag(normal) + 1e-3 * np.trace(normal) / 12)  # an axis without detail must not run away
    found = np.linalg.solve(normal, jacobian.T @ (moved * gain - target)).reshape(3, 4)
    step = np.eye(4)
    step[:3, :3] += found[:, :3] / 10
    step[:3, 3] = found[:, 3]
    return step


def _slope(data: np.ndarray, axis: int) -> np.ndarray:
    return np.gradient(data, axis=axis) if data.shape[axis] > 1 else np.zeros_like(data)


def _centre(detail: Detail) -> np.ndarray:
    return (np.array(detail.values.shape) - 1) / 2


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / np.sqrt(max(float((a @ a) * (b @ b)), 1e-12)))
