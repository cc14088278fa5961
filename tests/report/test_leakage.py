"""The leakage statement, word for word."""

from rnfm.report import leakage

from .conftest import write_foundation

TESTED = {"external": ["P-1", "P-2"], "holdout": ["P-3"]}


def test_no_overlap(tmp_path):
    found = leakage.check(write_foundation(tmp_path / "f", ["P-8", "P-9"]), TESTED)
    assert not found.found
    assert found.sentence() == (
        "None of the test patients, 1 (hold-out), 2 (external centre), is among the 2 patients the foundation saw in "
        "pre-training. Codes are compared; patients indexed with another key table would not be recognised."
    )


def test_overlap(tmp_path):
    found = leakage.check(write_foundation(tmp_path / "f", ["P-2", "P-9"]), TESTED)
    assert found.found
    assert found.shared == {"holdout": (), "external": ("P-2",)}
    assert found.sentence() == (
        "Leak: the foundation was pre-trained on scans of patients it is judged on: 1 of 2 (external centre)."
    )


def test_a_lineage_without_patients_is_not_a_clean_one(tmp_path):
    found = leakage.check(write_foundation(tmp_path / "f", None), TESTED)
    assert found.seen is None
    assert "leakage cannot be ruled out" in found.sentence()
