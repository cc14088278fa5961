"""From records with original ids to coded rows and ledgers. Nothing that leaves this module holds an identity.

    Reading + headers  --codes-->  rows of cohort.parquet, quarantine ledger, findings ledger, courses of the lesions

Rows are ordered by patient code, then in time, then by lesion. Codes are random, so the order of patients tells nothing
about names or dates; where no day is known, the order of a patient's rows is still that of his time points.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rnfm.cohort import clinical, courses
from rnfm.cohort.courses import Course
from rnfm.cohort.headers import Inspected
from rnfm.cohort.keys import KeyTable
from rnfm.cohort.records import ClinicalValue, Finding, LesionRecord, ScanRecord
from rnfm.cohort.timepoint import RULES
from rnfm.core.ledger import Ledger, Reason

STAGE = "index"
MONTHS = "months_since_srs"


@dataclass
class Coded:
    """All that `index` publishes, by code only. `courses` also hold the necrosis times, which reach no artefact."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    quarantine: Ledger = field(default_factory=Ledger)
    findings: Ledger = field(default_factory=Ledger)
    courses: list[Course] = field(default_factory=list)


def build(
    inspected: Sequence[Inspected],
    findings: Sequence[Finding],
    keys: KeyTable,
    *,
    dataset: str,
    site: str | None,
    rule: str,
) -> Coded:
    """Code every scan (refused ones too, so that `whois` can name them), and make the rows of the usable ones."""
    coded = Coded()
    scan_codes = {item.scan.scan: _scan_code(keys, dataset, item.scan) for item in inspected}
    with_months = RULES[rule].label_free
    for item in inspected:
        patient, scan = keys.code(dataset, "patient", item.scan.patient), scan_codes[item.scan.scan]
        if item.fault is not None:
            coded.quarantine.add(scan, STAGE, item.fault.reason, item.fault.detail)
        elif item.header is not None:
            for lesion in item.scan.lesions or (None,):
                row = _row(item, lesion, patient, scan, dataset=dataset, site=_site(item, site, dataset))
                coded.rows.append(row | _clinical(item.scan, lesion, row["months_since_srs"] if with_months else None))
    orders = {scan_codes[item.scan.scan]: item.scan.order for item in inspected}
    _follow(coded, inspected, lambda item: keys.code(dataset, "patient", item.scan.patient), orders)
    courses.classify(coded.courses, rule)
    found = [*findings, *(finding for item in inspected if item.fault is None for finding in item.findings)]
    for finding in found:
        coded.findings.add(_subject(finding, keys, dataset, scan_codes), STAGE, finding.reason, finding.detail)
    for ledger in (coded.quarantine, coded.findings):
        ledger.entries.sort(key=lambda entry: (entry.code, entry.reason, entry.detail))
    coded.rows.sort(key=lambda row: (row["patient"], *courses.time_of(row, orders), row["lesion"] or ""))
    return coded


def _site(item: Inspected, site: str | None, dataset: str) -> str:
    """The user's word, else the source's, else the data set itself."""
    return site or item.scan.site or dataset


def _scan_code(keys: KeyTable, dataset: str, scan: ScanRecord) -> str:
    keys.code(dataset, "patient", scan.patient)
    if scan.image is None:
        return keys.code(dataset, "scan", scan.scan)
    return keys.set_files(dataset, scan.scan, image=scan.image, mask=scan.mask)


def _row(
    item: Inspected, lesion: LesionRecord | None, patient: str, scan: str, *, dataset: str, site: str
) -> dict[str, Any]:
    assert item.header is not None
    return {
        "patient": patient,
        "scan": scan,
        "lesion": f"{patient}-L{lesion.number}" if lesion else None,
        "dataset": dataset,
        "site": site,
        "modality": item.scan.modality,
        "day": item.scan.day,
        "timepoint": None,
        "months_since_srs": lesion.months_at(item.scan.day) if lesion else None,
        "has_mask": item.scan.mask is not None,
        "mask_values": list(lesion.mask_values) if lesion else [],
        "volume_ml": lesion.volume_ml if lesion else None,
        "classified": False,
        "label": lesion.label if lesion else None,
        "label_source": lesion.label_source if lesion else None,
        "vendor": item.scan.vendor,
        "field_strength_t": item.scan.field_strength_t,
        "shape_vox": list(item.header.shape_vox),
        "spacing_mm": list(item.header.spacing_mm),
    }


def _clinical(scan: ScanRecord, lesion: LesionRecord | None, months: float | None) -> dict[str, ClinicalValue]:
    """Clinical columns. `months` is None where the rule looks at the necrosis date: the time would tell the label."""
    known = lesion.clinical if lesion else scan.clinical
    values = {name: clinical.limited(name, [value])[0] for name, value in known.items() if name != MONTHS}
    if months is not None:
        values[MONTHS] = months
    return {f"clinical_{name}": value for name, value in values.items()}


def _follow(
    coded: Coded, inspected: Sequence[Inspected], patient_of: Callable[[Inspected], str], orders: Mapping[str, int]
) -> None:
    """Link time points and collect the courses; lesions that cannot be followed, and days with two scans, are findings."""
    usable = {row["lesion"] for row in coded.rows}
    refused, rn_months = set(), {}
    for item in inspected:
        for lesion in item.scan.lesions:
            code = f"{patient_of(item)}-L{lesion.number}"
            if lesion.rn_months is not None:
                rn_months[code] = lesion.rn_months
            if code not in usable:
                refused.add(code)
    for patient, days in courses.link(coded.rows, orders).items():
        detail = (
            f"on {len(days)} day{'s' if len(days) > 1 else ''} there is more than one scan; they share a time point"
        )
        coded.findings.add(patient, STAGE, Reason.SAME_DAY, detail)
    coded.courses, maskless = courses.courses(coded.rows, rn_months, orders)
    for codes, detail in ((maskless, "no scan of this lesion has a mask"), (refused, "every scan of it was refused")):
        for code in sorted(codes):
            coded.findings.add(code, STAGE, Reason.LESION_MISSING, detail)


def _subject(finding: Finding, keys: KeyTable, dataset: str, scan_codes: Mapping[str, str]) -> str:
    if finding.scan is not None:
        return scan_codes[finding.scan]
    patient = keys.code(dataset, "patient", finding.patient)
    return patient if finding.lesion is None else f"{patient}-L{finding.lesion}"
