"""Attention maps: drawn without looking at predictions, put back where they belong in the scan's own grid."""

from __future__ import annotations

import nibabel
import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from rnfm.downstream.attention import draw, into_canonical, save_map

from .conftest import AFFINE, SHAPE, SOURCE_AFFINE, SOURCE_SHAPE

TABLE = pd.DataFrame({"lesion": [f"L{i}" for i in range(8)], "label": [0, 0, 0, 0, 0, 1, 1, 0]})


def test_classes_come_in_turn_and_the_draw_follows_the_codes_alone():
    rows = np.arange(8)
    drawn = draw(TABLE, rows, 4, seed=0)
    assert TABLE["label"].iloc[drawn].tolist() == [1, 0, 1, 0]
    assert draw(TABLE, rows[::-1], 4, seed=0) == drawn
    assert draw(TABLE, rows, 4, seed=1) != drawn
    assert sorted(draw(TABLE, rows, 99, seed=0)) == list(range(8))
    assert draw(TABLE, rows, 0, seed=0) == []


@given(st.tuples(*[st.integers(-5, 9)] * 3))
def test_a_map_lies_in_the_canonical_volume_where_its_crop_was_cut(start):
    map_DHW = np.arange(1, 28, dtype=np.float32).reshape(3, 3, 3)
    whole = into_canonical(map_DHW, start, (8, 7, 6))
    for voxel in np.ndindex(8, 7, 6):
        inside = tuple(v - s for v, s in zip(voxel, start, strict=True))
        expected = map_DHW[inside] if all(0 <= n < 3 for n in inside) else 0
        assert whole[voxel] == expected


def test_the_file_lies_on_the_source_grid_and_its_peak_at_the_same_millimetre(tmp_path):
    """One bright block in the canonical volume; the source has axes L, A, S and slices of 2 mm."""
    whole = np.zeros(SHAPE, np.float32)
    whole[10:14, 20:24, 8:12] = 1
    save_map(tmp_path / "m.nii.gz", whole, AFFINE, (SOURCE_SHAPE, SOURCE_AFFINE))
    image = nibabel.load(tmp_path / "m.nii.gz")
    assert image.shape == SOURCE_SHAPE
    np.testing.assert_allclose(image.affine, SOURCE_AFFINE, atol=1e-5)
    data = image.get_fdata()
    centre_vox = np.array(np.nonzero(data > 0.5)).mean(axis=1)
    found_mm = (image.affine @ [*centre_vox, 1])[:3]
    np.testing.assert_allclose(found_mm, (AFFINE @ [11.5, 21.5, 9.5, 1])[:3], atol=1.01)
