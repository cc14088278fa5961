"""Thumbnails: the patient's right on the left, anterior up, the lesion outlined; and words that cannot become markup."""

from __future__ import annotations

import base64
import io

import matplotlib.image
import numpy as np

from rnfm.viz.html import render
from rnfm.volume.page import TEMPLATE, thumbnail


def pixels(picture: str) -> np.ndarray:
    head, _, data = picture.partition(",")
    assert head == "data:image/jpeg;base64"
    return matplotlib.image.imread(io.BytesIO(base64.b64decode(data)), format="jpeg").astype(int)


def test_the_sides_of_the_picture() -> None:
    """A bright corner at the patient's right, front and top shows at the left/top of axial and coronal, left/top of sagittal."""
    image = np.full((30, 30, 30), 10, np.float32)
    image[18:28, 18:28, 18:28] = 100
    sheet = pixels(thumbnail(image, np.zeros(image.shape, np.uint16), (2, 2, 2)))
    height, width = sheet.shape[:2]
    assert (height, width) == (150, 3 * 152)
    for panel in np.split(sheet.sum(axis=2), 3, axis=1):
        rows, columns = np.nonzero(panel > 380)
        assert rows.mean() < 70
        assert columns.mean() < 70


def test_the_outline_surrounds_the_lesion_and_keeps_millimetres() -> None:
    mask = np.zeros((20, 40, 10), np.uint16)
    mask[5:10, 10:20, 3:7] = 2
    sheet = pixels(thumbnail(np.random.default_rng(0).normal(size=mask.shape).astype(np.float32), mask, (2, 1, 4)))
    axial = sheet[:, :150]
    assert sheet.shape[1] == 3 * 150 + 6  # 40 mm along each axis
    blue = (axial[..., 2] - axial[..., 0]) > 60
    rows, columns = np.nonzero(blue)
    scale = 150 / 40
    assert np.ptp(columns) + 1 == round(10 * scale) or abs(np.ptp(columns) + 1 - 10 * scale) <= 2
    assert abs(np.ptp(rows) + 1 - 10 * scale) <= 2
    assert not blue[int(rows.mean()), int(columns.mean())]


def test_words_are_escaped() -> None:
    refused = [{"code": "S-1", "reason": "corrupt", "detail": "<script>alert(1)</script>"}]
    facts = {"title": "t", "cards": [], "patients": 0, "flagged": 0, "spacing": "1", "intensity": "none", "digest": "x"}
    page = render(TEMPLATE, refused=refused, **facts)
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
