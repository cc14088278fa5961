"""Courses of volume: growth, treatment, nadir, growth again, and only then what the label says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnfm.insilico import growth, plan, traits
from rnfm.insilico.patient import place

LAWS = st.tuples(st.integers(0, 10**6), st.floats(0.3, 0.75), st.floats(0.5, 16), st.integers(30, 1000))


def draw(law: tuple[int, float, float, int], label: int) -> growth.Course:
    lesion, regrowth, volume_cc, span = law
    return growth.draw_course(
        0, "site_a", lesion, label=label, regrowth=regrowth, classified_cc=volume_cc, days=(20.0, 20.0 + span)
    )


@settings(max_examples=40, deadline=None)
@given(LAWS)
def test_the_course_goes_through_its_points(law: tuple[int, float, float, int]) -> None:
    course = draw(law, 1)
    nadir_day = 20 + growth.NADIR_SHARE * law[3]
    assert course.volume_cc(20) == pytest.approx(course.at_srs_cc)
    assert course.volume_cc(nadir_day) == pytest.approx(course.nadir_cc)
    assert course.volume_cc(20 + law[3]) == pytest.approx(law[2])


@settings(max_examples=40, deadline=None)
@given(LAWS)
def test_up_to_the_classified_scan_both_classes_have_one_course(law: tuple[int, float, float, int]) -> None:
    necrosis, progression = draw(law, 1), draw(law, 0)
    days = np.linspace(-30, 20 + law[3], 40)
    assert [necrosis.volume_cc(day) for day in days] == pytest.approx([progression.volume_cc(day) for day in days])


@settings(max_examples=40, deadline=None)
@given(LAWS)
def test_volumes_rise_fall_rise_and_part(law: tuple[int, float, float, int]) -> None:
    for label in (0, 1):
        course, span = draw(law, label), law[3]
        before = [course.volume_cc(day) for day in np.linspace(0, 20, 9)]
        falling = [course.volume_cc(20 + share * growth.NADIR_SHARE * span) for share in np.linspace(0, 1, 9)]
        rising = [
            course.volume_cc(20 + (growth.NADIR_SHARE + share * (1 - growth.NADIR_SHARE)) * span)
            for share in np.linspace(0, 1, 9)
        ]
        later = [course.volume_cc(20 + span + day) for day in np.linspace(0, 180, 9)]
        assert np.all(np.diff(before) >= 0)
        assert np.all(np.diff(falling) <= 1e-9)
        assert np.all(np.diff(rising) >= -1e-9)
        assert np.all(np.diff(later) < 0) if label else np.all(np.diff(later) > 0)
        # Progression is called from 20% above the smallest volume since treatment (RANO-BM): the classified scan shows it.
        assert rising[-1] > 1.2 * rising[0] or course.nadir_cc == growth.LEAST_CC


def test_visits_show_the_volumes_of_the_course() -> None:
    patient = plan.site_a(0, 8)[0]
    found = {visit.kind: place(patient, visit, seed=0)[0] for visit in patient.visits}
    for number, lesion in enumerate(patient.lesions):
        volumes_cc = {kind: placed[number].traits.volume_cc for kind, placed in found.items()}
        own = traits.draw(0, "site_a", lesion.index, lesion.label)
        assert volumes_cc["classified"] == pytest.approx(own.volume_cc)
        assert volumes_cc["diagnosis"] <= volumes_cc["planning"]
        assert volumes_cc["response"] < volumes_cc["classified"]
        assert (volumes_cc["follow-up"] < own.volume_cc) == (lesion.label == 1)
        assert len({placed[number].reach_mm for placed in found.values()}) == 1


def test_a_lesion_looks_like_what_it_is_from_the_classified_scan_on() -> None:
    patient = plan.site_a(0, 8)[0]
    hidden = {visit.kind: place(patient, visit, seed=0)[0][0].traits.hidden for visit in patient.visits}
    assert hidden["diagnosis"] == hidden["planning"] == hidden["response"]
    assert hidden["classified"] == hidden["follow-up"] != hidden["response"]
