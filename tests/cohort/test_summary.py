"""Counts and words: a lesion counts once, a missing class is a warning, tables hold what the cohort holds."""

from __future__ import annotations

import pandas as pd
import pytest

from rnfm.cohort import summary
from rnfm.cohort.courses import Course
from rnfm.cohort.timepoint import Series
from rnfm.core.ledger import Entry, Reason


@pytest.fixture
def cohort() -> pd.DataFrame:
    """Two patients; lesion A on two scans (RN), lesion B on one of them (none recorded), and a scan without lesion."""
    rows = [
        ("P-1", "S-1", "P-1-L1", "north", True, 1, "pathology", 0, "GE", 1.5, [1.0, 1.0, 1.0]),
        ("P-1", "S-2", "P-1-L1", "north", True, 1, "pathology", 1, None, None, [1.0, 1.0, 4.0]),
        ("P-1", "S-2", "P-1-L2", "north", True, 0, "no RN recorded", 0, None, None, [1.0, 1.0, 4.0]),
        ("P-2", "S-3", None, "a|b", False, None, None, 0, "GE", 3.0, [0.9, 0.9, 2.0]),
    ]
    names = ["patient", "scan", "lesion", "site", "has_mask", "label", "label_source", "timepoint", "vendor"]
    frame = pd.DataFrame(rows, columns=[*names, "field_strength_t", "spacing_mm"]).assign(modality="T1CE")
    return frame.astype({"label": "Int8", "timepoint": "Int16", "vendor": "string", "label_source": "string"})


def _course(lesion: str, label: int | None, months: tuple, rn_months: float | None = None) -> Course:
    return Course(lesion, label, (), Series(months=months, volumes_ml=(1.0,) * len(months), rn_months=rn_months))


def test_counts(cohort: pd.DataFrame) -> None:
    entries = [Entry("S-9", "index", Reason.NOT_3D, "x")] * 2
    counts = summary.count(cohort, entries, [])
    assert counts == summary.Counts(2, 3, 2, 2, {1: 1, 0: 1}, {"not_3d": 2}, {})
    assert summary.lines(counts) == [
        "3 scans of 2 patients, 2 with a mask; 2 lesions, labelled: 1 radiation necrosis, 1 without",
        "refused: 2: not_3d 2 (codes and details in quarantine.jsonl)",
    ]


@pytest.mark.parametrize(
    ("labelled", "warning"),
    [
        ({1: 3, 0: 0}, "no lesion of the class 'no radiation necrosis recorded': a classifier cannot be trained"),
        ({1: 0, 0: 3}, "no lesion of the class 'radiation necrosis': a classifier cannot be trained"),
        ({1: 0, 0: 0}, "no lesion has a label: this cohort serves pre-training and prediction"),
    ],
)
def test_a_missing_class_is_a_warning(labelled: dict[int, int], warning: str) -> None:
    (text,) = summary.warnings(summary.Counts(1, 1, 1, 3, labelled, {}, {}))
    assert text.startswith(warning)


def test_scans_that_all_count_as_one_patient_are_a_warning() -> None:
    text = summary.warnings(summary.Counts(1, 9, 0, 2, {1: 1, 0: 1}, {}, {}))
    assert text == ["all 9 scans count as one patient: check how patients are told apart (summary.md)"]


def _markdown(cohort: pd.DataFrame, courses: list[Course], rule: str = "rn_date_or_growth") -> str:
    counts = summary.count(cohort, [], [Entry("S-1", "index", Reason.LABEL_ORDER, "x")])
    contract = {"dataset": "d", "layout": "bids", "timepoint_rule": rule}
    return summary.markdown(cohort, counts, contract=contract, notes=["A note."], courses=courses)


def test_markdown(cohort: pd.DataFrame) -> None:
    text = _markdown(cohort, [_course("P-1-L1", 1, (-1.0, 3.0, 6.0), 4.0), _course("P-1-L2", 0, (-2.0, -1.0))])
    for line in (
        "| north | 1 | 2 | 2 | 1 | 1 | 0 |",
        "| a/b | 1 | 1 | 0 | 0 | 0 | 0 |",
        "| label_order | 1 | used |",
        "A note.",
        "| T1CE | GE | 1.5 | to 1.5 mm | 1 |",
        "| T1CE | GE | 3 | 1.5 to 3 mm | 1 |",
        "| T1CE | unknown | unknown | above 3 mm | 1 |",
        "| time points | lesions |\n| --- | --- |\n| 1 | 1 |\n| 2 | 1 |",
        "| 1 (radiation necrosis) | pathology | 1 | the tissue decided |",
        "| 0 (no radiation necrosis recorded) | no RN recorded | 1 |",
        "It does not mean that tumour progression was proven",
        "| last after radiosurgery, not later than the necrosis date | 1 | 0 | 0 |",
        "| `rn_date_or_growth` (in force) | yes | 0 | 0 |  |  | unknown |",
        "| `last_post_srs` | no | 1 | 0 | +3.0 |  | unknown |",
        "Of the labelled lesions 1 (0 with RN, 1 without) have no mask after radiosurgery. They count,",
    ):
        assert line in text, line


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ("rn_date", "`clinical_months_since_srs` is left out"),
        ("rn_date_or_growth", "`clinical_months_since_srs` is left out"),
        ("last_post_srs", "It looks at no label, so `clinical_months_since_srs` is a clinical feature here"),
    ],
)
def test_what_becomes_of_the_time_is_said(cohort: pd.DataFrame, rule: str, sentence: str) -> None:
    assert sentence in _markdown(cohort, [], rule)


def test_lesions_at_an_unknown_time_are_told(cohort: pd.DataFrame) -> None:
    text = _markdown(cohort, [_course("P-1-L1", 1, (None, None))])
    assert "Of 1 labelled lesion (1 with RN, 0 without) the time since radiosurgery is unknown" in text


def test_a_source_of_its_own_word_stands_for_itself(cohort: pd.DataFrame) -> None:
    text = _markdown(cohort.assign(label_source="consensus of two readers"), [])
    assert "| consensus of two readers | 1 | as the source says |" in text
