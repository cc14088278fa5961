"""Crops in memory: judged in the middle, jittered by key, image and mask always together."""

from __future__ import annotations

import numpy as np
import torch

from rnfm.downstream.crops import Crops, cut_crops, outgrown
from rnfm.downstream.lesions import load_lesions


def crops_of(size: tuple[int, int, int] = (6, 6, 6), margin: int = 1, count: int = 5) -> Crops:
    random = np.random.default_rng(0)
    outer = tuple(length + 2 * margin for length in size)
    image = random.normal(size=(count, *outer)).astype(np.float16)
    return Crops(image, image > 0.5, np.arange(count) % 2, np.array([f"p{i}" for i in range(count)]), margin)


def test_a_batch_for_judging_is_the_middle_of_the_stored_crop():
    crops = crops_of(margin=1)
    x = crops.batch(np.array([3, 0]))
    assert x.shape == (2, 2, 6, 6, 6)
    assert x.dtype == torch.float32
    np.testing.assert_array_equal(x[0, 0].numpy(), crops.image_NDHW[3, 1:-1, 1:-1, 1:-1].astype(np.float32))
    np.testing.assert_array_equal(x[1, 1].numpy(), crops.mask_NDHW[0, 1:-1, 1:-1, 1:-1].astype(np.float32))


def test_the_same_key_gives_the_same_batch_and_another_key_another():
    crops, rows = crops_of(), np.arange(5)
    assert torch.equal(crops.jittered(rows, 7, "cv", 0, 1), crops.jittered(rows, 7, "cv", 0, 1))
    assert not torch.equal(crops.jittered(rows, 7, "cv", 0, 1), crops.jittered(rows, 7, "cv", 0, 2))
    assert not torch.equal(crops.jittered(rows, 7, "cv", 0, 1), crops.jittered(rows, 8, "cv", 0, 1))


def test_mask_and_image_are_shifted_mirrored_and_turned_together():
    """The mask is where the image is above 0.5: after any jitter, the smallest value in it beats the largest outside."""
    crops, rows = crops_of(), np.arange(5)
    for epoch in range(20):
        for image, mask in crops.jittered(rows, 0, epoch):
            assert image[mask > 0].min() > image[mask == 0].max()


def test_jitter_moves_voxels_but_keeps_the_axes_of_an_oblong_crop():
    crops = crops_of(size=(4, 6, 6), margin=0)
    x = crops.jittered(np.arange(5), 0, "a")
    assert x.shape == (5, 2, 4, 6, 6)
    before = crops.batch(np.arange(5))
    assert torch.equal(x[:, 1].flatten(1).sum(1), before[:, 1].flatten(1).sum(1))
    assert not torch.equal(x[:, 1], before[:, 1])


def test_crops_of_a_cohort_stand_in_the_order_of_its_table(cohort):
    lesions = load_lesions(cohort.volumes)
    crops = cut_crops(lesions, (16, 16, 16), margin=2)
    assert crops.image_NDHW.shape == (32, 20, 20, 20)
    assert crops.label_N.tolist() == lesions.table["label"].tolist()
    for row in (0, 30):
        np.testing.assert_array_equal(crops.mask_NDHW[row], lesions.crop(row, (20, 20, 20))[1])
        np.testing.assert_array_equal(crops.image_NDHW[row].astype(np.float32), lesions.crop(row, (20, 20, 20))[0])


def test_lesions_larger_than_the_crop_are_named(cohort):
    lesions = load_lesions(cohort.volumes[:1])
    assert outgrown(lesions, (16, 16, 16)) == []
    assert outgrown(lesions, (16, 16, 7)) == lesions.table["lesion"].tolist()
