"""Images and masks by patterns: preference, copies, order, and what a pattern sees of a path."""

from __future__ import annotations

from pathlib import Path

import pytest

from rnfm.cohort.cases import Labels, Mask, Source, count, find, paths

BEST = Source(r"(?P<case>(?P<patient>p\d+))/best", (Mask(at="{top}{case}/hand"), Mask(at="{top}{case}/auto")))
PLAIN = Source(r"(?P<case>(?P<patient>p\d+))/plain", (Mask(at="{top}{case}/plain-mask"),))


def _tree(root: Path, *files: str) -> Path:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def _found(root: Path, *sources: Source) -> dict[str, tuple[str, str | None, int]]:
    def short(file: Path | None) -> str | None:
        return file and file.relative_to(root).as_posix()

    return {
        name: (short(case.image) or "", short(case.mask), case.copies) for name, case in find(root, sources).items()
    }


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (("p1/best.nii", "p1/plain.nii"), ("p1/best.nii", None, 1)),
        (("p1/best.nii", "p1/auto.nii.gz"), ("p1/best.nii", "p1/auto.nii.gz", 1)),
        (("p1/best.nii", "p1/auto.nii", "p1/hand.nii"), ("p1/best.nii", "p1/hand.nii", 1)),
        # A lesser source with a mask is worth more than a better one without.
        (("p1/best.nii", "p1/plain.nii", "p1/plain-mask.nii"), ("p1/plain.nii", "p1/plain-mask.nii", 1)),
        # One form of one case at two places is a copy; the first that has a mask is taken.
        (("a/p1/best.nii", "b/p1/best.nii"), ("a/p1/best.nii", None, 2)),
        (("a/p1/best.nii", "b/p1/best.nii", "b/p1/hand.nii"), ("b/p1/best.nii", "b/p1/hand.nii", 2)),
        # Packed and unpacked side by side are one file.
        (("p1/best.nii", "p1/best.nii.gz"), ("p1/best.nii", None, 1)),
    ],
)
def test_which_files_make_a_case(tmp_path: Path, files: tuple[str, ...], expected: tuple[str, str | None, int]) -> None:
    assert _found(_tree(tmp_path, *files), BEST, PLAIN) == {"p1": expected}


def test_cases_are_ordered_with_numbers_by_value(tmp_path: Path) -> None:
    assert list(find(_tree(tmp_path, "p10/best.nii", "p9/best.nii", "p2/best.nii"), (BEST,))) == ["p2", "p9", "p10"]


def test_the_top_folders_own_name_counts(tmp_path: Path) -> None:
    root = _tree(tmp_path, "p7/best.nii") / "p7"
    assert list(find(root, (BEST,))) == ["p7"]
    assert list(paths(root)) == ["p7/best"]


def test_names_are_patterns_of_whole_folders(tmp_path: Path) -> None:
    root = _tree(tmp_path, "xp1/best.nii", "p1/best-of.nii", "p1/best/x.nii")
    assert count(paths(root), (BEST,)) == 0


def test_top_takes_as_little_as_it_can(tmp_path: Path) -> None:
    source = Source(r"(?P<case>(?:train/)?(?P<patient>p\d+))/best", (Mask(at="{top}{case}/hand"),))
    root = _tree(tmp_path, "data/train/p1/best.nii", "data/train/p1/hand.nii", "data/p1/best.nii")
    assert _found(root, source) == {
        "p1": ("data/p1/best.nii", None, 1),
        "train/p1": ("data/train/p1/best.nii", "data/train/p1/hand.nii", 1),
    }


@pytest.mark.parametrize(
    ("labels", "words", "strays"),
    [
        (Labels(), "every value > 0", []),
        (Labels(lesion={1: "a", 3: "b"}, other={2: "c"}), "1 (a), 3 (b); not 2 (c)", [6]),
        (Labels(lesion={1: "a"}), "1 (a)", []),  # which others occur is unknown, so none is strange
    ],
)
def test_labels_in_words_and_strays(labels: Labels, words: str, strays: list[int]) -> None:
    assert labels.describe() == words
    assert labels.strays((1, 2, 3, 6)) == strays
