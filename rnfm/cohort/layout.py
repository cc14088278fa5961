"""A public data set's layout as a declaration. An adapter is then one short file: names, mask values, what a visit's name says.

    LAYOUT = Layout(name=..., dataset=..., tree=..., sources=(Source(...), ...), hint=...)
    NAME, matches, namespace, read = LAYOUT.name, LAYOUT.matches, LAYOUT.namespace, LAYOUT.read

These data sets number no lesions, so all that counts as lesion in a mask is lesion 1 of its scan. Masks are decoded (in
small pieces, `rnfm.cohort.masks`): a value that the data set does not document is a finding, and volumes show growth. Days
are counted from each patient's first scan, whatever the source counted from.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rnfm.cohort import cases, masks
from rnfm.cohort.cases import Case, Groups, Source
from rnfm.cohort.records import ClinicalValue, Fault, Finding, LesionRecord, Match, Options, Reading, ScanRecord
from rnfm.cohort.summary import plural
from rnfm.core.ledger import Reason
from rnfm.core.progress import track

CERTAIN, ALIKE, TRACE = 0.95, 0.45, 0.4


@dataclass(frozen=True)
class Person:
    """What a data set's own table says of one scan: clinical facts, and its day where the table gives one."""

    clinical: Mapping[str, ClinicalValue] = field(default_factory=dict)
    day: int | None = None


@dataclass(frozen=True)
class People:
    """`of` looks a scan up by its groups; `notes` say what was read and what was left."""

    of: Callable[[Groups], Person] = lambda _groups: Person()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Names and meanings of one data set; the methods are those of an adapter (`rnfm.cohort.records.Adapter`)."""

    name: str
    dataset: str  # namespace of its ids: data sets that share ids share it
    tree: str  # what an image's path looks like, for people
    sources: tuple[Source, ...]
    hint: str  # pattern of a path in such a tree that is no image of it
    alike: tuple[Source, ...] = ()  # read in want of others, but too common to choose this layout by itself
    prefix: str = ""  # of scan ids, where another data set gives the same ids to other files
    day: Callable[[Groups], int | None] | None = None  # on any axis of whole days
    people: Callable[[Path], People] = lambda _root: People()
    certain: float = CERTAIN
    notes: tuple[str, ...] = ()

    def matches(self, root: Path) -> Match:
        """By names only: images under the declared names, else under a similar name, else traces of such a tree."""
        names = cases.paths(root)
        if found := cases.count(names, self.sources):
            return Match(self.certain, f"there are {found} images named {self.tree}")
        if found := cases.count(names, self.alike):
            return Match(ALIKE, f"there are {found} images named alike, but none named {self.tree}")
        hint = re.compile(self.hint)
        if found := sum(1 for name in names if hint.search(name)):
            return Match(TRACE, f"there are {found} files of such a tree, but no image named {self.tree}")
        return Match(0.0, f"there is no image named {self.tree}")

    def namespace(self, root: Path) -> str:
        return self.dataset

    def read(self, root: Path, options: Options) -> Reading:
        """All scans of the tree. DataError if a table that the data set ships cannot be read."""
        found = cases.find(root, self.sources) or cases.find(root, self.alike)
        people = self.people(root)
        scans: list[ScanRecord] = []
        findings: list[Finding] = []
        for order, (name, case) in enumerate(track(found.items(), len(found), "masks")):
            scan, odd = self._scan(self.prefix + name, case, people.of(case.groups), order)
            scans.append(scan)
            findings += odd
        notes = [*self.notes, *_mask_notes(found.values()), *people.notes]
        dayless = sum(1 for scan in scans if scan.day is None)
        if self.day and dayless:
            notes.append(f"{plural(dayless, 'scan')} without a readable day: in the order of the names.")
        return Reading(tuple(_from_first_day(scans)), tuple(findings), tuple(notes))

    def _scan(self, name: str, case: Case, person: Person, order: int) -> tuple[ScanRecord, list[Finding]]:
        lesions, fault, odd = _lesions(case, person)
        if case.copies > 1:
            detail = f"files of this name lie at {case.copies} places of the source folder; the first that has a mask is used"
            odd.append((Reason.DUPLICATE, detail))
        day = person.day if person.day is not None or self.day is None else self.day(case.groups)
        scan = ScanRecord(
            patient=case.groups["patient"],
            scan=name,
            image=case.image,
            # Without a lesion value a mask would be read as 'everything in it is lesion' further on.
            mask=case.mask if lesions or fault else None,
            order=order,
            day=day,
            lesions=lesions,
            clinical=person.clinical,
            fault=fault,
        )
        return scan, [Finding(patient=scan.patient, scan=name, reason=reason, detail=detail) for reason, detail in odd]


def _lesions(case: Case, person: Person) -> tuple[tuple[LesionRecord, ...], Fault | None, list[tuple[Reason, str]]]:
    """Lesion 1 with those of its mask values that occur, why the mask cannot be used, and what looks wrong about it."""
    if case.mask is None or case.kind is None:
        return (), None, []
    found = masks.content(case.mask)
    if isinstance(found, Fault):
        return (), found, []
    labels, odd = case.kind.labels, []
    if strays := labels.strays(found.voxels):
        odd.append((Reason.STRAY_LABEL, f"the mask holds {strays}, which the data set does not document"))
    mine = tuple(value for value in found.voxels if not labels.lesion or value in labels.lesion)
    if not mine:
        odd.append((Reason.LESION_MISSING, "the mask holds no value that counts as lesion, so it is left out"))
        return (), None, odd
    lesion = LesionRecord(
        number=1,
        mask_values=mine if labels.lesion else (),
        volume_ml=found.volume_ml(mine),
        clinical=person.clinical,
    )
    return (lesion,), None, odd


def _mask_notes(found: Iterable[Case]) -> list[str]:
    kinds = Counter((case.kind.labels.describe(), case.kind.origin) for case in found if case.kind is not None)
    return [
        f"Lesion 1 of a scan is all that its mask marks as lesion ({plural(number, f'{origin} mask'.strip())}): "
        f"`mask_values` are {words}."
        for (words, origin), number in sorted(kinds.items())
    ]


def _from_first_day(scans: Sequence[ScanRecord]) -> list[ScanRecord]:
    """Days since each patient's first scan, so that no date or week of the source is passed on."""
    first: dict[str, int] = {}
    for scan in scans:
        if scan.day is not None:
            first[scan.patient] = min(scan.day, first.get(scan.patient, scan.day))
    return [scan if scan.day is None else replace(scan, day=scan.day - first[scan.patient]) for scan in scans]
