"""A declared layout beyond what the data sets show: days on any axis, tables, and the smallest new data set."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnfm.cohort.cases import Groups, Mask, Source
from rnfm.cohort.layout import Layout, People, Person, _from_first_day
from rnfm.cohort.records import Options, ScanRecord

SOURCE = Source(r"(?P<case>(?P<patient>p\d+)/v(?P<visit>\d+))/t1c", (Mask(at="{top}{case}/mask"),))


def _layout(**values: object) -> Layout:
    return Layout(name="new", dataset="new", tree="p/v/t1c.nii[.gz]", sources=(SOURCE,), hint="/v", **values)  # type: ignore[arg-type]


def _file(path: Path, value: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(np.full((4, 4, 4), value, np.uint8), np.diag([10.0, 10.0, 10.0, 1.0]))
    nibabel.save(image, path)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.none() | st.integers(-(10**6), 10**6)), max_size=12))
def test_days_count_from_each_patients_first_scan(given_days: list[tuple[str, int | None]]) -> None:
    scans = [
        ScanRecord(patient=patient, scan=str(number), image=None, day=day)
        for number, (patient, day) in enumerate(given_days)
    ]
    found = _from_first_day(scans)
    for patient in "ab":
        before = [scan.day for scan in scans if scan.patient == patient]
        after = [scan.day for scan in found if scan.patient == patient]
        known = [day for day in before if day is not None]
        assert after == [None if day is None else day - min(known) for day in before]


def test_a_tables_day_wins_over_the_names(tmp_path: Path) -> None:
    for visit in (5, 9):
        _file(tmp_path / f"p1/v{visit}/t1c.nii")

    def people(_root: Path) -> People:
        def of(groups: Groups) -> Person:
            return Person({"sex": "F"}, 100 if groups["visit"] == "9" else None)

        return People(of, ("read from a table",))

    reading = _layout(day=lambda groups: int(groups["visit"]), people=people).read(tmp_path, Options())
    assert [scan.day for scan in reading.scans] == [0, 95]
    assert [dict(scan.clinical) for scan in reading.scans] == [{"sex": "F"}] * 2
    assert "read from a table" in reading.notes


def test_a_binary_masks_lesion_is_every_value_and_has_a_volume(tmp_path: Path) -> None:
    _file(tmp_path / "p1/v1/t1c.nii", 7)
    _file(tmp_path / "p1/v1/mask.nii", 255)
    ((lesion,),) = [scan.lesions for scan in _layout().read(tmp_path, Options()).scans]
    assert (lesion.number, lesion.mask_values, lesion.volume_ml) == (1, (), pytest.approx(64.0))


@pytest.mark.parametrize(
    ("files", "score", "why"),
    [
        (("p1/v1/t1c.nii", "p2/v1/t1c.nii"), 0.95, "there are 2 images named p/v/t1c.nii[.gz]"),
        (("p1/v1/t2.nii",), 0.4, "there are 1 files of such a tree, but no image named p/v/t1c.nii[.gz]"),
        (("x.nii",), 0.0, "there is no image named p/v/t1c.nii[.gz]"),
        ((), 0.0, "there is no image named p/v/t1c.nii[.gz]"),
    ],
)
def test_scores(tmp_path: Path, files: tuple[str, ...], score: float, why: str) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    match = _layout().matches(tmp_path)
    assert (match.score, match.why) == (score, why)
