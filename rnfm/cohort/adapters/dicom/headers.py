"""Headers of a tree of DICOM files, grouped by patient, study and series. No pixel is read here.

    any folder/any name     a file is DICOM if `DICM` stands at byte 128, or its name ends in .dcm or .ima and it parses
    Tree
    +-- Series              MR images with one SeriesInstanceUID: one image a file, or one enhanced multi-frame file
    +-- StructureSet        an RTSTRUCT: which series it was drawn on, and the names of its regions
    +-- Slice               one image, on the way to a Series

Only the tags of `TAGS` are asked for. Of them, free text (descriptions, names of regions) is used for decisions and ends
here; patient, study and series ids go into the key table.
"""

from __future__ import annotations

import importlib.util
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnfm.cohort import scanner
from rnfm.cohort.adapters.dicom import fields as dicom_fields
from rnfm.cohort.adapters.dicom.grid import Grid, Plane, grid
from rnfm.cohort.source import walk
from rnfm.core.errors import ConfigError
from rnfm.core.progress import track

NOT_DICOM = (
    ".nii", ".gz", ".csv", ".tsv", ".xlsx", ".json", ".jsonl", ".txt", ".pdf", ".xml", ".zip", ".png", ".jpg",
    ".md",
)  # fmt: skip
IMAGES_ONLY = ("MR",)
TAGS = (
    "SOPInstanceUID", "PatientID", "PatientName", "PatientAge", "StudyInstanceUID", "StudyDate", "SeriesDate",
    "AcquisitionDate", "SeriesInstanceUID", "FrameOfReferenceUID", "Modality", "SeriesDescription",
    "ProtocolName", "ContrastBolusAgent", "ContrastBolusAgentSequence", "ImageType", "MRAcquisitionType",
    "EchoTime", "RepetitionTime", "Manufacturer", "MagneticFieldStrength", "ImagePositionPatient",
    "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns", "NumberOfFrames",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "ReferencedFrameOfReferenceSequence",
    "StructureSetROISequence", "RTROIObservationsSequence", "StructureSetDate", "StructureSetTime",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Slice:
    """One file of a series with what we need of its header; `planes` has one entry, or one a frame."""

    file: Path
    instance: str
    patient: str
    study: str
    series: str
    frame: str
    planes: tuple[Plane, ...]
    facts: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Series:
    """One MR series. `grid` is a phrase where its slices make no regular grid. `description` and `words` are for decisions, never for output."""

    patient: str
    study: str
    uid: str
    frame: str
    files: tuple[Path, ...]
    grid: Grid | str
    slices: int
    description: str
    words: str
    has_agent: bool
    image_type: tuple[str, ...]
    acquisition: str
    echo_ms: float | None
    repetition_ms: float | None
    vendor: str | None
    tesla: float | None
    odd_tesla: bool
    day: int | None  # ordinal of the study's date; only differences ever leave the adapter
    age_years: float | None


@dataclass(frozen=True, kw_only=True)
class StructureSet:
    """One RTSTRUCT: `regions` are (number, name, interpreted type) in the order of their numbers."""

    file: Path
    patient: str
    study: str
    frames: frozenset[str]
    series: frozenset[str]
    stamp: str
    regions: tuple[tuple[int, str, str], ...]


@dataclass(frozen=True)
class Tree:
    """All that was found. `strangers`: files that are no DICOM; `doubles`: second copies of an image already seen."""

    series: tuple[Series, ...]
    structures: tuple[StructureSet, ...]
    strangers: int
    doubles: int


def require_extra() -> None:
    """ConfigError if pydicom or the dcm2niix package is not installed."""
    missing = [name for name in ("pydicom", "dcm2niix") if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            "dicom layout",
            f"needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed",
            "Install it with: pip install 'rnfm[dicom]'",
        )


def candidates(root: Path) -> list[Path]:
    """Files that may be DICOM, by name: everything but the endings of other formats, and but DICOMDIR (an index)."""
    return [
        file
        for file in walk(root, ("",))
        if not file.name.lower().endswith(NOT_DICOM) and file.name.upper() != "DICOMDIR"
    ]


@dicom_fields.quiet()
def read_tree(root: Path) -> Tree:
    """Headers of all DICOM files below `root`. A file that does not parse is counted as a stranger."""
    files = candidates(root)
    slices: dict[str, Slice] = {}
    structures: list[StructureSet] = []
    strangers = doubles = 0
    for file in track(files, len(files), "DICOM headers"):
        header = dicom_fields.read_header(file, TAGS)
        if header is None:
            strangers += 1
        elif dicom_fields.text(header, "Modality") == "RTSTRUCT":
            structures.append(_structure(file, header, root))
        elif dicom_fields.text(header, "Modality") in IMAGES_ONLY:
            found = _slice(file, header, root)
            doubles += found.instance in slices
            slices.setdefault(found.instance, found)
    groups: dict[tuple[str, str, str], list[Slice]] = defaultdict(list)
    for found in slices.values():
        groups[found.patient, found.study, found.series].append(found)
    series = tuple(_series(group) for _, group in sorted(groups.items()))
    return Tree(series, tuple(structures), strangers, doubles)


def _slice(file: Path, header: Any, root: Path) -> Slice:
    return Slice(
        file=file,
        instance=dicom_fields.text(header, "SOPInstanceUID"),
        patient=_patient(header, file, root),
        study=dicom_fields.text(header, "StudyInstanceUID"),
        series=dicom_fields.text(header, "SeriesInstanceUID"),
        frame=dicom_fields.text(header, "FrameOfReferenceUID"),
        planes=dicom_fields.planes(header),
        facts={
            "description": dicom_fields.text(header, "SeriesDescription"),
            "words": dicom_fields.plain(
                f"{dicom_fields.text(header, 'SeriesDescription')} | {dicom_fields.text(header, 'ProtocolName')}"
            ),
            "has_agent": dicom_fields.has_agent(header),
            "image_type": tuple(str(word).upper() for word in dicom_fields.many(header, "ImageType")),
            "acquisition": dicom_fields.text(header, "MRAcquisitionType").upper(),
            "echo_ms": dicom_fields.number(header, "EchoTime"),
            "repetition_ms": dicom_fields.number(header, "RepetitionTime"),
            "vendor": scanner.vendor(dicom_fields.text(header, "Manufacturer")),
            "tesla": scanner.field_strength_t(dicom_fields.text(header, "MagneticFieldStrength")),
            "odd_tesla": bool(dicom_fields.text(header, "MagneticFieldStrength"))
            and scanner.field_strength_t(dicom_fields.text(header, "MagneticFieldStrength")) is None,
            "day": dicom_fields.day(header),
            "age_years": dicom_fields.age_years(dicom_fields.text(header, "PatientAge")),
        },
    )


def _series(group: Sequence[Slice]) -> Series:
    """One series out of its images; facts are those of the first image in the order of instance UIDs."""
    ordered = sorted(group, key=lambda image: image.instance)
    first = ordered[0]
    planes = [plane for image in ordered for plane in image.planes]
    lost = sum(not image.planes for image in ordered)
    return Series(
        patient=first.patient,
        study=first.study,
        uid=first.series,
        frame=first.frame,
        files=tuple(image.file for image in ordered),
        grid=f"{lost} images without a position" if lost else grid(planes),
        slices=len(planes),
        **first.facts,
    )


def _structure(file: Path, header: Any, root: Path) -> StructureSet:
    frames, series = set(), set()
    for frame in dicom_fields.many(header, "ReferencedFrameOfReferenceSequence"):
        frames.add(dicom_fields.text(frame, "FrameOfReferenceUID"))
        for study in dicom_fields.many(frame, "RTReferencedStudySequence"):
            series |= {
                dicom_fields.text(item, "SeriesInstanceUID")
                for item in dicom_fields.many(study, "RTReferencedSeriesSequence")
            }
    regions = dicom_fields.many(header, "StructureSetROISequence")
    frames |= {dicom_fields.text(region, "ReferencedFrameOfReferenceUID") for region in regions}
    kinds = {
        dicom_fields.text(item, "ReferencedROINumber"): dicom_fields.text(item, "RTROIInterpretedType").upper()
        for item in dicom_fields.many(header, "RTROIObservationsSequence")
    }
    named = [
        (
            int(dicom_fields.text(region, "ROINumber") or 0),
            dicom_fields.text(region, "ROIName"),
            kinds.get(dicom_fields.text(region, "ROINumber"), ""),
        )
        for region in regions
    ]
    return StructureSet(
        file=file,
        patient=_patient(header, file, root),
        study=dicom_fields.text(header, "StudyInstanceUID"),
        frames=frozenset(frames - {""}),
        series=frozenset(series - {""}),
        stamp=dicom_fields.text(header, "StructureSetDate") + dicom_fields.text(header, "StructureSetTime"),
        regions=tuple(sorted(named)),
    )


def _patient(header: Any, file: Path, root: Path) -> str:
    """PatientID, else PatientName, else the first folder below the root."""
    return (
        dicom_fields.text(header, "PatientID")
        or dicom_fields.text(header, "PatientName")
        or f"folder {(*file.relative_to(root).parts,)[0]}"
    )
