"""The key table: codes for ever, mode 0600, whole or not there, one writer at a time, never inside an artefact."""

from __future__ import annotations

import csv
import multiprocessing
import os
import re
import stat
from pathlib import Path

import pytest

from rnfm.cohort.keys import COLUMNS, KeyTable, location
from rnfm.core.errors import ConfigError, IntegrityError


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cohort.keys.csv"


def test_the_same_id_has_the_same_code_for_ever(path: Path, tmp_path: Path) -> None:
    with KeyTable.edit(path) as table:
        codes = [
            table.code("a", "patient", "010005"),
            table.code("b", "patient", "010005"),
            table.code("a", "scan", "010005"),
        ]
    assert len(set(codes)) == 3
    with KeyTable.edit(path) as table:
        table.code("a", "patient", "new")
    again = KeyTable.open(path)
    assert [
        again.code("a", "patient", "010005"),
        again.code("b", "patient", "010005"),
        again.code("a", "scan", "010005"),
    ] == codes
    assert all(re.fullmatch(r"[PS]-[0-9A-F]{8}", code) for code in codes)


def test_two_tables_share_no_code(tmp_path: Path) -> None:
    codes = []
    for name in ("one.csv", "two.csv"):
        with KeyTable.edit(tmp_path / name) as table:
            codes.append((table.id, table.secret, table.code("a", "patient", "010005")))
    assert all(one != two for one, two in zip(*codes, strict=True))


def test_columns_and_paths_are_as_documented(path: Path, tmp_path: Path) -> None:
    original = 'odd, "id"\nof two lines'
    with KeyTable.edit(path) as table:
        code = table.set_files("a", original, image=tmp_path / "i.nii", mask=None)
    with open(path, newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] == "scan"]
    expected = dict(zip(COLUMNS, ("a", "scan", original, code, str(tmp_path / "i.nii"), ""), strict=True))
    assert rows == [expected]
    assert KeyTable.open(path).scans()[code].image == tmp_path / "i.nii"


def test_file_names_that_are_not_text_survive(path: Path) -> None:
    image = Path(os.fsdecode(b"/data/caf\xe9.nii"))
    with KeyTable.edit(path) as table:
        code = table.set_files("a", image.stem, image=image, mask=None)
    assert KeyTable.open(path).scans()[code].image == image


def test_nobody_else_can_read_it(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with KeyTable.edit(path) as table:
        table.code("a", "patient", "1")
    assert _mode(path) == 0o600
    assert capsys.readouterr().err == ""
    path.chmod(0o644)
    KeyTable.open(path)
    assert _mode(path) == 0o600
    said = f"warning: {path.resolve()}: others could read this key table (mode 644); now only you can (600)\n"
    assert capsys.readouterr().err == said


def test_a_failure_leaves_the_old_table(path: Path) -> None:
    with KeyTable.edit(path) as table:
        table.code("a", "patient", "1")
    before = path.read_bytes()
    with pytest.raises(RuntimeError), KeyTable.edit(path) as table:
        table.code("a", "patient", "2")
        raise RuntimeError
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir() if ".tmp-" in entry.name] == []


def _add_many(path: Path, start: int) -> None:
    for number in range(start, start + 40):
        with KeyTable.edit(path) as table:
            table.code("a", "patient", f"own {number}")
            table.code("a", "patient", f"shared {number - start}")


def test_two_processes_lose_nothing(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_add_many, args=(path, start)) for start in (0, 1000)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    with open(path, newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] == "patient"]
    assert len({row["original"] for row in rows}) == len(rows) == 120
    assert len({row["code"] for row in rows}) == 120


def test_a_second_data_set_under_one_namespace_is_refused(path: Path, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.nii").touch()
    with KeyTable.edit(path) as table:
        code = table.set_files("ns", "a", image=tmp_path / "one/a.nii", mask=None)
        with pytest.raises(ConfigError, match=r"^namespace 'ns': .*Give this data set a --namespace of its own"):
            table.set_files("ns", "a", image=tmp_path / "two/a.nii", mask=None)
        # A data set that was moved is still the same data set.
        (tmp_path / "one/a.nii").unlink()
        assert table.set_files("ns", "a", image=tmp_path / "two/a.nii", mask=None) == code


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is not a key table with the columns"),
        ("name,age\nx,1\n", "is not a key table with the columns namespace, kind, original, code, image, mask"),
        (",".join(COLUMNS) + "\na,patient\n", "is not a key table with the columns"),
        (",".join(COLUMNS) + "\na,patient,1,P-1,,\na,patient,2,P-1,,\n", "holds an id or a code twice"),
    ],
)
def test_a_damaged_table_is_refused(path: Path, text: str, sentence: str) -> None:
    path.write_text(text)
    with pytest.raises(IntegrityError, match=sentence):
        KeyTable.open(path)


def test_a_table_without_its_head_is_refused(path: Path) -> None:
    path.write_text(",".join(COLUMNS) + "\na,patient,1,P-00000001,,\n")
    with pytest.raises(IntegrityError, match=r"its first rows are missing \(table id\)"):
        _ = KeyTable.open(path).id


@pytest.mark.parametrize(
    "lost", ["last row", "end of last row", "a row", "a letter of an id", "a letter of a code", "all rows"]
)
def test_a_table_that_lost_something_is_refused(path: Path, tmp_path: Path, lost: str) -> None:
    """Its lost patients would get new codes, and nobody would see it."""
    with KeyTable.edit(path) as table:
        for original in ("010005", "010006", "010007"):
            table.code("a", "patient", original)
        table.set_files("a", "s", image=tmp_path / "image.nii", mask=None)
    lines = path.read_text().splitlines(keepends=True)
    assert [line.split(",")[1:3] for line in lines[1:4]] == [["table", "id"], ["table", "secret"], ["table", "check"]]
    damaged = {
        "last row": lines[:-1],
        "end of last row": [*lines[:-1], lines[-1][:-4]],
        "a row": lines[:5] + lines[6:],
        "a letter of an id": [line.replace("010006", "010016") for line in lines],
        "a letter of a code": [
            line.replace(",P-", ",P-F", 1)[: len(line)] if i == 4 else line for i, line in enumerate(lines)
        ],
        "all rows": lines[:4],
    }
    path.write_text("".join(damaged[lost]))
    with pytest.raises(
        IntegrityError, match=r"(was cut short, or its ids or codes were changed|is not a key table with)"
    ):
        KeyTable.open(path)


def test_paths_may_be_changed_by_hand(path: Path, tmp_path: Path) -> None:
    with KeyTable.edit(path) as table:
        code = table.set_files("a", "s", image=tmp_path / "old/image.nii", mask=None)
    path.write_text(path.read_text().replace("/old/", "/new/"))
    assert KeyTable.open(path).scans()[code].image == tmp_path / "new/image.nii"


def test_a_table_of_an_earlier_release_has_no_check_and_gets_one(path: Path) -> None:
    path.write_text(
        ",".join(COLUMNS) + "\n,table,id,K-00000001,,\n,table,secret," + "0" * 64 + ",,\na,patient,1,P-00000001,,\n"
    )
    with KeyTable.edit(path) as table:
        table.code("a", "patient", "2")
    assert KeyTable.open(path).code("a", "patient", "1") == "P-00000001"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(IntegrityError, match="was cut short"):
        KeyTable.open(path)


def test_inside_an_artefact_it_is_refused(path: Path, tmp_path: Path) -> None:
    with KeyTable.edit(path) as table:
        table.code("a", "patient", "1")
    (tmp_path / "cohort/sub").mkdir(parents=True)
    (tmp_path / "cohort/digests.json").touch()
    copied = path.rename(tmp_path / "cohort/sub/keys.csv")
    with pytest.raises(
        ConfigError, match=r"is a key table inside an artefact, .*Move it out of that folder, and recall"
    ):
        KeyTable.open(copied)


def test_where_it_may_lie(tmp_path: Path) -> None:
    out = tmp_path / "cohort"
    assert location(None, out) == tmp_path / "cohort.keys.csv"
    (tmp_path / "volumes").mkdir()
    (tmp_path / "volumes/digests.json").touch()
    for inside in (out / "keys.csv", tmp_path / "other/../cohort/sub/keys.csv", tmp_path / "volumes/keys.csv"):
        with pytest.raises(ConfigError, match="would lie inside an artefact, and artefacts are shared"):
            location(inside, out)
    with pytest.raises(ConfigError, match="is a folder, not a key table"):
        location(tmp_path, out)
