"""One header, tag by tag: what pydicom gives as plain values, with nothing raised and nothing said.

pydicom quotes values in its warnings and errors, and values are people; both are silenced here, and a value that cannot
be decoded is a value that is not there.
"""

from __future__ import annotations

import contextlib
import logging
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from rnfm.cohort.adapters.dicom.grid import Plane

ENDINGS = (".dcm", ".ima")


def is_dicom(file: Path) -> bool:
    """`DICM` at byte 128."""
    try:
        with open(file, "rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """pydicom says nothing in here. Also for the time in which values are looked at, since it decodes them late."""
    from pydicom import config

    config.settings.reading_validation_mode = config.IGNORE
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def read_header(file: Path, tags: Sequence[str] | None) -> Any | None:
    """The tags asked for (None: all but pixels), or None for a file that is no readable DICOM. Never raises."""
    import pydicom

    if not is_dicom(file) and not file.name.lower().endswith(ENDINGS):
        return None
    try:
        wanted = list(tags) if tags is not None else None
        header = pydicom.dcmread(file, stop_before_pixels=True, force=True, specific_tags=wanted)
    except Exception:  # a hostile or torn file raises anything at all inside the parser
        return None
    return header if text(header, "SOPInstanceUID") and text(header, "Modality") else None


def planes(header: Any) -> tuple[Plane, ...]:
    """Classic images have one plane; an enhanced one has a plane a frame, in its functional groups. Empty if unstated."""
    try:
        frames = getattr(header, "PerFrameFunctionalGroupsSequence", None)
        if not frames:
            return (_plane(header, header, header, header),)
        shared = header.SharedFunctionalGroupsSequence[0]
        return tuple(
            _plane(
                header,
                _group(frame, shared, "PlanePositionSequence"),
                _group(frame, shared, "PlaneOrientationSequence"),
                _group(frame, shared, "PixelMeasuresSequence"),
            )
            for frame in frames
        )
    except (AttributeError, TypeError, ValueError, IndexError, KeyError):
        return ()


def _group(frame: Any, shared: Any, name: str) -> Any:
    return (getattr(frame, name, None) or getattr(shared, name))[0]


def _plane(header: Any, place: Any, turn: Any, pixel: Any) -> Plane:
    x, y, z = (float(value) for value in place.ImagePositionPatient)
    a, b, c, d, e, f = (float(value) for value in turn.ImageOrientationPatient)
    between_rows, between_columns = (float(value) for value in pixel.PixelSpacing)
    return Plane((x, y, z), (a, b, c, d, e, f), (between_rows, between_columns), int(header.Rows), int(header.Columns))


def has_agent(header: Any) -> bool:
    """Whether a contrast agent is stated, and not as 'none'."""
    if many(header, "ContrastBolusAgentSequence"):
        return True
    return plain(text(header, "ContrastBolusAgent")) not in ("", "no", "none", "n a", "na", "without", "0")


def day(header: Any) -> int | None:
    """The study's date as an ordinal; else that of the series or the acquisition."""
    for name in ("StudyDate", "SeriesDate", "AcquisitionDate"):
        digits = re.sub(r"\D", "", text(header, name))[:8]
        try:
            return date(int(digits[:4]), int(digits[4:6]), int(digits[6:])).toordinal()
        except ValueError:
            continue
    return None


def age_years(text: str) -> float | None:
    """DICOM age strings: 061Y, 018M, 012W, 004D."""
    match = re.fullmatch(r"(\d{1,3})([YMWD])", text.strip().upper())
    if match is None:
        return None
    return float(int(match[1]) * {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}[match[2]] // 1)


def plain(text: str) -> str:
    """Lower case, words apart by single blanks; `+` is kept, because '+C' means contrast."""
    return " ".join(re.sub(r"[^a-z0-9+|]+", " ", text.lower()).split())


def text(header: Any, name: str) -> str:
    """A value as stripped text; empty where there is none."""
    try:
        value = header.get(name, "")
    except Exception:  # a value that cannot be decoded is a value that is not there
        return ""
    return "" if value is None else str(value).strip().strip("\0")


def many(header: Any, name: str) -> list[Any]:
    """Items of a sequence or of a value with several parts."""
    try:
        value = header.get(name)
    except Exception:  # as in `text`
        return []
    if value is None:
        return []
    return list(value) if isinstance(value, Iterable) and not isinstance(value, str) else [value]


def number(header: Any, name: str) -> float | None:
    try:
        return float(text(header, name))
    except ValueError:
        return None
