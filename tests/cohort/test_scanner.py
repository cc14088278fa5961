"""Makers and field strengths as headers and sidecars spell them."""

from __future__ import annotations

import pytest

from rnfm.cohort.scanner import field_strength_t, vendor


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SIEMENS", "Siemens"), ("Siemens Healthineers", "Siemens"), ("GE MEDICAL SYSTEMS", "GE"), ("General Electric", "GE"),
        ("Philips Medical Systems", "Philips"), ("TOSHIBA_MEC", "Canon"), ("UIH", "United Imaging"), ("Gerhard Hansen", "other"),
        ("", None), (None, None), ("n/a", None),
    ],
)  # fmt: skip
def test_makers(text: str | None, expected: str | None) -> None:
    assert vendor(text) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, 3.0),
        ("1.5", 1.5),
        (15000, 1.5),
        (30000, 3.0),
        (7.0, 7.0),
        (0, None),
        (99, None),
        ("3 T", None),
        ("nan", None),
        (-3, None),
    ],
)
def test_field_strengths(value: object, expected: float | None) -> None:
    assert field_strength_t(value) == expected
