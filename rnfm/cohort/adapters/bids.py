"""BIDS: https://bids-specification.readthedocs.io, as far as a lesion cohort needs it.

    dataset_description.json                                     Name = namespace
    participants.tsv                                             participant_id, label, label_source, site, clinical columns
    sub-01/[ses-2/]anat/sub-01_[ses-2_]ce-gad_T1w.nii.gz         one scan a session; ce-* is preferred
    sub-01/sub-01_sessions.tsv                                   session_id, acq_time or day, months_since_srs
    derivatives/NAME/sub-01/[ses-2/]anat/sub-01_..._mask.nii.gz  the lesion mask of the same subject and session

BIDS has no word for our label, so it is the column `label`: RN, 1 or progression, 0. A labelled participant has one
lesion, number 1: every voxel > 0 of the mask. Brain and tissue masks are passed over. Clinical columns: see
`rnfm.cohort.clinical`; one row a participant, so they are what was known once, not what a session added.
"""

from __future__ import annotations

import csv
import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from rnfm.cohort import clinical
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
RESERVED = ("participant_id", "label", "label_source", "site", "months_since_srs", "vendor", "field_strength_t")
NO_LESION = {"brain", "head", "skull", "wm", "gm", "csf", "foreground", "ventricles"}
_ENTITY = re.compile(r"(?:^|_)([a-z]+)-([A-Za-z0-9+]+)")


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
        entities = _entities(image)
        sessions[entities["sub"], entities.get("ses", "")].append(image)
    masks = _masks(root)
    scans, findings = [], []
    for (subject, session), images in sorted(sessions.items()):
        image = min(images, key=_preference)
        facts = _session_facts(root / f"sub-{subject}" / f"sub-{subject}_sessions.tsv").get(session, {})
        scan = _scan(root, image, people.get(subject, {}), facts, masks.get((subject, session), []))
        scans.append(scan)
        if "ce" not in _entities(image):
            detail = "the file name has no ce-* entity, so contrast is not stated"
            findings.append(Finding(patient=subject, scan=scan.scan, reason=Reason.NO_CONTRAST, detail=detail))
    notes = [f"Columns of participants.tsv left out: {', '.join(left_out)}."] if left_out else []
    strangers = len(set(people) - {subject for subject, _ in sessions})
    if strangers:
        notes.append(f"{strangers} participants of participants.tsv have no T1w scan.")
    return Reading(tuple(_with_days(scans)), tuple(findings), tuple(notes))


def _scan(
    root: Path, image: Path, person: Mapping[str, Any], facts: Mapping[str, str], masks: Sequence[Path]
) -> ScanRecord:
    mask = min(masks, key=lambda file: _distance(file, image)) if masks else None
    months = _number(facts.get("months_since_srs")) if facts else None
    if months is None:
        months = person.get("months_since_srs")
    known: Mapping[str, ClinicalValue] = person.get("clinical", {})
    lesions: tuple[LesionRecord, ...] = ()
    if person.get("label") is not None:
        lesion = LesionRecord(
            number=1,
            label=person["label"],
            label_source=person["label_source"] or "participants.tsv",
            months_since_srs=months,
            clinical=known,
        )
        lesions = (lesion,)
    entities = _entities(image)
    return ScanRecord(
        patient=entities["sub"],
        scan=image.relative_to(root).with_name(stem(image)).as_posix(),
        image=image,
        mask=mask,
        day=_day(facts),
        site=person.get("site"),
        vendor=person.get("vendor"),
        field_strength_t=person.get("field_strength_t"),
        lesions=lesions,
        clinical=known,
    )


def _images(root: Path) -> list[Path]:
    """T1-weighted images of subjects; `derivatives/` and `sourcedata/` are not raw data."""
    found = (file for folder in sorted(root.glob("sub-*")) for file in walk(folder))
    return [
        file
        for file in found
        if stem(file).endswith("_T1w") and file.parent.name == "anat" and "sub" in _entities(file)
    ]


def _masks(root: Path) -> dict[tuple[str, str], list[Path]]:
    masks: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for file in walk(root / "derivatives"):
        entities = _entities(file)
        words = {entities.get("desc", "").lower(), entities.get("label", "").lower()}
        if stem(file).endswith(("_mask", "_dseg")) and "sub" in entities and not words & NO_LESION:
            masks[entities["sub"], entities.get("ses", "")].append(file)
    return masks


def _entities(file: Path) -> dict[str, str]:
    return dict(_ENTITY.findall(file.name))


def _preference(image: Path) -> tuple[bool, str]:
    return "ce" not in _entities(image), image.name


def _distance(mask: Path, image: Path) -> tuple[bool, int, str]:
    """Masks in another space come last; then those that share fewer entities (run, acq) with the image."""
    ours, theirs = _entities(image), _entities(mask)
    return "space" in theirs, -len(ours.items() & theirs.items()), mask.as_posix()


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
            "vendor": _text(row.get("vendor")),
            "field_strength_t": _number(row.get("field_strength_t")),
            "months_since_srs": _number(row.get("months_since_srs")),
            "clinical": {name: values[index] for name, values in typed.items()},
        }
    return people, left_out


def _session_facts(file: Path) -> dict[str, dict[str, str]]:
    return {row["session_id"].removeprefix("ses-"): row for row in _tsv(file, key="session_id")}


def _tsv(file: Path, *, key: str) -> list[dict[str, str]]:
    """Rows of a BIDS table; none if it does not exist. Errors name the row by number, never by its content."""
    if not file.is_file():
        return []
    what = "participants.tsv" if key == "participant_id" else "a sessions.tsv"
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
    """A day count as given, or the ordinal of an acquisition date; `_with_days` makes it relative."""
    if (day := _number(facts.get("day"))) is not None:
        return int(day)
    try:
        return date.fromisoformat(facts.get("acq_time", "")[:10]).toordinal()
    except ValueError:
        return None


def _with_days(scans: Sequence[ScanRecord]) -> list[ScanRecord]:
    """Days counted from each patient's first scan, and the order of sessions for those without any."""
    from dataclasses import replace

    first: dict[str, int] = {}
    for scan in scans:
        if scan.day is not None:
            first[scan.patient] = min(scan.day, first.get(scan.patient, scan.day))
    return [
        replace(scan, order=order, day=None if scan.day is None else scan.day - first[scan.patient])
        for order, scan in enumerate(scans)
    ]
