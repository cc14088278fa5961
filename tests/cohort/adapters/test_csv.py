"""CSV: every documented column, all faults at once by line and never by value, slips of column names, files anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from rnfm.cohort import IndexConfig, index, table
from rnfm.cohort.adapters import choose
from rnfm.cohort.adapters import csv as layout
from rnfm.cohort.adapters.csv.table import COLUMNS
from rnfm.cohort.records import Options
from rnfm.core.errors import ConfigError, DataError

FULL = """\
Patient,image,mask,scan,session,day,months_since_srs,lesion,mask_values,label,label_source,site,vendor,field_strength_t,modality,age,wbrt,survival
HANSEN,a/1.nii.gz,m/1.nii.gz,one,1,100,2.5,1,11;12,RN,pathology,north,SIEMENS,1.5,T1CE,61,yes,4
HANSEN,a/1.nii.gz,m/1.nii.gz,one,1,100,2.5,2,21,progression,follow-up,north,SIEMENS,1.5,T1CE,61,yes,4
HANSEN,a/2.nii.gz,,two,2,190,5.5,,,,,north,GE,3,,61,yes,4
MOE,b.nii,n/a,one,,,,,,0,,south,,,,93,no,9
"""


def _write(folder: Path, text: str, name: str = "cohort.csv") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def test_every_column_has_its_place(tmp_path: Path) -> None:
    reading = layout.read(_write(tmp_path, FULL), Options())
    one, two, other = reading.scans
    assert (one.patient, one.scan, one.image, one.mask) == (
        "HANSEN", "HANSEN/one", tmp_path / "a/1.nii.gz", tmp_path / "m/1.nii.gz",
    )  # fmt: skip
    assert [(x.number, x.mask_values, x.label, x.label_source, x.months_since_srs) for x in one.lesions] == [
        (1, (11, 12), 1, "pathology", 2.5),
        (2, (21,), 0, "follow-up", 2.5),
    ]
    assert (one.day, one.order, one.site, one.vendor, one.field_strength_t, one.modality) == (
        0, 1, "north", "Siemens", 1.5, "T1CE",
    )  # fmt: skip
    assert (two.day, two.mask, two.lesions, two.vendor, two.modality) == (90, None, (), "GE", "T1CE")
    assert (other.scan, other.day, other.mask) == ("MOE/one", None, None)
    assert [(x.number, x.label, x.label_source, x.mask_values) for x in other.lesions] == [(1, 0, "table", ())]
    assert one.lesions[0].clinical == {"age_years": 61.0, "wbrt": True}
    assert other.clinical == {"age_years": 90.0, "wbrt": False}
    assert reading.notes == ("Columns of the table left out: survival (known after the outcome).",)
    assert set(FULL.split("\n")[0].lower().split(",")[:15]) == set(COLUMNS)


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters_a_byte_order_mark_and_blank_lines(tmp_path: Path, delimiter: str) -> None:
    text = "\ufeffpatient,image,age\r\np1,a.nii,61\r\n,,\r\n\r\np2,b.nii,62\r\n".replace(",", delimiter)
    reading = layout.read(_write(tmp_path, text), Options())
    assert [(scan.patient, scan.clinical) for scan in reading.scans] == [
        ("p1", {"age_years": 61.0}),
        ("p2", {"age_years": 62.0}),
    ]


def test_sessions_are_ordered_by_number(tmp_path: Path) -> None:
    text = "patient,image,session\np,a.nii,tp10\np,b.nii,tp9\n"
    assert [scan.order for scan in layout.read(_write(tmp_path, text), Options()).scans] == [1, 0]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("patiant,image\np,a.nii\n", "'patiant' is not a column (did you mean 'patient'?)"),
        (
            "patient,images,Mask Values,age\np,a.nii,1,2\n",
            "'images' is not a column (did you mean 'image'?); 'mask values' is not a column (did you mean 'mask_values'?)",
        ),
        ("id,file\np,a.nii\n", "the column 'patient' is missing; the column 'image' is missing"),
        ("patient,image,mask,mask\np,a.nii,b.nii,c.nii\n", "'mask' stands twice"),
        ("patient,image,\np,a.nii,x\n", "a column has no name"),
    ],
)
def test_a_wrong_first_line_says_all_of_it(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        layout.read(_write(tmp_path, text), Options())
    assert str(caught.value) == f"table: its first line is wrong: {sentence}. Mend the column names."


def test_a_clinical_column_near_a_known_one_that_is_there_is_no_slip(tmp_path: Path) -> None:
    text = "patient,image,lesion,lesions\np,a.nii,1,3\n"
    (scan,) = layout.read(_write(tmp_path, text), Options()).scans
    assert scan.clinical == {"lesions": 3.0}


def test_all_faults_at_once_by_line_and_never_by_value(tmp_path: Path) -> None:
    text = (
        "patient,image,mask,day,lesion,mask_values,label,site,field_strength_t,months_since_srs\n"
        "HANSEN,HANSEN.dcm,b.nii,1953-04-17,one,1-2,John Smith,Dr. Hansen 1953-04-17,99,soon\n"
        ",a.nii,,,,,,,,\n"
        "p,b.nii,,,1,\n"
        '"a\nb",c.nii,c.png,,,0,,,,nan\n'
    )
    with pytest.raises(DataError) as caught:
        layout.read(_write(tmp_path, text), Options())
    assert str(caught.value) == (
        "table: 12 faults: line 2: day is not a number of days; line 2: months_since_srs is not a number of months; line 2: "
        "lesion is not a whole number from 1; line 2: mask_values is not like 11;12; line 2: label is none of RN, 1, progression, "
        "0, n/a; line 2: field_strength_t is no field strength in tesla; line 2: image does not end in .nii or .nii.gz; line 2: "
        "site is not a word or two; line 3: patient is empty; line 4: has 6 cells, the first line has 10; line 5: mask_values is "
        "not like 11;12; line 5: mask does not end in .nii or .nii.gz. Mend these lines of the table."
    )
    assert not any(word in str(caught.value) for word in ("HANSEN", "Hansen", "Smith", "1953"))


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (["p,a.nii,m.nii,1,11", "q,a.nii,m.nii,2,21"], "lines 2 and 3 describe one scan and differ in patient"),
        (["p,a.nii,m.nii,1,11", "p,a.nii,n.nii,2,21"], "lines 2 and 3 describe one scan and differ in mask"),
        (["p,a.nii,m.nii,1,11", "p,a.nii,m.nii,1,21"], "lines 2 and 3 name one lesion of a scan"),
        (["p,a.nii,m.nii,1,11;12", "p,a.nii,m.nii,2,12"], "lines 2 and 3 name one mask value of a scan"),
        (["p,a.nii,m.nii,1,11", "p,a.nii,m.nii,2,"], "line 3: one of several lesions of a scan, without mask_values"),
        (["p,a.nii,m.nii,,11", "p,a.nii,m.nii,2,21"], "line 2: one of several lesions of a scan, without lesion"),
    ],
)
def test_lines_of_one_scan_must_agree(tmp_path: Path, lines: list[str], fault: str) -> None:
    text = "\n".join(["patient,image,mask,lesion,mask_values", *lines])
    with pytest.raises(DataError) as caught:
        layout.read(_write(tmp_path, text), Options())
    assert str(caught.value) == f"table: 1 fault: {fault}. Mend these lines of the table."


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"patient,image\n\xff\xfe,a.nii\n", "table: is not UTF-8 text. Save it again as CSV UTF-8."),
        (b'patient,image\np,"a.nii\n', "table: has a quote that is not closed, from line 2 on. Mend that line."),
        (b"patient,image\n", "table: has no line below its first. Add one line for each scan."),
    ],
)
def test_what_is_no_table(tmp_path: Path, data: bytes, sentence: str) -> None:
    (tmp_path / "t.csv").write_bytes(data)
    with pytest.raises((ConfigError, DataError)) as caught:
        layout.read(tmp_path / "t.csv", Options())
    assert str(caught.value) == sentence


def test_a_file_and_a_folder_are_recognised_and_other_files_are_not(tmp_path: Path, nifti) -> None:
    file = _write(tmp_path / "a", "patient,image\np,x.nii\n")
    for path in (file, file.parent):
        adapter, match = choose(path)
        assert (adapter.NAME, match.why) == ("csv", "there is a table with the columns patient, image")
    wrong = _write(tmp_path / "b", "patiant,image\np,x.nii\n", "table.csv")
    assert choose(wrong)[0].NAME == "csv"
    with pytest.raises(ConfigError, match="is in none of the .* layouts"):
        choose(nifti(tmp_path / "c/x.nii"))


def test_files_outside_the_folder_count_and_their_change_is_noticed(tmp_path: Path, nifti) -> None:
    image = nifti(tmp_path / "elsewhere/a.nii")
    file = _write(
        tmp_path / "in", f"patient,image,mask\np,{image},../elsewhere/m.nii\nq,lost.nii,\nr,../elsewhere/b.nii,\n"
    )
    nifti(tmp_path / "elsewhere/m.nii")
    nifti(tmp_path / "elsewhere/b.nii")
    config = IndexConfig(source=file, out=tmp_path / "cohort")
    result = index(config)
    assert (result.layout, result.counts.scans, result.counts.masked_scans) == ("csv", 2, 1)
    assert result.counts.refused == {"missing_file": 1}
    assert not index(config).fresh
    nifti(tmp_path / "elsewhere/b.nii", shape=(9, 9, 9))
    with pytest.raises(ConfigError, match="exists already, made with other settings or inputs"):
        index(config)


def test_a_changed_table_is_noticed(tmp_path: Path, nifti) -> None:
    nifti(tmp_path / "a.nii")
    file = _write(tmp_path, "patient,image,label\np,a.nii,RN\n", "mine.csv")
    config = IndexConfig(source=file, out=tmp_path / "cohort")
    index(config)
    _write(tmp_path, "patient,image,label\np,a.nii,progression\n", "mine.csv")
    with pytest.raises(ConfigError, match="exists already, made with other settings or inputs"):
        index(config)


def test_a_site_from_the_table_reaches_the_cohort_and_the_modality_too(tmp_path: Path, nifti) -> None:
    nifti(tmp_path / "a.nii")
    index(
        IndexConfig(source=_write(tmp_path, "patient,image,site,modality\np,a.nii,north,T1\n"), out=tmp_path / "cohort")
    )
    frame = table.read(tmp_path / "cohort/cohort.parquet")
    assert (frame["site"].tolist(), frame["modality"].tolist()) == (["north"], ["T1"])


def test_the_page_of_layouts_documents_every_column() -> None:
    page = (Path(__file__).parents[3] / "docs/layouts.md").read_text()
    assert [name for name in COLUMNS if f"`{name}`" not in page] == []
