"""What is named and what is not: each finding with the smallest change that brings it about, and sound scans without any."""

from __future__ import annotations

import numpy as np
import pytest

from rnfm.core.ledger import Reason
from rnfm.volume import Volume
from rnfm.volume.findings import blank_slices, no_contrast, of_header
from rnfm.volume.reading import Header

SHAPE = (192, 224, 160)


def header_findings(shape: tuple[int, int, int], spacing: tuple[float, ...], gap: float = 0.0) -> list[str]:
    affine = np.diag([*spacing, 1.0])
    data = np.broadcast_to(np.float32(0), shape)
    header = Header(348, shape, np.dtype("f4"), 352, None, affine, gap)
    return [f"{found.reason}: {found.detail}" for found in of_header(Volume(data, affine), header)]


GRIDS = [
    (SHAPE, (1, 1, 1), []),
    ((512, 512, 24), (0.45, 0.45, 6), ["anisotropic: 0.45 x 0.45 x 6 mm voxels"]),
    ((256, 256, 130), (0.9, 0.9, 1.4), []),
    (
        (256, 256, 24),
        (1, 1, 1),
        [
            "spacing_implausible: 1 x 1 x 1 mm voxels, a field of view of 256 x 256 x 24 mm: no head is that small or large"
        ],
    ),
    (
        (256, 256, 100),
        (2, 2, 1),
        [
            "spacing_implausible: 2 x 2 x 1 mm voxels, a field of view of 512 x 512 x 100 mm: no head is that small or large"
        ],
    ),
    (
        (20, 20, 20),
        (11, 11, 11),
        ["spacing_implausible: 11 x 11 x 11 mm voxels, a field of view of 220 x 220 x 220 mm"],
    ),
]


@pytest.mark.parametrize(("shape", "spacing", "expected"), GRIDS)
def test_grids(shape, spacing, expected: list[str]) -> None:
    assert header_findings(shape, spacing) == expected


def test_forms_that_disagree() -> None:
    assert header_findings(SHAPE, (1, 1, 1), gap=0.4) == []
    assert header_findings(SHAPE, (1, 1, 1), gap=2.5) == [
        "forms_disagree: sform and qform disagree by 2.5 voxels; the sform is used"
    ]
    assert header_findings(SHAPE, (1, 1, 1), gap=np.inf) == [
        "forms_disagree: sform and qform disagree (the qform is invalid); the sform is used"
    ]


def test_blank_slices_where_air_is_noisy(head_arrays) -> None:
    raw = head_arrays()[0][:, :, 8:32].copy()
    assert blank_slices(raw) == []
    raw[:, :, :2] = 0
    raw[:, :, 10] = 3
    [found] = blank_slices(raw)
    assert found.reason is Reason.BLANK_SLICES
    assert found.detail == "1 between others and 2 at the ends of 24 slices hold one single value"


def test_beyond_a_stripped_brain_nothing_is_blank(head_arrays) -> None:
    raw = head_arrays()[0].copy()
    x, y, z = np.indices(raw.shape) - np.array([20, 22, 20]).reshape(3, 1, 1, 1)
    raw[x**2 + y**2 + z**2 > 14**2] = 0  # its first and last slices hold nothing
    assert blank_slices(raw) == []
    raw[:, :, 20] = 0
    assert [found.detail for found in blank_slices(raw)] == ["1 between others of 40 slices hold one single value"]


@pytest.mark.parametrize(("gain", "named"), [(2.2, 0), (1.4, 0), (1.0, 1), (0.6, 1)])
def test_contrast_is_judged_by_the_lesion(head_arrays, gain: float, named: int) -> None:
    raw, mask = head_arrays(lesion=gain)
    found = no_contrast(raw.astype(np.float32), raw > 100, mask)
    assert [one.reason for one in found] == [Reason.NO_CONTRAST] * named


def test_contrast_is_not_judged_without_a_mask(head_arrays) -> None:
    raw, mask = head_arrays(lesion=0.5)
    assert no_contrast(raw.astype(np.float32), raw > 100, None) == []
    assert no_contrast(raw.astype(np.float32), raw > 100, mask * 0) == []
    assert no_contrast(raw.astype(np.float32), raw > 1e6, mask) == []  # no tissue to compare with
