"""Counts and words: a lesion counts once, a missing class is a warning, tables hold what the cohort holds."""

from __future__ import annotations

from collections import Counter

import pandas as pd
import pytest

from rnfm.cohort import summary
from rnfm.core.ledger import Entry, Reason


@pytest.fixture
def cohort() -> pd.DataFrame:
    """Two patients; lesion A on two scans (RN), lesion B on one of them (none recorded), and a scan without lesion."""
    rows = [
        ("P-1", "S-1", "P-1-L1", "north", True, 1),
        ("P-1", "S-2", "P-1-L1", "north", True, 1),
        ("P-1", "S-2", "P-1-L2", "north", True, 0),
        ("P-2", "S-3", None, "a|b", False, None),
    ]
    frame = pd.DataFrame(rows, columns=["patient", "scan", "lesion", "site", "has_mask", "label"])
    return frame.astype({"label": "Int8"})


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


def test_markdown(cohort: pd.DataFrame) -> None:
    counts = summary.count(cohort, [], [Entry("S-1", "index", Reason.LABEL_ORDER, "x")])
    contract = {"dataset": "d", "layout": "bids", "timepoint_rule": "last_post_srs"}
    text = summary.markdown(cohort, counts, contract=contract, notes=["A note."], branches=Counter({"last": 2}))
    for line in (
        "| north | 1 | 2 | 2 | 1 | 1 | 0 |",
        "| a/b | 1 | 1 | 0 | 0 | 0 | 0 |",
        "| label_order | 1 | used |",
        "| last | 2 |",
        "A note.",
        "It does not mean that tumour progression was proven",
    ):
        assert line in text
