"""Who is simulated: exact prevalence, lesions and visits that add up, days in a possible order."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnfm.insilico import plan


@pytest.mark.parametrize(
    ("site", "lesions", "necrosis"), [("site_a", 109, 44), ("site_b", 200, 72), ("site_a", 10, 4), ("site_b", 1, 0)]
)
def test_prevalence_is_exact(site: str, lesions: int, necrosis: int) -> None:
    assert sum(plan.labels_of(7, site, lesions).values()) == necrosis


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), lesions=st.integers(1, 60))
def test_site_a_adds_up(seed: int, lesions: int) -> None:
    patients = plan.site_a(seed, lesions)
    found = [lesion.index for patient in patients for lesion in patient.lesions]
    assert found == list(range(lesions))
    assert len({patient.identity for patient in patients}) == len(patients)
    for patient in patients:
        assert len(patient.identity) == 6
        assert patient.identity[:2] in plan.CENTRE_PREFIXES
        assert [lesion.number for lesion in patient.lesions] == list(range(1, len(patient.lesions) + 1))
        days = [visit.day for visit in patient.visits]
        assert days == sorted(set(days))
        last = next(visit for visit in patient.visits if visit.kind == "classified")
        for lesion in patient.lesions:
            assert 0 < lesion.srs_day < last.day
            months = (last.day - lesion.srs_day) / (365.25 / 12)
            assert months == pytest.approx(lesion.clinical.months_since_srs, abs=0.02)
            assert (lesion.rn_day is not None) == (lesion.label == 1)
            assert lesion.rn_day is None or last.day <= lesion.rn_day < last.day + 60
        treated = [lesion.srs_day for lesion in patient.lesions]
        for visit in patient.visits:
            assert visit.day < min(treated) if visit.before_srs else visit.day > max(treated)
            assert visit.early == (visit.day < last.day)
            if visit.kind == "follow-up":
                assert visit.day > max(lesion.rn_day or 0 for lesion in patient.lesions)
                assert "response" in {other.kind for other in patient.visits}


def test_no_patient_has_more_visits_than_allowed_and_the_first_has_all() -> None:
    for most in (1, 2, 3, 4, 5):
        patients = plan.site_a(1, 60, most)
        assert max(len(patient.visits) for patient in patients) == len(patients[0].visits) == most
        assert all("classified" in {visit.kind for visit in patient.visits} for patient in patients)


def test_numbers_of_visits_key_their_noise_and_are_not_to_change() -> None:
    assert plan.NUMBERS == {"diagnosis": 0, "classified": 1, "planning": 2, "response": 3, "follow-up": 4}


def test_some_patients_have_two_lesions_and_some_more_visits() -> None:
    patients = plan.site_a(0, 109)
    assert 10 < sum(len(patient.lesions) == 2 for patient in patients) < 40
    assert 10 < sum(len(patient.visits) > 1 for patient in patients) < 45
    smallest = plan.site_a(0, 2)
    assert [(len(patient.lesions), len(patient.visits)) for patient in smallest] == [(2, 5)]


def test_site_b_and_pool_have_one_visit_each() -> None:
    assert [len(patient.visits) for patient in plan.site_b(0, 9)] == [1] * 9
    pool = plan.pool(0, 60)
    assert [len(patient.visits) for patient in pool] == [1] * 60
    assert {len(patient.lesions) for patient in pool} == {1, 2, 3}
    indices = [lesion.index for patient in pool for lesion in patient.lesions]
    assert len(set(indices)) == len(indices)


def test_a_longer_pool_begins_with_the_shorter_one() -> None:
    assert plan.pool(5, 30)[:10] == plan.pool(5, 10)
