"""Which files belong to a source tree, and a fingerprint that changes with them and cannot be guessed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rnfm.cohort.source import fingerprint, once, stem, walk, walked_once

SECRET = "00" * 32


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a.nii", "b/c.NII.GZ", ".hidden/d.nii", "volumes/digests.json", "volumes/e.nii", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def test_hidden_folders_and_artefacts_are_passed_over(tree: Path) -> None:
    (tree / "loop").symlink_to(tree)
    assert [file.relative_to(tree).as_posix() for file in walk(tree)] == ["a.nii", "b/c.NII.GZ"]


@pytest.mark.parametrize(
    ("name", "expected"), [("a.nii", "a"), ("a.b.nii.gz", "a.b"), ("A.NII.GZ", "A"), ("a.gz", "a.gz")]
)
def test_stem(name: str, expected: str) -> None:
    assert stem(Path(name)) == expected


def test_equal_trees_have_equal_fingerprints(tree: Path) -> None:
    before = fingerprint(SECRET, [tree], ("*.nii",))
    (tree / "notes.txt").write_text("not read by any adapter")
    assert fingerprint(SECRET, [tree], ("*.nii",)) == before
    assert fingerprint("11" * 32, [tree], ("*.nii",)) != before
    assert fingerprint(SECRET, [tree], ("*.gz",)) != before


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: (tree / "a.nii").write_bytes(b"xy"),
        lambda tree: (tree / "a.nii").rename(tree / "z.nii"),
        lambda tree: os.utime(tree / "a.nii", ns=(1, 1)),
        lambda tree: (tree / "participants.tsv").write_text("participant_id"),
        lambda tree: (tree / "metadata.csv").write_text("ID"),
        lambda tree: (tree / "dangling.nii").symlink_to(tree / "nothing"),
    ],
    ids=["size", "name", "time", "table", "csv", "link"],
)
def test_every_change_shows(tree: Path, change) -> None:
    before = fingerprint(SECRET, [tree])
    change(tree)
    assert fingerprint(SECRET, [tree]) != before


def test_key_tables_do_not_count(tree: Path) -> None:
    before = fingerprint(SECRET, [tree], keys=tree / "mine.csv")
    (tree / "mine.csv").write_text("namespace")
    (tree / "cohort.keys.csv").write_text("namespace")
    assert fingerprint(SECRET, [tree], keys=tree / "mine.csv") == before
    assert fingerprint(SECRET, [tree]) != before


def test_a_listing_is_remembered_only_while_it_is_asked_for(tree: Path) -> None:
    with walked_once():
        walk(tree).clear()  # a caller's own copy
        (tree / "late.nii").touch()
        assert [file.name for file in walk(tree)] == ["a.nii", "c.NII.GZ"]
        assert [once("key", lambda value=value: value) for value in (1, 2)] == [1, 1]
    assert [file.name for file in walk(tree)] == ["a.nii", "c.NII.GZ", "late.nii"]
    assert [once("key", lambda value=value: value) for value in (1, 2)] == [1, 2]
