"""Which files belong to a source tree, and a fingerprint that changes with them and cannot be guessed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rnfm.cohort.source import fingerprint, stem, walk

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
        lambda tree: (tree / "dangling.nii").symlink_to(tree / "nothing"),
    ],
    ids=["size", "name", "time", "table", "link"],
)
def test_every_change_shows(tree: Path, change) -> None:
    before = fingerprint(SECRET, [tree])
    change(tree)
    assert fingerprint(SECRET, [tree]) != before
