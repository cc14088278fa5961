"""Which series of a study is its contrast-enhanced T1 scan: stated rules over headers, no guess beyond them.

1. A candidate is MR, has at least 10 slices, and its words (series description and protocol name) or its image type name
   nothing of `OTHER`: localisers, FLAIR, T2, diffusion, perfusion, angiography, susceptibility, subtraction, maps, reformats.
2. It is T1: a word of `T1` stands in its words, or an agent is stated and TE < 30 ms and TR < 3 s.
3. It has contrast: ContrastBolusAgent is filled in, or a word of `CONTRAST` stands; a word of `NATIVE` (pre, without)
   overrules both, because the agent's field is often copied over a whole study.
4. Of several: the one an RTSTRUCT was drawn on, else one whose slices make a regular grid, else 3D before 2D, else more
   slices. Two that are equal in all of these are ambiguous, and the study is refused rather than guessed at.

`--series-glob` replaces rules 1 to 3 by a pattern of the series description; rule 4 still holds.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass

from rnfm.cohort.adapters.dicom.headers import Series

FEWEST_SLICES = 10
T1 = re.compile(r"t1(?!\d)|mp ?rage|\bbravo\b|spgr|\bvibe\b|\btfe\b|\btfl\b|\bflash\b|\bthrive\b|\blava\b")
CONTRAST = re.compile(
    r"\bpost|\bgd\b|gado|\bgad\b|\bce\b|t1 ?ce|t1 ?c\b|t1 ?gd|\+ ?(?:c|gd|km)\b|\bc ?\+|\bkm\b|\bcm\b|contrast|"
    r"enhanced|\bwith c\b|dotarem|multihance|magnevist|prohance|clariscan"
)
NATIVE = re.compile(
    r"\bpre\b|precontrast|\bpregad|\bnative?\b|\bnativ\b|\bwithout\b|\bwo\b|\bw o\b|\bnon? ?contrast|\bunenhanced\b|"
    r"\bohne\b|\bsin\b|\bsans\b|\bno (?:gd|gad|c)\b"
)
OTHER = re.compile(
    r"locali[sz]er|\bloc\b|\bscout|\bsurvey\b|3 ?plane|flair|\bt2|tirm|\bstir\b|\bdwi\b|\badc\b|\bdti\b|diff|trace|\bb1000|"
    r"\bswi\b|\bswan\b|perf|\bdsc\b|\bdce\b|\basl\b|\bcb[fv]\b|\bmra\b|\btof\b|angio|subtract|\bsub\b|\bmips?\b|\bmpr\b|"
    r"\bmap\b|t1map|t1rho|bold|fmri|spectro|\bmrs\b|ciss|fiesta|\bpd\b|\bscreen|phoenix|spine|calib|\brefor"
)
DERIVED = {
    "DERIVED",
    "SECONDARY",
    "SUBTRACTION",
    "LOCALIZER",
    "ADC",
    "MPR",
    "MIP",
    "PROJECTION IMAGE",
    "SUB",
    "REFORMATTED",
}
VOLUMETRIC = re.compile(r"\b3d|mp ?rage|\bbravo\b|\bvibe\b|\bcube\b|\bspace\b|\bvista\b|\btfl\b")
LONGEST_T1_TE_MS, LONGEST_T1_TR_MS = 30.0, 3000.0


@dataclass(frozen=True)
class Choice:
    """The series chosen, or how many were equal (0: no candidate at all)."""

    series: Series | None
    equal: int


def choose(study: Sequence[Series], *, drawn_on: frozenset[str] = frozenset(), pattern: str | None = None) -> Choice:
    """Choose among the series of one study. `drawn_on`: UIDs of series that structure sets refer to."""
    fitting = [series for series in study if (named(series, pattern) if pattern else is_candidate(series))]
    if not fitting:
        return Choice(None, 0)
    ranks = {
        series.uid: (series.uid in drawn_on, not isinstance(series.grid, str), is_3d(series), series.slices)
        for series in fitting
    }
    best = max(ranks.values())
    equal = [series for series in fitting if ranks[series.uid] == best]
    return Choice(equal[0], 1) if len(equal) == 1 else Choice(None, len(equal))


def is_candidate(series: Series) -> bool:
    """Rules 1 to 3."""
    if series.slices < FEWEST_SLICES or OTHER.search(series.words) or DERIVED & set(series.image_type):
        return False
    return is_t1(series) and has_contrast(series)


def is_t1(series: Series) -> bool:
    if T1.search(series.words):
        return True
    echo_ms, repetition_ms = series.echo_ms, series.repetition_ms
    is_short = echo_ms is not None and repetition_ms is not None
    return bool(
        series.has_agent and is_short and echo_ms < LONGEST_T1_TE_MS and repetition_ms < LONGEST_T1_TR_MS  # type: ignore[operator]
    )


def has_contrast(series: Series) -> bool:
    if NATIVE.search(series.words):
        return False
    return series.has_agent or bool(CONTRAST.search(series.words))


def is_3d(series: Series) -> bool:
    """As the header says, else by the words."""
    return series.acquisition == "3D" if series.acquisition else bool(VOLUMETRIC.search(series.words))


def named(series: Series, pattern: str) -> bool:
    """Whether the series description fits a shell pattern, upper and lower case alike."""
    return fnmatch.fnmatchcase(series.description.lower(), pattern.lower())
