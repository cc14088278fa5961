"""The registry: which layout a tree is taken for, why, and what an unknown tree is told."""

from __future__ import annotations

import typing
from pathlib import Path

import pytest

from rnfm.cohort.adapters import ADAPTERS, choose
from rnfm.cohort.indexing import IndexConfig
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
        match=r"is in none of the layouts molab, bids, folder; nearest is bids: there are 1 sub-\* folders, but no anat",
    ):
        choose(tmp_path)


def test_an_empty_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        choose(tmp_path)
    assert str(caught.value).count("\n") == 0
