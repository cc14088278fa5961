"""What an adapter hands to `index`: original ids and paths, in memory only. `index` turns them into codes.

    Match                how well a tree fits a layout, and why
    Reading              all that was found in one tree
    +-- ScanRecord       one image, its mask, its place in time
    |   +-- LesionRecord one lesion that its mask (or a table) names
    +-- Finding          something that looks wrong and belongs to a patient or a scan
    +-- notes            sentences for the summary; they name no patient, path or date

An adapter is a module of `rnfm.cohort.adapters` with

    NAME: str                                       the word for --layout
    matches(root) -> Match                          cheap: looks at names only
    namespace(root) -> str                          whose ids these are; never an identity
    read(root, options) -> Reading                  original ids; no file is refused here unless it had to be opened
    sources(root) -> list[Path]                     optional: files it depends on that are neither NIfTI nor tables below `root`
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from rnfm.core.ledger import Reason

ClinicalValue = float | bool | str | None
DAYS_A_MONTH = 30.4375

# `LesionRecord.label_source`: these words, or the source's own. They say how a label came about, never who gave it.
PATHOLOGY, FOLLOW_UP = "pathology", "follow-up"  # the tissue, or the source's own judgement of the course, decided
RN_RECORDED = "RN date recorded"  # label 1: a date of necrosis, without a word on how it was diagnosed
NO_RN_RECORDED = "no RN recorded"  # label 0: no such date, and nothing else is known; progression is not proven


@dataclass(frozen=True)
class Match:
    """`score` 0 (nothing of it) to 1 (certain); from 0.5 the layout is taken. `why` completes 'because there is ...'."""

    score: float
    why: str


@dataclass(frozen=True)
class Fault:
    """Why a scan cannot be used; the detail names no patient, path or date."""

    reason: Reason
    detail: str


@dataclass(frozen=True, kw_only=True)
class LesionRecord:
    """One lesion as seen from one scan. `number` is unique within the patient.

    Days are counted on the same axis as `ScanRecord.day`. Where the source gives no days, `months_since_srs` may be given
    directly. `rn_day` (the day necrosis was recorded) serves the time-point rule only and reaches no artefact.
    """

    number: int
    mask_values: tuple[int, ...] = ()
    label: int | None = None
    label_source: str | None = None
    srs_day: float | None = None
    rn_day: float | None = None
    months_since_srs: float | None = None
    volume_ml: float | None = None  # of the lesion in this scan, where the source states it
    clinical: Mapping[str, ClinicalValue] = field(default_factory=dict)

    def months_at(self, day: float | None) -> float | None:
        """Months from this lesion's first radiosurgery to `day`; negative before it."""
        if self.srs_day is None or day is None:
            return self.months_since_srs
        return (day - self.srs_day) / DAYS_A_MONTH

    @property
    def rn_months(self) -> float | None:
        return None if self.srs_day is None or self.rn_day is None else (self.rn_day - self.srs_day) / DAYS_A_MONTH


@dataclass(frozen=True, kw_only=True)
class ScanRecord:
    """One scan. `patient` and `scan` are original ids (`scan` unique in the data set); `image` None means a lost file."""

    patient: str
    scan: str
    image: Path | None
    mask: Path | None = None
    order: int = 0  # place among the patient's scans where no day is known
    day: int | None = None
    site: str | None = None
    vendor: str | None = None
    field_strength_t: float | None = None
    modality: str = "T1CE"
    lesions: tuple[LesionRecord, ...] = ()
    clinical: Mapping[str, ClinicalValue] = field(default_factory=dict)
    fault: Fault | None = None


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that looks wrong about a lesion, a scan or a patient (original ids)."""

    patient: str
    reason: Reason
    detail: str
    scan: str | None = None
    lesion: int | None = None


@dataclass(frozen=True)
class Reading:
    scans: tuple[ScanRecord, ...]
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the user may tell an adapter about a tree."""

    image_glob: str | None = None
    mask_glob: str | None = None
    masks: Path | None = None
    series_glob: str | None = None  # DICOM: pattern of the series description
    converted: Path | None = None  # DICOM: folder for converted series


class Adapter(Protocol):
    """The shape of a module in `rnfm.cohort.adapters`."""

    NAME: str

    def matches(self, root: Path) -> Match: ...

    def namespace(self, root: Path) -> str: ...

    def read(self, root: Path, options: Options) -> Reading: ...
