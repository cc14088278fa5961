"""DICOM trees through `index`: which series, whose structure set, what of the headers comes out, and what never does."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from rnfm.cli.main import main
from rnfm.cohort import IndexConfig, IndexResult, index, table
from rnfm.cohort.adapters import choose, dicom
from rnfm.cohort.keys import KeyTable
from rnfm.cohort.records import Options
from rnfm.core.config import with_overrides
from rnfm.core.errors import ConfigError, DataError

SECRETS = (
    "HANSEN", "GRETE", "OKONKWO", "10482230", "7741903", "SER55512", "Rosenhill", "1929", "0417", "20210304", "20210901",
    "2021-03-04", "1.2.826", "MPRAGE", "Lt frontal", "Hirn",
)  # fmt: skip


def _index(root: Path, out: Path, **given: Any) -> IndexResult:
    return index(IndexConfig(source=root, out=out, max_bad=1, **given))


def _rows(out: Path) -> list[dict[str, Any]]:
    return table.read(out / "cohort.parquet").sort_values(["day", "lesion"]).to_dict("records")


def test_one_scan_a_study_out_of_many_series(tmp_path: Path, dicom_files, blob) -> None:
    root = tmp_path / "in"
    dicom_files.series(root / "a", blob(), number=1, description="T1 MPRAGE PRE")
    wanted = dicom_files.series(root / "b", blob(), number=2, description="T1 MPRAGE POST")
    dicom_files.series(root / "c", blob(), number=3, description="AX T2 TSE", agent="")
    dicom_files.series(
        root / "d", blob(), number=4, description="T1 POST SUB", type=["DERIVED", "SECONDARY", "SUBTRACTION"]
    )
    result = _index(root, tmp_path / "cohort")
    assert (result.counts.scans, result.counts.patients, result.counts.refused) == (1, 1, {})
    (key,) = KeyTable.open(tmp_path / "cohort.keys.csv").scans().values()
    assert key.original == f"{wanted['patient']}/{wanted['study']}"
    assert "4 MR series in 1 studies" in (tmp_path / "cohort/summary.md").read_text()


def test_days_ages_makers_and_field_strengths(tmp_path: Path, dicom_files, blob) -> None:
    root = tmp_path / "in"
    dicom_files.series(root / "2", blob(), date="20210901", maker="GE MEDICAL SYSTEMS", tesla=15000.0, age="091Y")
    dicom_files.series(root / "1", blob(), date="20210304", maker="Hansen Imaging", tesla=99000000.0, age="054Y")
    result = _index(root, tmp_path / "cohort")
    first, second = _rows(tmp_path / "cohort")
    assert (first["day"], first["vendor"], first["clinical_age_years"]) == (0, "other", 54.0)
    assert (second["day"], second["vendor"], second["field_strength_t"]) == (181, "GE", 1.5)
    assert second["clinical_age_years"] == 90.0  # above 89
    assert result.counts.findings["value_implausible"] == 1
    assert {name for name in first if name.startswith("clinical_")} == {"clinical_age_years"}


def test_regions_become_lesions_with_one_number_through_time(tmp_path: Path, dicom_files, blob) -> None:
    root = tmp_path / "in"
    for date, names in (("20210304", ("Skull", "Lt frontal", "Rt parietal")), ("20210901", ("rt parietal", "New"))):
        facts = dicom_files.series(root / date, blob(), date=date)
        places = [(8, 8, 8), (15, 10, 8), (12, 14, 5)]
        regions = {
            name: dicom_files.ball(facts, place, 9.0) for name, place in zip(names, places[: len(names)], strict=True)
        }
        dicom_files.structure(root / date / "rs.dcm", facts, regions)
    _index(root, tmp_path / "cohort")
    rows = _rows(tmp_path / "cohort")
    assert [(row["day"], row["lesion"][-2:], list(row["mask_values"])) for row in rows] == [
        (0, "L1", [1]), (0, "L2", [2]), (181, "L2", [2]), (181, "L3", [3]),
    ]  # fmt: skip
    assert all(row["has_mask"] for row in rows)


def test_names_without_endings_dicomdir_doubles_and_strangers(tmp_path: Path, dicom_files, blob) -> None:
    root = tmp_path / "in"
    dicom_files.series(root / "DICOM/S1", blob(), ending="")
    shutil.copytree(root / "DICOM/S1", root / "copy")
    (root / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    (root / "viewer.exe").write_bytes(b"MZ")
    (root / "torn.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\x02\0")
    adapter, match = choose(root)
    assert (adapter.NAME, match.why) == ("dicom", "there are 1 files ending in .dcm or .ima")
    assert _index(root, tmp_path / "cohort").counts.scans == 1
    text = (tmp_path / "cohort/summary.md").read_text()
    assert "2 files are not readable DICOM and were left aside." in text
    assert "16 images were there a second time (same instance); one copy was used." in text


def test_a_tree_without_any_ending_is_recognised_by_its_first_files(tmp_path: Path, dicom_files, blob) -> None:
    dicom_files.series(tmp_path / "in", blob(), ending="")
    assert choose(tmp_path / "in")[1].why == "there are DICOM files without a file ending"


def test_equal_series_are_refused_and_a_glob_settles_it(tmp_path: Path, dicom_files, blob) -> None:
    root = tmp_path / "in"
    dicom_files.series(root / "a", blob(), number=1, description="T1 MPRAGE POST")
    dicom_files.series(root / "b", blob(), number=2, description="T1 MPRAGE POST repeat")
    dicom_files.series(root / "c", blob(), patient="OTHER")
    result = _index(root, tmp_path / "cohort")
    assert (result.counts.scans, result.counts.refused) == (1, {"series_ambiguous": 1})
    (line,) = (tmp_path / "cohort/quarantine.jsonl").read_text().splitlines()
    assert json.loads(line)["detail"] == (
        "2 series fit equally well as contrast-enhanced T1; --series-glob can tell them apart"
    )
    settled = _index(root, tmp_path / "settled", series_glob="*post rep*")
    assert (settled.counts.scans, settled.counts.refused) == (1, {})


def test_a_study_without_a_candidate_is_counted_and_a_tree_without_any_is_refused(
    tmp_path: Path, dicom_files, blob
) -> None:
    root = tmp_path / "in"
    dicom_files.series(root / "a", blob(), description="T1 MPRAGE PRE")
    with pytest.raises(DataError) as caught:
        _index(root, tmp_path / "cohort")
    assert str(caught.value) == (
        "source folder: none of 1 MR series in 1 studies is recognised as contrast-enhanced T1. Name the wanted series by "
        "--series-glob, a pattern of the series description such as '*T1*POST*'."
    )
    dicom_files.series(root / "b", blob(), patient="OTHER")
    assert _index(root, tmp_path / "cohort").counts.scans == 1
    assert "1 studies hold no contrast-enhanced T1 series" in (tmp_path / "cohort/summary.md").read_text()


def test_structure_sets_by_series_by_frame_and_by_nothing(tmp_path: Path, dicom_files, blob) -> None:
    root = tmp_path / "in"
    for patient, given in {
        "exact": {},
        "frame": {"refers_to": "1.2.3"},
        "wrong": {"refers_to": "1.2.3", "frame": "1.2.4"},
    }.items():
        facts = dicom_files.series(root / patient, blob(), patient=patient)
        dicom_files.structure(
            root / patient / "rs.dcm", facts, {"met": dicom_files.ball(facts, (12, 10, 8), 9.0)}, **given
        )
    result = _index(root, tmp_path / "cohort")
    assert (result.counts.scans, result.counts.masked_scans) == (3, 2)
    details = [json.loads(line)["detail"] for line in (tmp_path / "cohort/findings.jsonl").read_text().splitlines()]
    assert sorted(detail for detail in details if "lesion" not in detail) == [
        "a structure set refers to no series that was chosen, so its regions are not used",
        "its regions were drawn on another series of the same frame of reference",
    ]


def test_the_newest_structure_set_counts_and_two_of_one_moment_refuse_the_scan(
    tmp_path: Path, dicom_files, blob
) -> None:
    root = tmp_path / "in"
    facts = dicom_files.series(root, blob())
    ball, other = (dicom_files.ball(facts, place, 9.0) for place in ((8, 8, 8), (15, 12, 8)))
    dicom_files.structure(root / "new.dcm", facts, {"a": ball, "b": other}, stamp="20220101", number=1)
    dicom_files.structure(root / "old.dcm", facts, {"a": ball}, stamp="20210101", number=2)
    result = _index(root, tmp_path / "cohort")
    assert result.counts.findings["structure_unmatched"] == 1
    assert [list(row["mask_values"]) for row in _rows(tmp_path / "cohort")] == [[1], [2]]
    dicom_files.structure(root / "old.dcm", facts, {"a": ball}, stamp="20220101", number=2)
    with pytest.raises(DataError, match="none of 1 scans can be used"):
        _index(root, tmp_path / "again")


def test_a_second_run_does_nothing_and_a_new_file_is_noticed(tmp_path: Path, dicom_files, blob) -> None:
    root = tmp_path / "in"
    facts = dicom_files.series(root, blob())
    config = IndexConfig(source=root, out=tmp_path / "cohort")
    assert [index(config).fresh, index(config).fresh] == [True, False]
    dicom_files.structure(root / "rs.dcm", facts, {"met": dicom_files.ball(facts, (12, 10, 8), 9.0)})
    with pytest.raises(ConfigError, match="exists already, made with other settings or inputs"):
        index(config)
    again = index(with_overrides(config, {"overwrite": True}))  # the same key table, the same place
    assert (again.counts.scans, again.counts.masked_scans, again.counts.lesions) == (1, 1, 1)


def test_an_output_inside_the_source_changes_nothing(tmp_path: Path, dicom_files, blob) -> None:
    dicom_files.series(tmp_path / "in/dcm", blob())
    config = IndexConfig(source=tmp_path / "in", out=tmp_path / "in/cohort")
    assert index(config).fresh
    assert not index(config).fresh


def test_without_the_extra_one_sentence_names_the_install_line(tmp_path: Path, dicom_files, blob, monkeypatch) -> None:
    dicom_files.series(tmp_path / "in", blob())
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError) as caught:
        _index(tmp_path / "in", tmp_path / "cohort")
    assert str(caught.value) == (
        "dicom layout: needs pydicom and dcm2niix, which are not installed. Install it with: pip install 'rnfm[dicom]'."
    )
    assert not (tmp_path / "cohort.converted").exists()


def test_options_of_another_layout_are_refused(tmp_path: Path, dicom_files, blob, nifti) -> None:
    nifti(tmp_path / "plain/a_1.nii")
    with pytest.raises(ConfigError, match="are for the dicom and brain_tr_gammaknife layouts, and this is folder"):
        _index(tmp_path / "plain", tmp_path / "cohort", series_glob="*")
    dicom_files.series(tmp_path / "in", blob())
    with pytest.raises(ConfigError, match="are for the folder layout, and this is dicom"):
        _index(tmp_path / "in", tmp_path / "cohort", image_glob="*")
    with pytest.raises(ConfigError, match="converted: is not given"):
        dicom.read(tmp_path / "in", Options())


def _planted(root: Path, dicom_files, blob) -> Path:
    """Identities in folder and file names, in every header, in the names of regions; one series that cannot be converted."""
    top = root / "HANSEN_GRETE_10482230"
    for date in ("20210304", "20210901"):
        facts = dicom_files.series(top / date / "Hirn", blob(), date=date, ending="_HANSEN.dcm")
        ball = dicom_files.ball(facts, (12, 10, 8), 9.0)
        dicom_files.structure(top / date / "RS_HANSEN.dcm", facts, {"Lt frontal HANSEN 20210304": ball})
    dicom_files.series(top / "bad", blob(), date="20211224", skip=(5,))
    (top / "20210304" / "HANSEN.txt").write_text("GRETE HANSEN")
    return top


def _written(*folders: Path) -> str:
    """All that lies in the folders, names included; compressed files unpacked."""
    import gzip

    parts = []
    for folder in folders:
        for file in sorted(entry for entry in folder.rglob("*") if entry.is_file()):
            data = file.read_bytes()
            parts += [str(file.relative_to(folder)), data.decode("latin-1")]
            parts += [gzip.decompress(data).decode("latin-1")] if file.name.endswith(".gz") else []
    return "\n".join(parts)


def test_no_identity_leaves_also_when_conversions_fail(tmp_path: Path, dicom_files, blob, capfd) -> None:
    top = _planted(tmp_path / "source", dicom_files, blob)
    outs = [tmp_path / name for name in ("cohort", "volumes", "cohort.converted")]
    assert main(["data", "index", str(top), "--out", str(outs[0])]) == 0  # one bad scan is inside the budget
    assert main(["data", "prepare", str(outs[0]), "--out", str(outs[1]), "--spacing-mm", "5", "5", "5"]) == 0
    assert (
        main(["data", "index", str(top), "--out", str(tmp_path / "strict"), "--max-bad", "0", "--series-glob", "Hirn*"])
        == 3
    )
    dicom_files.series(top / "worse", blob(), date="20211231", skip=(3,))
    assert main(["data", "index", str(top), "--out", str(tmp_path / "worse"), "--max-bad", "0"]) == 3
    said = "".join(capfd.readouterr()).replace(str(tmp_path), "").replace(top.name, "")
    ledgers = "".join(file.read_text() for file in tmp_path.glob("*.quarantine.jsonl"))
    assert "slices 5.00 to 10.00 mm apart" in ledgers
    everything = _written(*outs) + said + ledgers
    leaks = {secret for secret in SECRETS if secret.lower() in everything.lower()}
    assert leaks == set()
    keys = (tmp_path / "cohort.keys.csv").read_text()
    assert "MRN10482230" in keys  # the search above could have found something


def test_no_identity_leaves_when_the_converter_crashes(tmp_path: Path, dicom_files, blob, capfd, monkeypatch) -> None:
    top = _planted(tmp_path / "source", dicom_files, blob)
    program = tmp_path / "stand_in"
    program.write_text(f"#!{sys.executable}\nimport sys\nprint('HANSEN^GRETE', sys.argv)\nsys.exit('OKONKWO')\n")
    program.chmod(0o700)
    monkeypatch.setattr("dcm2niix.bin", str(program))
    assert main(["data", "index", str(top), "--out", str(tmp_path / "cohort")]) == 3
    said = "".join(capfd.readouterr()).replace(str(tmp_path), "").replace(top.name, "")
    said += (tmp_path / "cohort.quarantine.jsonl").read_text() + _written(tmp_path / "cohort.converted")
    assert "conversion_failed" in said
    assert {secret for secret in SECRETS if secret.lower() in said.lower()} == set()
