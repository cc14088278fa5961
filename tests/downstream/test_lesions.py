"""Lesions of volume archives: one row each, the target's mask alone, crops that are centred and padded."""

from __future__ import annotations

import numpy as np
import pytest

from rnfm.core import ConfigError, DataError, InputContract
from rnfm.downstream.lesions import load_lesions
from rnfm.downstream.windows import bounding_box

from .conftest import make_scans, write_volumes

BACKGROUND = -2.5  # (0 - mean 100) / sd 40: what the archive's intensity rule makes of a raw 0


def test_one_row_a_lesion_over_several_archives_in_order_of_codes(cohort):
    lesions = load_lesions(cohort.volumes)
    assert len(lesions) == 32
    assert lesions.table["lesion"].tolist() == sorted(
        f"{s['patient']}-L1" for s in cohort.scans["A"] + cohort.scans["B"]
    )
    assert set(lesions.inputs) == {"volumes_0", "volumes_1"}
    assert lesions.left_out == ()


def test_the_mask_is_the_target_lesion_alone_and_its_volume_is_counted(cohort):
    lesions = load_lesions(cohort.volumes[:1])
    assert set(lesions.inputs) == {"volumes"}
    image, mask = lesions.volume(5)
    scan = cohort.scans["A"][5]
    assert np.array_equal(mask, scan["mask"] == 11)
    assert np.array_equal(image, scan["image"].astype(np.float32))
    assert lesions.table["volume_mm3"].iloc[5] == (scan["mask"] == 11).sum()


def test_a_crop_is_centred_on_the_lesion_and_padded_with_the_value_of_empty_space(cohort):
    lesions = load_lesions(cohort.volumes[:1])
    image, mask = lesions.crop(0, (64, 64, 64))
    start, stop = bounding_box(mask)
    assert all(abs((low + high) / 2 - 32) <= 1 for low, high in zip(start, stop, strict=True))
    assert image[0, 0, 0] == pytest.approx(BACKGROUND)
    assert mask.sum() == (cohort.scans["A"][0]["mask"] == 11).sum()


def test_the_box_holds_the_whole_lesion_with_its_margin(cohort):
    lesions = load_lesions(cohort.volumes[:1])
    _, mask = lesions.box(0, margin=2)
    start, stop = bounding_box(mask)
    assert start == (2, 2, 2)
    assert stop == tuple(n - 2 for n in mask.shape)


def refusal(volumes, **options):
    with pytest.raises((DataError, ConfigError)) as caught:
        load_lesions(volumes, **options)
    return str(caught.value)


def test_a_lesion_without_a_mask_is_left_out_by_name_and_too_many_are_refused(tmp_path):
    scans = make_scans("A", 6, seed=3)
    scans[0]["has_mask"] = False
    lesions = load_lesions([write_volumes(tmp_path / "one", scans)])
    assert len(lesions) == 5
    assert lesions.left_out == ("P-A0000000-L1 has no mask",)
    scans[1]["mask_values"] = [55]
    said = refusal([write_volumes(tmp_path / "two", scans)])
    assert said == (
        "lesions: 2 of 6 have no mask (P-A0000000-L1 has no mask; P-A0000001-L1 has no voxel in its mask). "
        "Give the masks and prepare again, or take these rows out of the cohort."
    )


def test_an_empty_cohort_and_one_class_are_refused(tmp_path):
    scans = make_scans("A", 4, seed=3)
    unclassified = write_volumes(tmp_path / "a", [{**scan, "classified": False} for scan in scans])
    assert "the cohort holds no labelled, classified lesion" in refusal([unclassified])
    one = write_volumes(tmp_path / "b", [{**scan, "label": 0} for scan in scans])
    assert refusal([one]) == f"{one}: all 4 lesions have label 0. Give a cohort with both outcomes."
    assert "no volume archive is given" in refusal([])


def test_unlabelled_lesions_are_kept_where_no_label_is_needed(tmp_path):
    scans = [{**scan, "label": None} for scan in make_scans("A", 3, seed=3)]
    volumes = write_volumes(tmp_path / "a", scans)
    assert len(load_lesions([volumes], labelled=False)) == 3
    assert "no labelled" in refusal([volumes])


def test_a_lesion_classified_twice_is_refused(cohort):
    said = refusal([cohort.volumes[0], cohort.volumes[0]])
    assert "lesion P-A0000000-L1 is classified on 2 scans" in said


def test_archives_of_different_contracts_are_refused(tmp_path, cohort):
    other = write_volumes(tmp_path / "v", make_scans("C", 4, seed=3), contract=InputContract(spacing_mm=(2, 2, 2)))
    said = refusal([cohort.volumes[0], other])
    assert "spacing_mm is (2.0, 2.0, 2.0), expected (1.0, 1.0, 1.0)" in said


def test_a_cohort_that_names_no_lesion_uses_the_code_of_the_scan(tmp_path):
    scans = [{**scan, "lesion": None, "mask_values": []} for scan in make_scans("A", 4, seed=3)]
    lesions = load_lesions([write_volumes(tmp_path / "v", scans)])
    assert lesions.table["lesion"].tolist() == lesions.table["scan"].tolist()
    assert lesions.volume(0)[1].sum() == (scans[0]["mask"] > 0).sum()
