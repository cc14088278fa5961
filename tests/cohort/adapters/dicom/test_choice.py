"""The rules by which a study's T1CE series is found, over names as scanners give them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rnfm.cohort.adapters.dicom.choice import choose, is_candidate
from rnfm.cohort.adapters.dicom.fields import plain
from rnfm.cohort.adapters.dicom.grid import Grid
from rnfm.cohort.adapters.dicom.headers import Series


def _series(description: str = "T1 MPRAGE +C", uid: str = "1", **given: Any) -> Series:
    facts = {
        "patient": "p", "study": "s", "frame": "f", "files": (), "grid": Grid(np.eye(4), (9, 9, 160)), "slices": 160, "has_agent": False,
        "image_type": ("ORIGINAL", "PRIMARY", "M"), "acquisition": "3D", "echo_ms": 3.0, "repetition_ms": 1900.0,
        "vendor": None, "tesla": None, "odd_tesla": False, "day": None, "age_years": None,
    }  # fmt: skip
    return Series(**(facts | {"description": description, "words": plain(description), "uid": uid} | given))


@pytest.mark.parametrize(
    "description",
    [
        "T1 MPRAGE +C", "t1_mprage_sag_p2_iso_post", "AX 3D T1 POST GD", "T1W_3D_TFE_KM", "SAG BRAVO POST", "Ax T1 SE post-contrast",
        "T1 VIBE tra KM", "t1c", "T1CE", "T1_GD", "3D T1 FFE C+", "COR T1 W CONTRAST", "T1 SPGR with C", "MP-RAGE Gadovist",
    ],
)  # fmt: skip
def test_contrast_enhanced_t1_by_its_words(description: str) -> None:
    assert is_candidate(_series(description))


@pytest.mark.parametrize(
    "description",
    [
        "T1 MPRAGE", "T1 MPRAGE PRE", "T1 pre contrast", "T1 without contrast", "T1 w/o", "t1 nativ", "T1 non-contrast",
        "AX T2 POST", "AX FLAIR POST GD", "T1 FLAIR +C", "LOCALIZER", "3-plane loc +C", "ADC map post", "DWI b1000", "T1 SUBTRACTION +C",
        "T1 +C SUB", "T1 +C MPR", "T1 post MIP", "perfusion DSC gado", "3D TOF MRA +C", "T1 map post", "SWI post", "T1 C SPINE +C", "",
    ],
)  # fmt: skip
def test_everything_else_by_its_words(description: str) -> None:
    assert not is_candidate(_series(description))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"has_agent": True}, True),  # the words name no sequence, but agent, TE and TR do
        ({"has_agent": True, "echo_ms": 90.0}, False),
        ({"has_agent": True, "repetition_ms": 5000.0}, False),
        ({"has_agent": True, "echo_ms": None}, False),
        ({"has_agent": False}, False),
        ({"has_agent": True, "slices": 9}, False),
        ({"has_agent": True, "image_type": ("DERIVED", "SECONDARY", "OTHER")}, False),
        ({"has_agent": True, "image_type": ("ORIGINAL", "PRIMARY", "LOCALIZER")}, False),
    ],
)
def test_agent_timing_slices_and_image_type(given: dict[str, Any], expected: bool) -> None:
    assert is_candidate(_series("AX HEAD", **given)) is expected


def test_an_agent_copied_over_the_study_does_not_make_a_pre_scan_a_post_scan() -> None:
    assert not is_candidate(_series("T1 MPRAGE PRE", has_agent=True))


def test_volumetric_first_then_more_slices() -> None:
    flat, thin, short = (
        _series("T1 SE +C", "flat", acquisition="2D", slices=300),
        _series("T1 MPRAGE +C", "thin", slices=192),
        _series("T1 MPRAGE +C", "short", slices=120),
    )
    chosen = choose([flat, short, thin])
    assert chosen.series is not None
    assert chosen.series.uid == "thin"
    assert choose([flat, _series("T1 MPRAGE", "native")]).series is flat


def test_a_regular_grid_comes_before_more_slices() -> None:
    doubled, clean = (
        _series(uid="doubled", slices=320, grid="several images at one slice position"),
        _series(uid="clean"),
    )
    assert choose([doubled, clean]).series is clean
    assert choose([doubled]).series is doubled  # alone it is chosen, and its conversion says what is wrong


def test_two_that_are_equal_are_ambiguous_unless_regions_were_drawn_on_one() -> None:
    study = [_series(uid="a"), _series(uid="b")]
    assert (choose(study).series, choose(study).equal) == (None, 2)
    assert choose(study, drawn_on=frozenset("b")).series is study[1]


def test_regions_drawn_on_a_candidate_win_over_more_slices_but_do_not_make_a_candidate() -> None:
    study = [_series(uid="big", slices=200), _series(uid="drawn", slices=100), _series("AX T2", uid="t2")]
    assert choose(study, drawn_on=frozenset({"drawn"})).series is study[1]
    assert choose(study, drawn_on=frozenset({"t2"})).series is study[0]


def test_a_pattern_replaces_the_words() -> None:
    study = [_series("Hirn Serie 7", "x"), _series("T1 MPRAGE +C", "y")]
    assert choose(study, pattern="*serie 7").series is study[0]
    assert choose(study, pattern="*nothing*").equal == 0
