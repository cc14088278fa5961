"""BIDS: https://bids-specification.readthedocs.io, as far as a lesion cohort needs it.

    dataset_description.json                                     Name = namespace
    participants.tsv                                             participant_id, label, label_source, site, clinical columns
    sub-01/[ses-2/]anat/sub-01_[ses-2_]ce-gad_T1w.nii.gz         one scan a session; ce-gad, then ce-*, then none
    sub-01/[ses-2/]anat/sub-01_[ses-2_]ce-gad_T1w.json           Manufacturer, MagneticFieldStrength; inherited
    sub-01/sub-01_sessions.tsv                                   session_id, acq_time or day, months_since_srs
    sub-01/[ses-2/]sub-01_[ses-2_]scans.tsv                      filename, acq_time
    derivatives/NAME/sub-01/[ses-2/]anat/sub-01_..._mask.nii.gz  the lesion mask of the same subject and session
    derivatives/NAME/.../sub-01_..._dseg.nii.gz, dseg.tsv        or labels, with a table that names them

BIDS has no word for our label, so it is the column `label`: RN, 1 or progression, 0. A labelled participant has one
lesion, number 1: every voxel > 0 of the mask, or the labels of a dseg that name a lesion (`bids_files`). Clinical columns:
see `rnfm.cohort.clinical`; one row a participant, so they are what was known once, not what a session added.

bids2table 2.3 was tried and is not used: it needs pyarrow 24 where we ask for 18, keeps what it read of a tree for the life
of the process, and has no word for a lesion mask, which is where the work is.
"""

from __future__ import annotations

import csv
import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from rnfm.cohort import clinical, scanner
from rnfm.cohort.adapters.bids.files import choose_mask, entities, lesion_masks, scanner_of
from rnfm.cohort.records import ClinicalValue, Finding, LesionRecord, Match, Options, Reading, ScanRecord
from rnfm.cohort.source import stem, walk
from rnfm.core.errors import DataError
from rnfm.core.ledger import Reason

NAME = "bids"
LABELS = {"rn": 1, "necrosis": 1, "radionecrosis": 1, "radiation necrosis": 1, "1": 1, "1.0": 1}
LABELS |= {
    "progression": 0,
    "pd": 0,
    "tumor progression": 0,
    "tumour progression": 0,
    "recurrence": 0,
    "0": 0,
    "0.0": 0,
}
EARLIEST_DATE = date(1800, 1, 1).toordinal()  # shifted dates go back to 1900; no patient is followed for 1,800 years
RESERVED = ("participant_id", "label", "label_source", "site", "months_since_srs", "vendor", "field_strength_t")


def matches(root: Path) -> Match:
    images = _images(root)
    has_description = (root / "dataset_description.json").is_file()
    if images:
        found = f"there are {len(images)} files named sub-*/**/anat/*_T1w.nii[.gz]"
        return Match(1.0 if has_description else 0.8, found + " and a dataset_description.json" * has_description)
    subjects = sum(1 for entry in root.glob("sub-*") if entry.is_dir())
    if subjects or has_description:
        return Match(0.3, f"there are {subjects} sub-* folders, but no anat/*_T1w.nii[.gz] in them")
    return Match(0.0, "there are no sub-* folders")


def namespace(root: Path) -> str:
    """The data set's own name, in lower case and dashes."""
    try:
        name = str(json.loads((root / "dataset_description.json").read_text())["Name"])
    except (OSError, ValueError, KeyError, TypeError):
        name = ""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or NAME


def read(root: Path, options: Options) -> Reading:
    people, left_out = _participants(root / "participants.tsv")
    sessions: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for image in _images(root):
        found = entities(image)
        sessions[found["sub"], found.get("ses", "")].append(image)
    masks, elsewhere = lesion_masks(root)
    scans, findings = [], []
    for (subject, session), images in sorted(sessions.items()):
        image = min(images, key=_preference)
        facts = _facts_of(root, image)
        scan, odd = _scan(root, image, people.get(subject, {}), facts, masks.get((subject, session), []))
        scans.append(scan)
        findings += [Finding(patient=subject, scan=scan.scan, reason=reason, detail=detail) for reason, detail in odd]
    notes = [f"Columns of participants.tsv left out: {', '.join(left_out)}."] if left_out else []
    strangers = len(set(people) - {subject for subject, _ in sessions})
    if strangers:
        notes.append(f"{strangers} participants of participants.tsv have no T1w scan.")
    if elsewhere:
        notes.append(f"{elsewhere} masks in another space than their image's own (space-*) were left out.")
    scans, mixed = _with_days(scans)
    if mixed:
        notes.append(f"{mixed} participants have days for some scans and dates for others; their dates were not used.")
    return Reading(tuple(scans), tuple(findings), tuple(notes))


def _scan(
    root: Path, image: Path, person: Mapping[str, Any], facts: Mapping[str, str], masks: Sequence[Path]
) -> tuple[ScanRecord, list[tuple[Reason, str]]]:
    mask, has_rival = choose_mask(image, masks, root)
    vendor, tesla, is_odd = scanner_of(image, root)
    months = _number(facts.get("months_since_srs"))
    if months is None:
        months = person.get("months_since_srs")
    known: Mapping[str, ClinicalValue] = person.get("clinical", {})
    is_named = person.get("label") is not None or (mask is not None and mask.values)
    lesion = LesionRecord(
        number=1,
        mask_values=mask.values if mask else (),
        label=person.get("label"),
        label_source=None if person.get("label") is None else person["label_source"] or "participants.tsv",
        months_since_srs=months,
        clinical=known,
    )
    scan = ScanRecord(
        patient=entities(image)["sub"],
        scan=image.relative_to(root).with_name(stem(image)).as_posix(),
        image=image,
        mask=mask.file if mask else None,
        day=_day(facts),
        site=person.get("site"),
        vendor=vendor or person.get("vendor"),
        field_strength_t=tesla or person.get("field_strength_t"),
        lesions=(lesion,) if is_named else (),
        clinical=known,
    )
    odd = []
    if "ce" not in entities(image):
        odd.append((Reason.NO_CONTRAST, "the file name has no ce-* entity, so contrast is not stated"))
    if is_odd:
        odd.append((Reason.VALUE_IMPLAUSIBLE, "a sidecar that is no JSON object, or a field strength no scanner has"))
    if has_rival:
        odd.append((Reason.MASK_AMBIGUOUS, "two derivative folders hold a fitting mask; the first by name was used"))
    return scan, odd


def _images(root: Path) -> list[Path]:
    """T1-weighted images of subjects; `derivatives/` and `sourcedata/` are not raw data."""
    found = (file for folder in sorted(root.glob("sub-*")) for file in walk(folder))
    return [
        file for file in found if stem(file).endswith("_T1w") and file.parent.name == "anat" and "sub" in entities(file)
    ]


def _preference(image: Path) -> tuple[bool, bool, str]:
    agent = entities(image).get("ce", "").lower()
    return not agent, not agent.startswith("gad"), image.name


def _participants(file: Path) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Subject -> label, label_source, site, months, clinical; and the columns left out with their reason."""
    rows = _tsv(file, key="participant_id")
    if not rows:
        return {}, []
    free = [name for name in rows[0] if name not in RESERVED]
    typed, left_out = clinical.columns({name: [row[name] for row in rows] for name in free})
    people: dict[str, dict[str, Any]] = {}
    for index, row in enumerate(rows):
        subject = row["participant_id"].removeprefix("sub-")
        if subject in people:
            raise DataError(file.name, f"row {index + 2} repeats a participant", "Leave one row for each participant")
        people[subject] = {
            "label": _label(row.get("label"), file.name, index + 2),
            "label_source": _text(row.get("label_source")),
            "site": _text(row.get("site")),
            "vendor": scanner.vendor(_text(row.get("vendor"))),
            "field_strength_t": scanner.field_strength_t(_text(row.get("field_strength_t"))),
            "months_since_srs": _number(row.get("months_since_srs")),
            "clinical": {name: values[index] for name, values in typed.items()},
        }
    return people, left_out


def _facts_of(root: Path, image: Path) -> dict[str, str]:
    """The row of sessions.tsv, and acq_time out of scans.tsv where that has none."""
    found = entities(image)
    subject, session = f"sub-{found['sub']}", found.get("ses", "")
    rows = _tsv(root / subject / f"{subject}_sessions.tsv", key="session_id")
    facts: dict[str, str] = next((row for row in rows if row["session_id"].removeprefix("ses-") == session), {})
    folder = image.parent.parent
    name = f"{subject}_ses-{session}" if session else subject
    of_scans = _tsv(folder / f"{name}_scans.tsv", key="filename")
    times = [row.get("acq_time", "") for row in of_scans if row["filename"] == f"anat/{image.name}"]
    has_time = _day(facts) is not None
    return facts if has_time or not times else {**facts, "acq_time": times[0]}


def _tsv(file: Path, *, key: str) -> list[dict[str, str]]:
    """Rows of a BIDS table; none if it does not exist. Errors name the row by number, never by its content."""
    if not file.is_file():
        return []
    what = {"participant_id": "participants.tsv", "session_id": "a sessions.tsv"}.get(key, "a scans.tsv")
    try:
        lines = list(csv.reader(file.read_text(encoding="utf-8-sig").splitlines(), delimiter="\t"))
    except (UnicodeDecodeError, csv.Error):
        raise DataError(what, "is not UTF-8 text with tabs between columns", "Save it again in that form") from None
    if not lines or key not in lines[0]:
        raise DataError(what, f"has no column {key!r}", "Name the columns in its first line, tabs between them")
    wrong = [number for number, line in enumerate(lines, 1) if line and len(line) != len(lines[0])]
    if wrong:
        raise DataError(what, f"row {wrong[0]} has not as many columns as the first line", "Mend that row")
    return [dict(zip(lines[0], line, strict=True)) for line in lines[1:] if line]


def _label(cell: str | None, name: str, row: int) -> int | None:
    word = (cell or "").strip().lower()
    if word in clinical.EMPTY:
        return None
    if word not in LABELS:
        raise DataError(
            name, f"row {row} has a label that is none of RN, 1, progression, 0, n/a", "Mend the column `label`"
        )
    return LABELS[word]


def _text(cell: str | None) -> str | None:
    return None if cell is None or cell.strip().lower() in clinical.EMPTY else cell.strip()


def _number(cell: str | None) -> float | None:
    try:
        return float(cell) if cell is not None else None
    except ValueError:
        return None


def _day(facts: Mapping[str, str]) -> int | None:
    """A day count as given, or the ordinal of an acquisition date (which is far larger than any count of days)."""
    if (day := _number(facts.get("day"))) is not None:
        return int(day)
    try:
        return date.fromisoformat(facts.get("acq_time", "")[:10]).toordinal()
    except ValueError:
        return None


def _with_days(scans: Sequence[ScanRecord]) -> tuple[list[ScanRecord], int]:
    """Days from each patient's first scan, `order` by session; and how many patients mixed day counts with dates."""
    known: dict[str, list[int]] = defaultdict(list)
    for scan in scans:
        if scan.day is not None:
            known[scan.patient].append(scan.day)
    mixed = {patient for patient, days in known.items() if min(days) < EARLIEST_DATE <= max(days)}
    first = {patient: min(days) for patient, days in known.items()}
    dated = []
    for order, scan in enumerate(scans):
        is_lost = scan.day is None or (scan.patient in mixed and scan.day >= EARLIEST_DATE)
        dated.append(replace(scan, order=order, day=None if is_lost else (scan.day or 0) - first[scan.patient]))
    return dated, len(mixed)
