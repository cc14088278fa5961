"""Radiomic features: 107 of them, known values for a ball, cached by content, small lesions borne."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from rnfm.downstream.baselines import radiomics


class Handmade:
    """Lesions given as (image, mask) pairs."""

    def __init__(self, pairs, spacing_mm=(1.0, 1.0, 1.0)):
        self.pairs, self.contract = pairs, SimpleNamespace(spacing_mm=spacing_mm)

    def __len__(self):
        return len(self.pairs)

    def in_scan_order(self):
        return list(reversed(range(len(self.pairs))))

    def box(self, row, margin):
        return self.pairs[row]


def ball(radius: float, seed: int = 0):
    random = np.random.default_rng(seed)
    distance = np.linalg.norm(np.indices((24, 24, 24)) - 11.5, axis=0)
    return random.normal(size=(24, 24, 24)).astype(np.float32), distance < radius


def test_a_ball_has_107_features_and_the_shape_of_a_ball(tmp_path):
    image, mask = ball(9)
    found = radiomics.features(Handmade([(image, mask)]), tmp_path).iloc[0]
    assert len(found) == 107
    assert found["original_shape_VoxelVolume"] == mask.sum()
    assert found["original_firstorder_Mean"] == pytest.approx(image[mask].mean(), rel=1e-5)
    assert found["original_shape_Sphericity"] == pytest.approx(1, abs=0.1)
    assert found["original_shape_Elongation"] == pytest.approx(1, abs=1e-6)


def test_spacing_follows_its_axis(tmp_path):
    """A bar along D: stretched spacing along D must lengthen it, along W must not."""
    image = np.random.default_rng(0).normal(size=(24, 8, 8)).astype(np.float32)
    mask = np.zeros(image.shape, bool)
    mask[2:22, 3:5, 3:5] = True
    lengths = [
        radiomics.features(Handmade([(image, mask)], spacing), tmp_path)["original_shape_Maximum3DDiameter"].iloc[0]
        for spacing in ((1.0, 1.0, 1.0), (2.0, 1.0, 1.0), (1.0, 1.0, 2.0))
    ]
    assert lengths[1] > 1.9 * lengths[0]
    assert lengths[2] < 1.2 * lengths[0]


def test_the_cache_is_read_and_belongs_to_the_content(tmp_path, monkeypatch):
    lesions = Handmade([ball(6, 0), ball(6, 1)])
    first = radiomics.features(lesions, tmp_path)
    assert len(list(tmp_path.glob("*.json"))) == 2

    def forbidden():
        raise AssertionError("computed again")

    monkeypatch.setattr(radiomics, "_extractor", forbidden)
    assert radiomics.features(lesions, tmp_path).equals(first)
    with pytest.raises(AssertionError, match="computed again"):
        radiomics.features(Handmade([ball(6, 2)]), tmp_path)
    with pytest.raises(AssertionError, match="computed again"):
        radiomics.features(Handmade([ball(6, 0)], (1.0, 1.0, 2.0)), tmp_path)


def test_a_damaged_cache_file_is_computed_again(tmp_path):
    lesions = Handmade([ball(6)])
    first = radiomics.features(lesions, tmp_path)
    [file] = tmp_path.glob("*.json")
    file.write_text(file.read_text()[:50])
    assert radiomics.features(lesions, tmp_path).equals(first)
    assert len(json.loads(file.read_text())) == 107


def test_a_lesion_too_small_to_measure_is_a_row_of_missing_values(tmp_path):
    image, mask = ball(6)
    dot = np.zeros_like(mask)
    dot[12, 12, 12] = True
    table = radiomics.features(Handmade([(image, dot), (image, mask)]), tmp_path)
    assert table.shape == (2, 107)
    assert table.iloc[0].isna().all()
    assert table.iloc[1].notna().all()
