"""BIDS: which image and which mask, labels and clinical columns, sessions and days, faulty tables."""

from __future__ import annotations

import json
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


def _json(path: Path, **values: object) -> None:
    path.write_text(json.dumps(values))


def test_the_nearer_sidecar_wins_key_by_key(bids_tree: Path) -> None:
    _json(bids_tree / "T1w.json", Manufacturer="Siemens", MagneticFieldStrength=1.5)
    _json(bids_tree / "task-rest_bold.json", Manufacturer="Philips")
    _json(bids_tree / "sub-01/sub-01_T1w.json", MagneticFieldStrength=3)
    _json(bids_tree / "sub-01/ses-2/anat/sub-01_ses-2_ce-gad_T1w.json", Manufacturer="GE MEDICAL SYSTEMS")
    _json(bids_tree / "sub-02/anat/sub-02_acq-other_T1w.json", Manufacturer="Philips")  # of another image
    scans = bids.read(bids_tree, Options()).scans
    assert [(scan.vendor, scan.field_strength_t) for scan in scans[:3]] == [
        ("Siemens", 3.0),
        ("GE", 3.0),
        ("Siemens", 1.5),
    ]


def test_sidecars_with_free_text_or_without_sense_are_findings_not_values(bids_tree: Path) -> None:
    _json(bids_tree / "T1w.json", Manufacturer="Dr. Hansen", MagneticFieldStrength=150, InstitutionName="Rosenhill")
    (bids_tree / "sub-02/anat/sub-02_ce-gad_T1w.json").write_text("{broken")
    reading = bids.read(bids_tree, Options())
    assert {(scan.vendor, scan.field_strength_t) for scan in reading.scans} == {("other", None)}
    assert [finding.reason for finding in reading.findings] == [Reason.VALUE_IMPLAUSIBLE] * 5
    assert "Hansen" not in repr(reading.findings)


def test_gadolinium_comes_before_other_agents(bids_tree: Path, nifti) -> None:
    nifti(bids_tree / "sub-02/anat/sub-02_ce-ferumoxytol_T1w.nii.gz")
    assert bids.read(bids_tree, Options()).scans[2].scan == "sub-02/anat/sub-02_ce-gad_T1w"


def test_dates_out_of_scans_tsv_where_sessions_tsv_has_none(bids_tree: Path) -> None:
    (bids_tree / "sub-01/sub-01_sessions.tsv").unlink()
    for session, date in (("1", "2020-01-10"), ("2", "2020-04-25T08:00:00")):
        name = f"anat/sub-01_ses-{session}_ce-gad_T1w.nii.gz"
        (bids_tree / f"sub-01/ses-{session}/sub-01_ses-{session}_scans.tsv").write_text(
            f"filename\tacq_time\nanat/other.nii.gz\t1999-01-01\n{name}\t{date}\n"
        )
    assert [scan.day for scan in bids.read(bids_tree, Options()).scans[:2]] == [0, 106]


def test_day_counts_and_dates_of_one_participant_are_not_mixed(bids_tree: Path) -> None:
    (bids_tree / "sub-01/sub-01_sessions.tsv").write_text(
        "session_id\tday\tacq_time\nses-1\t12\tn/a\nses-2\tn/a\t2020-04-25\n"
    )
    reading = bids.read(bids_tree, Options())
    assert [scan.day for scan in reading.scans[:2]] == [0, None]
    assert "1 participants have days for some scans and dates for others; their dates were not used." in reading.notes


def test_labels_of_a_dseg_by_its_table(bids_tree: Path, nifti) -> None:
    folder = bids_tree / "derivatives/segmenter"
    nifti(folder / "sub-04/anat/sub-04_ce-gad_dseg.nii.gz")
    folder.joinpath("dseg.tsv").write_text(
        "index\tname\tcolor\n0\tBackground\t#000\n1\tNecrotic core\t#111\n2\tOedema\t#222\n3\tEnhancing tumour\t#333\n"
    )
    (lesion,) = bids.read(bids_tree, Options()).scans[4].lesions
    assert (lesion.mask_values, lesion.label) == ((1, 3), None)
    folder.joinpath("dseg.tsv").write_text("index\tname\n1\tGrey matter\n2\tWhite matter\n")
    scan = bids.read(bids_tree, Options()).scans[4]
    assert (scan.mask, scan.lesions) == (None, ())


def test_among_several_derivative_folders_the_one_that_says_lesion(bids_tree: Path, nifti) -> None:
    nifti(bids_tree / "derivatives/aaa/sub-02/anat/sub-02_ce-gad_desc-roughguess_mask.nii.gz")
    nifti(bids_tree / "derivatives/zzz/sub-02/anat/sub-02_ce-gad_label-lesion_mask.nii.gz")
    reading = bids.read(bids_tree, Options())
    assert reading.scans[2].mask == bids_tree / "derivatives/zzz/sub-02/anat/sub-02_ce-gad_label-lesion_mask.nii.gz"
    assert reading.findings == ()


def test_two_equally_fitting_masks_are_a_finding(bids_tree: Path, nifti) -> None:
    nifti(bids_tree / "derivatives/second/sub-02/anat/sub-02_mask.nii.gz")
    reading = bids.read(bids_tree, Options())
    assert reading.scans[2].mask == bids_tree / "derivatives/lesions/sub-02/anat/sub-02_mask.nii.gz"
    assert [(finding.patient, finding.reason) for finding in reading.findings] == [("02", Reason.MASK_AMBIGUOUS)]


def test_masks_in_another_space_or_of_another_run_are_not_used(bids_tree: Path, nifti) -> None:
    nifti(bids_tree / "derivatives/mni/sub-04/anat/sub-04_space-MNI152NLin2009cAsym_label-lesion_mask.nii.gz")
    (bids_tree / "sub-04/anat/sub-04_ce-gad_T1w.nii.gz").rename(
        bids_tree / "sub-04/anat/sub-04_ce-gad_run-1_T1w.nii.gz"
    )
    nifti(bids_tree / "derivatives/lesions/sub-04/anat/sub-04_run-2_label-lesion_mask.nii.gz")
    reading = bids.read(bids_tree, Options())
    assert reading.scans[4].mask is None
    assert "1 masks in another space than their image's own (space-*) were left out." in reading.notes
    nifti(bids_tree / "derivatives/lesions/sub-04/anat/sub-04_run-1_space-T1w_label-lesion_mask.nii.gz")
    assert bids.read(bids_tree, Options()).scans[4].mask is not None
