"""The registry: which layout a tree is taken for, why, and what an unknown tree is told."""

from __future__ import annotations

import os
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest

from rnfm.cohort.adapters import ADAPTERS, FORMATS, LAYOUTS, NAMED, choose
from rnfm.cohort.indexing import IndexConfig
from rnfm.cohort.records import Match
from rnfm.core.errors import ConfigError


def test_the_command_line_knows_every_adapter() -> None:
    words = typing.get_args(IndexConfig.model_fields["layout"].annotation)
    assert set(words) == {"auto", *ADAPTERS}


def test_bids_is_recognised(bids_tree: Path) -> None:
    adapter, match = choose(bids_tree)
    assert adapter.NAME == "bids"
    assert match.why == "there are 7 files named sub-*/**/anat/*_T1w.nii[.gz] and a dataset_description.json"


def test_molab_is_recognised(tmp_path: Path, molab_scan, clinical_sheet) -> None:
    molab_scan(tmp_path, "010005", 0, (11,))
    clinical_sheet(tmp_path, {})
    assert choose(tmp_path)[0].NAME == "molab"


def test_a_plain_folder_is_the_last_resort(tmp_path: Path, nifti) -> None:
    nifti(tmp_path / "a_1.nii.gz")
    assert choose(tmp_path)[0].NAME == "folder"


def test_a_named_layout_overrides(bids_tree: Path) -> None:
    assert choose(bids_tree, "folder")[0].NAME == "folder"
    with pytest.raises(ConfigError, match=r"is not in the molab layout; nearest is bids: there are 7 files"):
        choose(bids_tree, "molab")


def test_an_unknown_tree_is_refused_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "sub-01").mkdir()
    with pytest.raises(
        ConfigError,
        match=rf"is in none of the {len(LAYOUTS)} known layouts; nearest is bids: there are 1 sub-\* folders, but no anat",
    ):
        choose(tmp_path)


def test_an_empty_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        choose(tmp_path)
    assert str(caught.value).count("\n") == 0


def _pretend(monkeypatch: pytest.MonkeyPatch, **scores: float) -> None:
    """Every adapter answers with the score given here, or 0."""
    for name, adapter in ADAPTERS.items():
        monkeypatch.setattr(adapter, "matches", lambda _, name=name: Match(scores.get(name, 0.0), f"of {name}"))


@pytest.mark.parametrize(
    ("scores", "taken"),
    [
        ({"molab": 0.9, "folder": 0.5}, "molab"),
        ({"bids": 0.8, "dicom": 0.9, "folder": 0.5}, "bids"),  # raw DICOM under a BIDS tree
        ({"bids": 1.0, "yale": 0.8}, "bids"),  # a tree that says itself what it is
        ({"dicom": 0.9, "folder": 0.5}, "dicom"),
        ({"bids": 0.3, "folder": 0.5}, "folder"),
        ({"folder": 0.5}, "folder"),
    ],
)
def test_who_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scores: dict[str, float], taken: str) -> None:
    _pretend(monkeypatch, **scores)
    assert taken == choose(tmp_path)[0].NAME


@pytest.mark.parametrize(
    ("scores", "cause"),
    [
        (
            {"molab": 0.9, "yale": 0.8},
            r"fits 2 layouts: molab (of molab); yale (of yale). Give the folder of one data set",
        ),
        ({"molab": 1.0, "bids": 1.0}, "fits 2 layouts: molab (of molab); bids (of bids)"),
        ({"yale": 0.4, "folder": 0.5}, "nearest is yale: of yale"),
        ({"dicom": 0.4, "folder": 0.4}, "nearest is dicom: of dicom"),
        ({"folder": 0.4}, "nearest is folder: of folder"),
        ({}, "known layouts: of folder. Give the data set's own top folder"),
    ],
)
def test_who_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scores: dict[str, float], cause: str) -> None:
    _pretend(monkeypatch, **scores)
    with pytest.raises(ConfigError) as caught:
        choose(tmp_path)
    assert cause in str(caught.value)


def test_every_line_of_the_registry_is_an_adapter_of_its_own_word() -> None:
    assert (*NAMED, *FORMATS) == LAYOUTS
    assert len(set(LAYOUTS)) == len(LAYOUTS)
    for name in LAYOUTS:
        adapter = ADAPTERS[name]
        assert name == adapter.NAME
        assert all(callable(getattr(adapter, verb)) for verb in ("matches", "namespace", "read"))


def test_a_tree_is_listed_once_for_all_layouts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for case in range(5):
        folder = tmp_path / f"BraTS-MET-{case:05d}-000"
        folder.mkdir()
        for part in ("t1c", "seg"):
            (folder / f"{folder.name}-{part}.nii.gz").touch()
    listed: list[str] = []
    walk = os.walk

    def counting(top: Path) -> Iterator[tuple[str, list[str], list[str]]]:
        listed.append(str(top))
        return walk(top)

    monkeypatch.setattr(os, "walk", counting)
    assert choose(tmp_path)[0].NAME == "brats_mets"
    assert listed.count(str(tmp_path)) == 1
    # Nothing is remembered afterwards: a file that comes later is seen by the next question.
    (tmp_path / "BraTS-MET-00009-000").mkdir()
    (tmp_path / "BraTS-MET-00009-000/BraTS-MET-00009-000-t1c.nii.gz").touch()
    assert choose(tmp_path)[1].why.startswith("there are 6 images")


def test_the_page_of_layouts_names_every_word() -> None:
    page = (Path(__file__).parents[3] / "docs/layouts.md").read_text()
    assert [name for name in LAYOUTS if f"`{name}`" not in page] == []
