"""BIDS: which image and which mask, labels and clinical columns, sessions and days, faulty tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from rnfm.cohort.adapters import bids
from rnfm.cohort.records import Options
from rnfm.core.errors import DataError
from rnfm.core.ledger import Reason


def test_one_scan_a_session_and_contrast_is_preferred(bids_tree: Path) -> None:
    scans = bids.read(bids_tree, Options()).scans
    assert [scan.scan for scan in scans] == [
        "sub-01/ses-1/anat/sub-01_ses-1_ce-gad_T1w",
        "sub-01/ses-2/anat/sub-01_ses-2_ce-gad_T1w",
        "sub-02/anat/sub-02_ce-gad_T1w",
        "sub-03/anat/sub-03_ce-gad_T1w",
        "sub-04/anat/sub-04_ce-gad_T1w",
    ]


def test_the_lesion_mask_of_the_same_session_not_the_brain_mask(bids_tree: Path) -> None:
    masks = [scan.mask and scan.mask.name for scan in bids.read(bids_tree, Options()).scans]
    lesion = ["sub-01_ses-1_desc-lesion_mask.nii.gz", "sub-01_ses-2_desc-lesion_mask.nii.gz"]
    assert masks == [*lesion, "sub-02_mask.nii.gz", "sub-03_mask.nii.gz", None]


def test_labels_sources_sites_days_and_months(bids_tree: Path) -> None:
    scans = bids.read(bids_tree, Options()).scans
    assert [[(x.label, x.label_source) for x in scan.lesions] for scan in scans] == [
        [(1, "pathology")],
        [(1, "pathology")],
        [(0, "follow-up")],
        [(1, "participants.tsv")],
        [],
    ]
    assert [scan.site for scan in scans] == ["north", "north", "north", "south", "south"]
    # 10 January to 25 April 2020 (a leap year): 21 + 29 + 31 + 25 days.
    assert [scan.day for scan in scans] == [0, 106, None, None, None]
    assert [scan.lesions[0].months_since_srs for scan in scans[:3]] == [2.0, 5.5, None]


def test_clinical_columns_without_identities_and_outcomes(bids_tree: Path) -> None:
    reading = bids.read(bids_tree, Options())
    assert reading.scans[2].lesions[0].clinical == {"age_years": 90.0, "sex": "F", "wbrt": False}
    assert reading.notes == (
        "Columns of participants.tsv left out: date_of_birth (names a person), survival_days (known after the outcome).",
    )


def test_a_session_without_contrast_is_used_and_said(bids_tree: Path) -> None:
    (bids_tree / "sub-04/anat/sub-04_ce-gad_T1w.nii.gz").rename(bids_tree / "sub-04/anat/sub-04_T1w.nii.gz")
    (finding,) = bids.read(bids_tree, Options()).findings
    assert (finding.patient, finding.reason) == ("04", Reason.NO_CONTRAST)


def test_the_namespace_is_the_data_sets_name(bids_tree: Path) -> None:
    assert bids.namespace(bids_tree) == "site-b-2nd-centre"
    (bids_tree / "dataset_description.json").write_text("[]")
    assert bids.namespace(bids_tree) == "bids"


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("subject\tlabel\n01\tRN\n", "has no column 'participant_id'"),
        ("participant_id\tlabel\nsub-01\tRN\nsub-02\n", "row 3 has not as many columns as the first line"),
        ("participant_id\tlabel\nsub-01\tJohn Smith\n", "row 2 has a label that is none of RN, 1, progression, 0, n/a"),
        ("participant_id\tlabel\nsub-01\tRN\n01\tRN\n", "row 3 repeats a participant"),
    ],
)
def test_faulty_tables_are_refused_by_row_number(bids_tree: Path, text: str, cause: str) -> None:
    (bids_tree / "participants.tsv").write_text(text)
    with pytest.raises(DataError, match=cause) as caught:
        bids.read(bids_tree, Options())
    assert "Smith" not in str(caught.value)


def test_without_tables_scans_are_unlabelled(bids_tree: Path) -> None:
    (bids_tree / "participants.tsv").unlink()
    assert all(not scan.lesions for scan in bids.read(bids_tree, Options()).scans)
