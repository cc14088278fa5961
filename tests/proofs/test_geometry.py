"""Proof: where a voxel goes, from file to canonical grid and back, for every kind of grid and way to store it.

Figures, the worst of each row over target spacings and random places (seed stated):

    ramp        largest error of a linear function of place after resampling, of a range of 1, inside the source grid  < 2e-3
    point       distance of the brightest canonical voxel from a single bright source voxel [canonical voxel]         <= 0.87
    point mass  the same of the intensity-weighted centre [canonical voxel]                                             < 0.87
    volume      of a sphere's mask, relative change                                                                    <= 4%
    centroid    of that mask [mm]                                                                                    < 0.35
    restore     distance of the point's centre after going there and back [source voxel]                                < 1

Half the diagonal of a voxel is 0.87. Of a tilted slice several times thicker than the canonical voxel the *brightest* voxel
need not be the nearest one (its neighbours along the slice are weighted less by the distance), so there `point` is measured in
units of the slice: the reason is linear interpolation, not a shift, as `point mass` shows.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel.affines import apply_affine

from rnfm.core.files import write_json
from rnfm.volume import Volume, canonicalise, load, load_mask, restore

RESULT = Path(__file__).with_suffix(".json")
SEED = 4
POINTS = 6  # places a row and spacing
SPACINGS = ((1.0, 1.0, 1.0), (1.0, 1.0, 1.5))
SLOPE = np.array([0.003, -0.002, 0.0025])


_SPEC = importlib.util.spec_from_file_location("grids", Path(__file__).parents[1] / "volume/test_geometry.py")
assert _SPEC is not None
assert _SPEC.loader is not None
_grids = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_grids)
affine_of, CENTRE_MM = _grids.affine_of, _grids.CENTRE_MM

Row = tuple[tuple[int, int, int], np.ndarray, str]
OBLIQUE = affine_of("LAS", (1.0, 1.0, 1.2), (0.3, -0.2, 0.15))
ROWS: dict[str, Row] = {  # size, affine, how it is stored
    "RAS": ((60, 56, 52), affine_of("RAS", (1, 1, 1)), "<f4"),
    "LAS": ((60, 56, 52), affine_of("LAS", (1, 1, 1)), "<f4"),
    "PIL": ((52, 50, 48), affine_of("PIL", (1.1, 0.9, 1.2)), "<f4"),
    "anisotropic": ((60, 60, 14), affine_of("LPS", (0.9, 0.9, 4.0)), "<f4"),
    "thin": ((80, 86, 80), affine_of("LPS", (0.7, 0.7, 0.7)), "<f4"),
    "oblique": ((60, 60, 56), OBLIQUE, "<f4"),
    "oblique, double": ((60, 60, 56), OBLIQUE, "<f8"),
    "oblique, big-endian": ((60, 60, 56), OBLIQUE, ">f4"),
    "oblique, big-endian int16 scaled": ((60, 60, 56), OBLIQUE, ">i2 scaled"),
    "oblique, int16 scaled": ((60, 60, 56), OBLIQUE, "<i2 scaled"),
    "oblique, uint16 scaled": ((60, 60, 56), OBLIQUE, "<u2 scaled"),
    "oblique, int32 scaled": ((60, 60, 56), OBLIQUE, "<i4 scaled"),
    "oblique, qform only": ((60, 60, 56), OBLIQUE, "<f4 qform"),
    "oblique, NIfTI-2": ((60, 60, 56), OBLIQUE, "<f4 nifti2"),
    "oblique, sform against qform": ((60, 60, 56), OBLIQUE, "<f4 conflict"),
    "anisotropic, sform against qform": ((60, 60, 14), affine_of("LPS", (0.9, 0.9, 4.0)), "<f4 conflict"),
    "oblique anisotropic": ((60, 60, 16), affine_of("RPI", (1.0, 1.0, 4.0), (0.1, 0.25, -0.2)), "<f4"),
    "oblique anisotropic, scaled": ((60, 60, 16), affine_of("RPI", (1.0, 1.0, 4.0), (0.1, 0.25, -0.2)), "<i2 scaled"),
    "sheared": ((60, 56, 52), affine_of("RAS", (1, 1, 1)) @ np.array([[1, 0.2, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), "<f4"),
}  # fmt: skip


def stored(path: Path, data: np.ndarray, affine: np.ndarray, how: str) -> Path:
    """0..1 data on the disk as the row says: type, byte order, slope and intercept, forms."""
    kind, *more = how.split()
    nifti2 = "nifti2" in more
    make, head = (nibabel.Nifti2Image, nibabel.Nifti2Header) if nifti2 else (nibabel.Nifti1Image, nibabel.Nifti1Header)
    header = head(endianness=kind[0])
    header.set_data_dtype(kind)
    if "scaled" in more:
        step = 1e-4
        data = np.rint((data + 1) / step).astype(kind)  # -1 + step * stored
    image = make(data.astype(kind), affine, header)
    if "scaled" in more:
        image.header.set_slope_inter(1e-4, -1)
    image.set_sform(affine, code=0 if "qform" in more else 1)
    image.set_qform(affine_of("RAS", (1, 1, 1)) if "conflict" in more else affine, code=1)
    if how.startswith("<f4") and not np.allclose(
        affine[:3, :3].T @ affine[:3, :3], np.diag(np.diag(affine[:3, :3].T @ affine[:3, :3]))
    ):
        image.set_qform(None, code=0)  # a quaternion cannot hold a shear
    nibabel.save(image, path)
    return path


def places(shape: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
    return apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))


def ramp(at_mm: np.ndarray) -> np.ndarray:
    return (at_mm - CENTRE_MM) @ SLOPE + 0.5


def centre_vox(data: np.ndarray) -> np.ndarray:
    weights = data.clip(0).astype(np.float64)
    return np.array([(weights * axis).sum() for axis in np.indices(data.shape)]) / weights.sum()


def ramp_error(path: Path, row: Row, spacing: tuple[float, ...]) -> float:
    shape, affine, how = row
    found = canonicalise(load(stored(path, ramp(places(shape, affine)), affine, how)), spacing)
    index = apply_affine(np.linalg.inv(affine), places(found.shape, found.affine))
    reach = (
        3 * (np.array(spacing) / np.linalg.norm(affine[:3, :3], axis=0).min() > 1.5).any()
    )  # of the anti-alias filter
    inside = ((index >= reach) & (index <= np.array(shape) - 1 - reach)).all(axis=-1)
    assert inside.mean() > 0.1
    return float(np.abs(found.data - ramp(places(found.shape, found.affine)))[inside].max())


def point_errors(path: Path, row: Row, spacing: tuple[float, ...], at: np.ndarray) -> tuple[float, float, float, float]:
    """Of the brightest voxel and of the mass [canonical voxel], of the brightest in the coarser voxel, and after restoring."""
    shape, affine, how = row
    data = np.zeros(shape)
    data[tuple(at)] = 1
    source = load(stored(path, data, affine, how))
    found = canonicalise(source, spacing)
    true = apply_affine(np.linalg.inv(found.affine), apply_affine(affine, at))
    blur = found.data - found.data[0, 0, 0]  # a scaled file stores 0 as one step of its own
    brightest = np.array(np.unravel_index(blur.argmax(), found.shape)) - true
    size = np.linalg.norm(affine[:3, :3], axis=0)
    in_slices = apply_affine(np.linalg.inv(affine), apply_affine(found.affine, brightest + true)) - at
    mass = centre_vox(np.where(blur > 1e-3, blur, 0)) - true
    back = restore(found, like=source).data
    home = centre_vox(np.where(back > 1e-2 * back.max(), back, 0)) - at
    coarse = size.max() > 2 * max(spacing)
    return (
        float(np.linalg.norm(in_slices if coarse else brightest)),
        float(np.linalg.norm(mass)),
        float(np.linalg.norm(brightest)),
        float(np.abs(home).max()),
    )


def sphere_errors(
    path: Path, row: Row, spacing: tuple[float, ...], radius: float, offset: np.ndarray
) -> tuple[float, float]:
    """Relative change of volume and shift of the centroid [mm] of a ball's mask."""
    shape, affine, how = row
    at = places(shape, affine)
    ball = np.linalg.norm(at - apply_affine(affine, (np.array(shape) - 1) / 2) - offset, axis=-1) < radius
    source = stored(path, ball.astype(np.float32), affine, "<u2 " + " ".join(how.replace("scaled", "").split()[1:]))
    found = canonicalise(load_mask(source), spacing, is_mask=True)
    before, after = ball.sum() * abs(np.linalg.det(affine[:3, :3])), (found.data > 0).sum() * np.prod(spacing)
    shift = places(found.shape, found.affine)[found.data > 0].mean(axis=0) - at[ball].mean(axis=0)
    return abs(after / before - 1), float(np.linalg.norm(shift))


@pytest.mark.timeout(1800)
def test_every_grid_keeps_places_and_volumes(tmp_path: Path) -> None:
    noise = np.random.default_rng(SEED)
    table: dict[str, dict[str, float]] = {}
    for name, row in ROWS.items():
        points, spheres, ramps = [], [], []
        for spacing in SPACINGS:
            ramps.append(ramp_error(tmp_path / "a.nii.gz", row, spacing))
            for _ in range(POINTS):
                middle = np.array(row[0]) // 2
                at = middle + noise.integers(-middle // 2, middle // 2 + 1)
                points.append(point_errors(tmp_path / "a.nii.gz", row, spacing, at))
            for radius in (6.0, 12.0):
                spheres.append(sphere_errors(tmp_path / "a.nii.gz", row, spacing, radius, noise.uniform(-2, 2, 3)))
        worst_point, worst_sphere = np.max(points, axis=0), np.max(spheres, axis=0)
        columns = ("point", "point_mass", "point_in_canonical_voxels", "restore")
        table[name] = {
            "ramp": max(ramps),
            **dict(zip(columns, map(float, worst_point), strict=True)),
            "volume": float(worst_sphere[0]),
            "centroid_mm": float(worst_sphere[1]),
        }
    worst = {column: max(row[column] for row in table.values()) for column in next(iter(table.values()))}
    write_json(RESULT, {"seed": SEED, "spacings_mm": SPACINGS, "points_each": POINTS, "rows": table, "worst": worst})
    columns = list(worst)
    print("\n" + " " * 34 + "".join(f"{column[:12]:>13s}" for column in columns))
    for name, found in {**table, "worst": worst}.items():
        print(f"{name:34s}" + "".join(f"{found[column]:13.2g}" for column in columns))
    assert worst["ramp"] < 2e-3
    assert worst["point"] <= 0.87
    assert worst["point_mass"] < 0.87
    assert worst["restore"] < 1
    assert worst["volume"] <= 0.04
    assert worst["centroid_mm"] < 0.35


def test_the_figures_can_be_wrong(tmp_path: Path) -> None:
    """A grid that is off by one voxel, or by half, breaks them: they measure what they claim."""
    shape, affine, how = ROWS["oblique"]
    source = load(stored(tmp_path / "a.nii.gz", ramp(places(shape, affine)), affine, how))
    moved = source.affine.copy()
    moved[:3, 3] += moved[:3, 0]
    found = canonicalise(Volume(source.data, moved))
    index = apply_affine(np.linalg.inv(affine), places(found.shape, found.affine))
    inside = ((index >= 2) & (index <= np.array(shape) - 3)).all(axis=-1)
    assert np.abs(found.data - ramp(places(found.shape, found.affine)))[inside].max() > 2e-3
