"""Clinical columns have the stated shifts between the classes, and no more."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rnfm.insilico import clinical


def test_patients_follow_the_stated_laws() -> None:
    groups = {share: [clinical.draw_patient(0, "site_a", i, share) for i in range(3000)] for share in (0.0, 1.0)}
    age, wbrt, immune = (
        {share: float(np.mean([getattr(item, name) for item in group])) for share, group in groups.items()}
        for name in ("age_years", "wbrt", "immunotherapy")
    )
    assert age[0.0] == pytest.approx(61, abs=0.7)
    assert age[1.0] - age[0.0] == pytest.approx(-2, abs=0.1)  # the same draws, shifted
    assert (wbrt[0.0], wbrt[1.0]) == pytest.approx((0.25, 0.34), abs=0.025)
    assert (immune[0.0], immune[1.0]) == pytest.approx((0.33, 0.44), abs=0.025)
    assert [item.sex for item in groups[0.0]] == [item.sex for item in groups[1.0]]
    assert [item.primary for item in groups[0.0]] == [item.primary for item in groups[1.0]]


def test_lesions_follow_the_stated_laws() -> None:
    rows = {label: [clinical.draw_lesion(0, "site_b", i, label) for i in range(3000)] for label in (0, 1)}
    dose = [float(np.mean([row.srs_dose_gy for row in rows[label]])) for label in (0, 1)]
    months = [float(np.mean([math.log(row.months_since_srs) for row in rows[label]])) for label in (0, 1)]
    assert dose[0] == pytest.approx(19.6, abs=0.15)
    assert dose[1] - dose[0] == pytest.approx(0.6, abs=0.05)
    assert months[0] == pytest.approx(2.05, abs=0.04)
    assert months[1] - months[0] == pytest.approx(0.16, abs=0.02)
