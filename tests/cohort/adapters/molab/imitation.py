"""An imitation of OpenBTAI/MOLAB at its full size, written from its description alone: it shares nothing with the adapter.

75 patients (47 with ids in 04), 293 scans, 160 lesions in the clinical sheet, 154 of them in masks, 499 lesion-scans.

`write(root, traps)` writes the tree. Without traps it is what a reader would wish for: every lesion treated, segmented and
followed. Each trap is a switch; `PUBLISHED` are those that the published tree has, and with them the cohort is the
published one; the others are what else has been met in such trees. NIfTI files are tiny (8 x 8 x 64 voxels of 8 x 8 x 1 mm) and written byte by byte.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import openpyxl

TRAPS = {
    # Change the cohort.
    "no_first_srs": "45 segmented lesions were never irradiated",
    "rn_without_any_mask": "three lesions with a necrosis date stand in no mask: 040001 L2, 040011 L1, 040156 L1",
    "never_segmented": "three other lesions stand in no mask",
    # Change what is chosen or found.
    "rn_before_srs": "two necrosis dates precede the first radiosurgery: 010024 L1, 040114 L3",
    "rn_without_follow_up": "one lesion with necrosis has masks before radiosurgery only",
    "no_follow_up": "18 lesions without necrosis have masks before radiosurgery only",
    "growth": "39 lesions without necrosis grow by at least 20% after radiosurgery",
    "both_classes": "9 patients have lesions of both classes",
    "two_prefixes": "ids begin with 01 or 04, and necrosis is recorded far more often at 04",
    # Trip the reader.
    "float_ids": "patient ids of the morphology sheet are numbers: 10005.0",
    "float_ids_clinical": "patient ids of the clinical sheet are numbers too",
    "footers": "two footer rows below the lesions",
    "blanks": "empty cells hold ' ' or 'n/a'",
    "text_times": "times are text: '120'",
    "calendar_times": "three necrosis cells hold a date instead of days: digits, text and a date",
    "station_name": "the vendor stands in STATION NAME",
    "field_15000": "one field strength reads 15000",
    "thick_slices": "seven rows (lesion-scans) have slices of 4 mm",
    "second_courses": "columns of SRS 2 and 3 and WBRT 2 are filled",
    "outcomes": "death, surgery, later drugs and MR dates are filled",
    "one_segment": "20 lesion-scans have the enhancing segment only, 10 the necrotic one only",
    "lesion_twelve": "one lesion has the number 12, so its mask values are 121 and 122",
    "stray_value": "one mask holds a value of no segment",
    "same_day": "two scans were taken on a day that has one already",
    "image_missing": "two masks have no image beside them, one is all there is of a lesion",
}
PUBLISHED = frozenset(TRAPS) - {"calendar_times", "same_day", "image_missing", "stray_value", "float_ids_clinical"}
NO_SRS_AT_04, NO_SRS_ELSEWHERE = 26, 19
VENDORS = ("GE", "SIEMENS", "PHILIPS")


@dataclass
class Lesion:
    """`days`: scans whose mask holds it. `voxels`: enhancing and necrotic ones of each."""

    patient: str
    number: int
    kind: str  # rn, no, untreated, lost-rn, lost
    srs: float | None = None
    rn: float | None = None
    days: list[int] = field(default_factory=list)
    voxels: dict[int, tuple[int, int]] = field(default_factory=dict)

    @property
    def in_cohort(self) -> bool:
        return self.kind in ("rn", "no")


@dataclass
class Truth:
    """What stands in the tree, in plain terms."""

    scans: dict[str, list[int]]
    lesions: list[Lesion]
    thick: set[tuple[str, int]] = field(default_factory=set)
    twice: list[tuple[str, int]] = field(default_factory=list)
    without_image: list[tuple[str, int]] = field(default_factory=list)


def truth(traps: Iterable[str] = PUBLISHED) -> Truth:
    """The patients of the tree, with the traps that change them."""
    on = set(traps)
    assert on <= set(TRAPS)
    plan = _people()
    scans = {patient: _days(at, 3 if at % 10 == 9 else 4) for at, patient in enumerate(plan)}
    lesions = [Lesion(patient, number, kind) for patient, kinds in plan.items() for number, kind in kinds]
    _place(lesions, scans)
    _treat(lesions, scans, on)
    if "both_classes" not in on:
        _separate(lesions)
    if "lesion_twelve" in on:
        next(lesion for lesion in lesions if lesion.patient == "010203" and lesion.number == 3).number = 12
    return _with_files(Truth(scans, lesions), on)


def _people() -> dict[str, list[tuple[int, str]]]:
    """Patient -> (lesion number, kind), such that every published count holds (`test_molab_imitation`)."""
    at_04 = [("rn", "no")] * 9 + [("rn",)] * 18 + [("no", "no")] * 12 + [("no",)] * 7 + [()]
    elsewhere = [("rn",)] * 5 + [("no", "no")] * 16 + [("no",)] * 5 + [()] * 2
    people: dict[str, list[tuple[int, str]]] = {}
    for prefix, kinds, named in (
        ("04", at_04, {0: "040114", 10: "040001", 11: "040011", 30: "040156"}),
        ("01", elsewhere, {0: "010024", 7: "010203"}),
    ):
        for at, own in enumerate(kinds):
            serial = (300 if prefix == "04" else 500) + at
            people[named.get(at, f"{prefix}{serial:04d}")] = list(enumerate(own, 1))
    people["040114"] = [(1, "no"), (2, "untreated"), (3, "rn")]
    people["040001"].append((2, "lost-rn"))
    for patient in ("040011", "040156"):
        people[patient] = [(number + 1, kind) for number, kind in people[patient]] + [(1, "lost-rn")]
    for prefix, count, alone in (("04", NO_SRS_AT_04 - 1, 3), ("01", NO_SRS_ELSEWHERE, 3)):
        here = [patient for patient in people if patient.startswith(prefix)]
        empty = [patient for patient in here if not people[patient]]
        for patient in empty:
            people[patient] = [(number, "untreated") for number in range(1, alone + 1)]
        rest = count - alone * len(empty)
        for patient in [patient for patient in here if patient not in empty and patient != "040114"][:rest]:
            people[patient].append((len(people[patient]) + 1, "untreated"))
    for patient in [patient for patient in people if patient.startswith("01")][-6:-3]:
        people[patient].append((len(people[patient]) + 1, "lost"))
    return people


def _days(at: int, count: int) -> list[int]:
    """MR1 is day 0; then about every four months, a little different for everybody."""
    return [0, 100 + at % 23, 220 + at % 31, 345 + at % 37][:count]


def _place(lesions: list[Lesion], scans: dict[str, list[int]]) -> None:
    """Every lesion stands in all masks of its patient, save as many as make 369 + 130 + 6 x 3 lesion-scans."""
    first = {
        patient: min(one.number for one in lesions if one.patient == patient and not one.kind.startswith("lost"))
        for patient in scans
    }
    for lesion in lesions:
        lesion.days = list(scans[lesion.patient])
        if lesion.kind.startswith("lost"):
            lesion.days = lesion.days[-3:]
    for kinds, wanted in ((("rn", "no"), 369), (("untreated",), 130)):
        own = [lesion for lesion in lesions if lesion.kind in kinds]
        spare = [lesion for lesion in own if lesion.number != first[lesion.patient]]
        turn = 0
        while sum(len(lesion.days) for lesion in own) > wanted:
            lesion = spare[turn % len(spare)]
            # The first mask goes first, then the one before the last: a lesion keeps its last two looks.
            if len(lesion.days) > 2:
                lesion.days.pop(0 if turn < len(spare) else -2)
            turn += 1
        assert sum(len(lesion.days) for lesion in own) == wanted


def _treat(lesions: list[Lesion], scans: dict[str, list[int]], on: set[str]) -> None:
    """Radiosurgery soon after MR1; necrosis after the last scan, or long before it; volumes 40 voxels, 52 when grown."""
    with_rn = [lesion for lesion in lesions if lesion.kind in ("rn", "lost-rn")]
    without = [lesion for lesion in lesions if lesion.kind == "no"]
    for at, lesion in enumerate(lesions):
        untreated = lesion.kind == "untreated" and "no_first_srs" in on
        lesion.srs = None if untreated else 20.0 + at % 30
        lesion.voxels = dict.fromkeys(lesion.days, (28, 12))
    for at, lesion in enumerate(with_rn):
        # Within 90 days of a mask for 22 of the 32, later for the others.
        lesion.rn = scans[lesion.patient][-1] + (30.0 + at if at % 3 != 2 else 200.0 + at)
    early = [next(one for one in lesions if (one.patient, one.number) == key) for key in (("010024", 1), ("040114", 3))]
    if "rn_before_srs" in on:
        for lesion in early:
            lesion.srs, lesion.rn = 60.0, 30.0
    late = [one for one in with_rn if one.kind == "rn" and one not in early][-1:] * ("rn_without_follow_up" in on)
    late += without[-18:] * ("no_follow_up" in on)
    for lesion in late:
        lesion.srs = scans[lesion.patient][-1] + 15.0
        lesion.rn = None if lesion.rn is None else lesion.srs + 150.0
    for at, lesion in enumerate(without[:39] * ("growth" in on)):
        for day in lesion.days[-2 if at % 2 and len(lesion.days) > 2 else -1 :]:
            lesion.voxels[day] = (36, 16)
    if "rn_without_any_mask" in on:
        _lose(lesions, "lost-rn")
    if "never_segmented" in on:
        _lose(lesions, "lost")


def _lose(lesions: list[Lesion], kind: str) -> None:
    for lesion in lesions:
        if lesion.kind == kind:
            lesion.days, lesion.voxels = [], {}


def _separate(lesions: list[Lesion]) -> None:
    """Swap the classes of lesions so that nobody has both: eight patients in pairs, the ninth with a single-lesion patient."""
    both = [
        (one, two)
        for one in lesions
        for two in lesions
        if one.patient == two.patient and (one.kind, two.kind) == ("rn", "no")
    ]
    single = next(
        one
        for one in lesions
        if one.kind == "no" and sum(two.patient == one.patient and two.in_cohort for two in lesions) == 1
    )
    swaps = [(first[1], second[0]) for first, second in zip(both[:8:2], both[1:8:2], strict=True)] + [
        (single, both[8][0])
    ]
    for negative, positive in swaps:
        negative.rn, positive.rn = positive.rn, negative.rn
        negative.kind, positive.kind = "rn", "no"


def _with_files(found: Truth, on: set[str]) -> Truth:
    if "thick_slices" in on:
        rows = 0
        for patient, days in found.scans.items():
            count = sum(lesion.patient == patient and days[1] in lesion.days for lesion in found.lesions)
            if rows + count <= 7:
                rows += count
                found.thick.add((patient, days[1]))
                for lesion in found.lesions:
                    if lesion.patient == patient and days[1] in lesion.days:  # the same volume in thicker voxels
                        enhancing, necrotic = lesion.voxels[days[1]]
                        lesion.voxels[days[1]] = enhancing // 4, necrotic // 4
    if "one_segment" in on:
        shown = [(lesion, day) for lesion in found.lesions for day in lesion.days]
        for at, (lesion, day) in enumerate(shown[:300:10]):
            total = sum(lesion.voxels[day])
            lesion.voxels[day] = (total, 0) if at < 20 else (0, total)
    if "same_day" in on:
        found.twice = [("010024", found.scans["010024"][1]), ("040114", found.scans["040114"][2])]
    if "image_missing" in on:
        # 010024 is seen on his other scans too; lesion 2 of the other patient has no other mask than this.
        alone = next(one for one in found.lesions if (one.patient, one.number) == ("010505", 2))
        alone.days = alone.days[-1:]
        found.without_image = [("010024", found.scans["010024"][0]), (alone.patient, alone.days[0])]
    return found


def write(root: Path, traps: Iterable[str] = PUBLISHED) -> Truth:
    """The whole tree; returns what stands in it."""
    on = set(traps)
    found = truth(on)
    naming = _naming(found, on)
    root.mkdir(parents=True, exist_ok=True)
    _write_clinical(root / "OpenBTAI_METS_ClinicalData_Nov2023.xlsx", found, naming, on)
    _write_morphology(root / "OpenBTAI_MORPHOLOGICAL_MEASUREMENTS.xlsx", found, naming, on)
    image = root / ".image"
    for patient, days in found.scans.items():
        folder = root / naming[patient] / naming[patient] / "NIFTI"
        folder.mkdir(parents=True)
        for day in days:
            _write_scan(folder, naming[patient], patient, day, found, on, image)
    for file in (image, image.with_suffix(".thick")):
        file.unlink(missing_ok=True)
    return found


def _write_scan(folder: Path, name: str, patient: str, day: int, found: Truth, on: set[str], image: Path) -> None:
    shape, spacing = ((8, 8, 16), (8.0, 8.0, 4.0)) if (patient, day) in found.thick else ((8, 8, 64), (8.0, 8.0, 1.0))
    shared = image.with_suffix(".thick") if (patient, day) in found.thick else image
    if not shared.exists():
        shared.write_bytes(
            _nifti(bytes(range(256)) * (shape[0] * shape[1] * shape[2] // 256), shape, spacing, code=2, bits=8)
        )
    values = [
        value
        for lesion in found.lesions
        if lesion.patient == patient and day in lesion.days
        for segment, count in enumerate(lesion.voxels[day], 1)
        for value in [lesion.number * 10 + segment] * count
    ]
    if "stray_value" in on and (patient, day) == ("010501", 0):
        values.append(17)
    voxels = struct.pack(
        f"<{shape[0] * shape[1] * shape[2]}H", *values, *[0] * (shape[0] * shape[1] * shape[2] - len(values))
    )
    for series in ("T1POST", "T1POST2")[: 1 + ((patient, day) in found.twice)]:
        base = f"{name}_{_stamp(day)}_{series}"
        (folder / f"{base}_msk.nii").write_bytes(_nifti(voxels, shape, spacing, code=512, bits=16))
        if (patient, day) not in found.without_image:
            os.link(shared, folder / f"{base}_img.nii")


def _nifti(data: bytes, shape: tuple[int, ...], spacing: tuple[float, ...], *, code: int, bits: int) -> bytes:
    """NIfTI-1 single file after the standard's table of fields: sform and qform codes 1, affine diag(spacing)."""
    head = bytearray(352)
    struct.pack_into("<i", head, 0, 348)
    struct.pack_into("<8h", head, 40, 3, *shape, 1, 1, 1, 1)
    struct.pack_into("<2h", head, 70, code, bits)
    struct.pack_into("<8f", head, 76, 1.0, *spacing, 0, 0, 0, 0)
    struct.pack_into("<3f", head, 108, 352.0, 1.0, 0.0)
    head[123] = 2  # millimetres
    struct.pack_into("<2h", head, 252, 1, 1)
    for row in range(3):
        struct.pack_into("<4f", head, 280 + 16 * row, *(spacing[row] if column == row else 0.0 for column in range(4)))
    head[344:348] = b"n+1\0"
    return bytes(head) + data


def _naming(found: Truth, on: set[str]) -> dict[str, str]:
    return {patient: patient if "two_prefixes" in on else f"01{patient[2:]}" for patient in found.scans}


def _write_clinical(path: Path, found: Truth, naming: dict[str, str], on: set[str]) -> None:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Hoja1")
    for number in range(12):
        sheet.append(["OpenBTAI" if number == 0 else None])
    heads: list[dict[int, str]] = [
        {0: "PATIENT", 4: "TUMOUR", 23: "WBRT 1", 27: "WBRT 2", 31: "SRS 1", 35: "SRS 2", 39: "SRS 3", 43: "RADIATION"},
        {43: "NECROSIS", 44: "SURGERY"},
        {0: "ID", 1: "AGE", 2: "SEX (1 F 2 M)", 3: "GPA", 4: "LESION", 5: "PRIMARY", 33: "BEGIN", 43: "(time)"},
    ]
    for head in heads:
        sheet.append([head.get(position) for position in range(93)])
    calendar = iter(["19010618", "1901-06-18", date(1901, 6, 18)])
    for at, lesion in enumerate(found.lesions):
        cells = _cells(at, lesion, naming[lesion.patient], on)
        if "calendar_times" in on and (lesion.rn or 0) > 100 and at % 2 and (text := next(calendar, None)):
            cells[43] = text
        blank = (" " if at % 2 else "n/a") if "blanks" in on else None
        sheet.append([blank if cells.get(position) is None else cells[position] for position in range(93)])
    for text in ["n/a: not available", "Times are days since MR1"] * ("footers" in on):
        sheet.append([text])
    book.save(path)


def _cells(at: int, lesion: Lesion, name: str, on: set[str]) -> dict[int, Any]:
    days = str if "text_times" in on else float
    cells: dict[int, Any] = {0: float(name) if "float_ids_clinical" in on else name, 1: 40 + at % 40, 2: 1 + at % 2}
    cells |= {3: 1.5, 4: lesion.number, 5: 1 + at % 12}
    if lesion.srs is not None:
        cells |= {31: 20, 32: 1, 33: days(lesion.srs), 34: days(lesion.srs)}
    if lesion.rn is not None:
        cells[43] = days(lesion.rn)
    if "second_courses" in on and at % 16 == 0:
        cells |= {27: 3, 28: 10, 29: days(5), 30: days(17), 35: 18, 36: 1, 37: days(500), 38: days(500), 41: days(700)}
    if "outcomes" in on:
        cells |= {44: 1, 45: days(600), 70: "progressed", 71: 1, 72: days(800), 73: 2, 74: days(0), 75: days(101)}
        cells |= {46: "Bevacizumab", 47: days(900), 48: days(950)}
    return cells


def _write_morphology(path: Path, found: Truth, naming: dict[str, str], on: set[str]) -> None:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Sheet1")
    sheet.append(
        ["PATIENT", "TIME POINT", "PIXELSPACING", "SBS", "STH", "STATION NAME", "REPTIME", "ECHOTIME", "MAGNETIC FIELD"]
        + ["LESION", "TOTALVOLUME", "CEVOLUME", "NECVOLUME", "CERIMWIDTH", "MAXDIAMETER3D", "TOTALSURFACE"]
        + ["RENDVOLUME", "SURFACEREGULARITY"]
    )
    for row in _morphology(found, naming, on):
        sheet.append(row)
    book.save(path)


def _morphology(found: Truth, naming: dict[str, str], on: set[str]) -> Iterator[list[Any]]:
    scans = [(patient, day) for patient, days in found.scans.items() for day in days]
    for at, (patient, day) in enumerate(scans):
        slice_mm = 4.0 if (patient, day) in found.thick else 1.0
        tesla = 15000 if "field_15000" in on and at == 20 else 3.0 if at % 13 == 0 else 1.5
        name = float(naming[patient]) if "float_ids" in on else naming[patient]
        vendor = VENDORS[at % 3] if "station_name" in on else " "
        for lesion in found.lesions:
            if lesion.patient != patient or day not in lesion.days:
                continue
            enhancing, necrotic = (count * 64 * slice_mm / 1000 for count in lesion.voxels[day])
            stamp = str(_stamp(day)) if "text_times" in on else int(_stamp(day))
            head = [name, stamp, 8.0, slice_mm, slice_mm, vendor, 9.0, 4.0, tesla, lesion.number]
            yield [*head, enhancing + necrotic, enhancing, necrotic, 2.0, 9.0, 5.0, enhancing + necrotic, 0.8]


def _stamp(day: int) -> str:
    return (date(1900, 1, 1) + timedelta(days=day)).strftime("%Y%m%d")
