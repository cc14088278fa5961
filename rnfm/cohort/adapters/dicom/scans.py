"""From a DICOM tree to one converted scan a study, with the lesions its structure set draws. Shared by the DICOM layouts.

    headers --rules of dicom_choice--> one series a study --RTSTRUCT of that series--> regions --dcm2niix, paint--> files

A structure set belongs to the series it names; if it names another one of the same frame of reference (a copy under a new
UID, say), it is used and that is a finding. One that fits no chosen series is a finding of the patient. Of several for one
series the newest counts. Regions of one name are one lesion through all studies of a patient, and its mask value is the
lesion's number in the order of first sight.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rnfm.cohort.adapters.dicom import choice as dicom_choice
from rnfm.cohort.adapters.dicom import convert as dicom_convert
from rnfm.cohort.adapters.dicom import rtstruct
from rnfm.cohort.adapters.dicom.choice import Choice
from rnfm.cohort.adapters.dicom.convert import Converted, Drawn
from rnfm.cohort.adapters.dicom.headers import Series, StructureSet, Tree, read_tree, require_extra
from rnfm.cohort.records import Fault, Finding, Options
from rnfm.core.errors import DataError
from rnfm.core.ledger import Reason
from rnfm.core.progress import track


@dataclass(frozen=True, kw_only=True)
class Study:
    """A study with the series that was chosen for it, or a fault. `names`: mask value -> region name (never for output)."""

    patient: str
    study: str
    series: Series | None
    result: Converted | Fault
    names: Mapping[int, str]

    @property
    def scan(self) -> str:
        """The original scan id."""
        return f"{self.patient}/{self.study}"


@dataclass(frozen=True)
class Found:
    studies: tuple[Study, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]


def read(root: Path, options: Options, *, trust_structures: bool) -> Found:
    """Read, choose and convert. `trust_structures`: a series that regions were drawn on needs to pass no other rule.

    Raises ConfigError without the extra or a usable folder for conversions, DataError if no study has a candidate.
    """
    require_extra()
    store = dicom_convert.open_store(options.converted)
    tree = read_tree(root)
    drawn_on = frozenset(uid for structure in tree.structures for uid in structure.series)
    studies = _by_study(tree.series)
    choices = {
        key: _choose(study, drawn_on, options.series_glob, trust_structures=trust_structures)
        for key, study in studies.items()
    }
    without = [key for key, choice in choices.items() if choice.equal == 0]
    if len(without) == len(studies):
        raise _nothing(tree, options)
    drawn, findings = _structures(tree, [choice.series for choice in choices.values() if choice.series])
    numbers = _numbers([choice.series for choice in choices.values() if choice.series], drawn)
    wanted = {key: choice for key, choice in choices.items() if choice.equal}
    found = []
    for (patient, study), choice in track(wanted.items(), len(wanted), "DICOM series"):
        found.append(_study(patient, study, choice, drawn, numbers, store))
    findings += [finding for study in found for finding in _of_study(study)]
    return Found(tuple(found), tuple(findings), tuple(_notes(tree, len(studies), len(without))))


def _choose(
    study: Sequence[Series], drawn_on: frozenset[str], pattern: str | None, *, trust_structures: bool
) -> Choice:
    if trust_structures and pattern is None and any(series.uid in drawn_on for series in study):
        return dicom_choice.choose([series for series in study if series.uid in drawn_on], pattern="*")
    return dicom_choice.choose(study, drawn_on=drawn_on, pattern=pattern)


def _study(
    patient: str,
    study: str,
    choice: Choice,
    drawn: Mapping[str, StructureSet | Fault],
    numbers: Mapping[tuple[str, str], Mapping[int, int]],
    store: Path,
) -> Study:
    series = choice.series
    if series is None:
        detail = f"{choice.equal} series fit equally well as contrast-enhanced T1; --series-glob can tell them apart"
        fault = Fault(Reason.SERIES_AMBIGUOUS, detail)
        return Study(patient=patient, study=study, series=None, result=fault, names={})
    structure = drawn.get(series.uid)
    if isinstance(structure, Fault):
        return Study(patient=patient, study=study, series=series, result=structure, names={})
    values = numbers.get((patient, series.uid), {})
    painting = Drawn(structure=structure, values=values) if structure and values else None
    names = {values[number]: name for number, name, _ in structure.regions if number in values} if structure else {}
    result = dicom_convert.convert(series, painting, store)
    return Study(patient=patient, study=study, series=series, result=result, names=names)


def _structures(tree: Tree, chosen: Sequence[Series]) -> tuple[dict[str, StructureSet | Fault], list[Finding]]:
    """Series UID -> its structure set; and what belongs to none."""
    by_uid: dict[str, list[StructureSet]] = defaultdict(list)
    findings: list[Finding] = []
    uids = {series.uid for series in chosen}
    for structure in tree.structures:
        exact = sorted(structure.series & uids)
        near = [one for one in chosen if one.patient == structure.patient and one.frame in structure.frames]
        if exact:
            by_uid[exact[0]].append(structure)
        elif len(near) == 1:
            by_uid[near[0].uid].append(structure)
            findings.append(
                _unmatched(near[0], "its regions were drawn on another series of the same frame of reference")
            )
        else:
            detail = "a structure set refers to no series that was chosen, so its regions are not used"
            findings.append(Finding(patient=structure.patient, reason=Reason.STRUCTURE_UNMATCHED, detail=detail))
    found: dict[str, StructureSet | Fault] = {}
    for series in chosen:
        sets = sorted(by_uid.get(series.uid, []), key=lambda one: one.stamp)
        if len(sets) > 1 and sets[-1].stamp == sets[-2].stamp:
            found[series.uid] = Fault(Reason.SERIES_AMBIGUOUS, f"{len(sets)} structure sets, and none is the newest")
        elif sets:
            found[series.uid] = sets[-1]
        if len(sets) > 1:
            findings.append(_unmatched(series, f"{len(sets)} structure sets; the newest was used"))
    return found, findings


def _unmatched(series: Series, detail: str) -> Finding:
    scan = f"{series.patient}/{series.study}"
    return Finding(patient=series.patient, scan=scan, reason=Reason.STRUCTURE_UNMATCHED, detail=detail)


def _numbers(
    chosen: Sequence[Series], drawn: Mapping[str, StructureSet | Fault]
) -> dict[tuple[str, str], dict[int, int]]:
    """(patient, series) -> region number -> lesion number, equal for equal names within a patient."""
    known: dict[str, dict[tuple[str, int], int]] = defaultdict(dict)
    found: dict[tuple[str, str], dict[int, int]] = {}
    for series in sorted(chosen, key=lambda one: (one.patient, one.day or 0, one.study)):
        structure = drawn.get(series.uid)
        if structure is None or isinstance(structure, Fault):
            continue
        seen: Counter[str] = Counter()
        values = {}
        for number, name in rtstruct.lesion_regions(structure.regions):
            plain = re.sub(r"[^a-z0-9]", "", name.lower())
            lesions = known[series.patient]
            values[number] = lesions.setdefault((plain, seen[plain]), len(lesions) + 1)
            seen[plain] += 1
        found[series.patient, series.uid] = values
    return found


def _of_study(study: Study) -> list[Finding]:
    """What looks wrong about a converted study."""
    if study.series is None or isinstance(study.result, Fault):
        return []
    found = []
    if study.series.odd_tesla:
        found.append((Reason.VALUE_IMPLAUSIBLE, "a field strength that no scanner has"))
    if study.result.overlap_vox:
        found.append(
            (Reason.MASK_OVERLAP, f"{study.result.overlap_vox} voxels lie in two regions; the smaller has them")
        )
    if study.result.gaps:
        found.append((Reason.CONTOUR_GAPS, f"lesions {list(study.result.gaps)} are not drawn in every slice between"))
    if study.result.empty:
        found.append(
            (Reason.LESION_MISSING, f"lesions {list(study.result.empty)} are drawn and cover no voxel of their own")
        )
    return [Finding(patient=study.patient, scan=study.scan, reason=reason, detail=detail) for reason, detail in found]


def _by_study(series: Sequence[Series]) -> dict[tuple[str, str], list[Series]]:
    """Studies in the order of patient, date and id."""
    studies: dict[tuple[str, str], list[Series]] = defaultdict(list)
    for one in sorted(series, key=lambda one: (one.patient, one.day or 0, one.study, one.uid)):
        studies[one.patient, one.study].append(one)
    return dict(studies)


def _nothing(tree: Tree, options: Options) -> DataError:
    studies = len({(series.patient, series.study) for series in tree.series})
    if not studies:
        return DataError(
            "source folder", "holds no MR image among its DICOM files", "Give the folder of an MR data set"
        )
    rule = "fits --series-glob" if options.series_glob else "is recognised as contrast-enhanced T1"
    return DataError(
        "source folder",
        f"none of {len(tree.series)} MR series in {studies} studies {rule}",
        "Name the wanted series by --series-glob, a pattern of the series description such as '*T1*POST*'",
    )


def _notes(tree: Tree, studies: int, without: int) -> list[str]:
    notes = [f"{len(tree.series)} MR series in {studies} studies and {len(tree.structures)} structure sets were found."]
    if without:
        notes.append(f"{without} studies hold no contrast-enhanced T1 series and were left out.")
    if tree.strangers:
        notes.append(f"{tree.strangers} files are not readable DICOM and were left aside.")
    if tree.doubles:
        notes.append(f"{tree.doubles} images were there a second time (same instance); one copy was used.")
    return notes
