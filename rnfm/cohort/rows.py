"""From records with original ids to coded rows and ledgers. Nothing that leaves this module holds an identity.

    Reading + headers  --codes-->  rows of cohort.parquet, quarantine ledger, findings ledger, branches of the rule

Rows are ordered by patient code, then in time, then by lesion. Codes are random, so the order of patients tells nothing
about names or dates; where no day is known, the order of a patient's rows is still that of his time points.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rnfm.cohort import clinical
from rnfm.cohort.headers import Inspected
from rnfm.cohort.keys import KeyTable
from rnfm.cohort.records import ClinicalValue, Finding, LesionRecord, ScanRecord
from rnfm.cohort.timepoint import RULES
from rnfm.core.ledger import Ledger, Reason

STAGE = "index"


@dataclass
class Coded:
    """All that `index` publishes, by code only."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    quarantine: Ledger = field(default_factory=Ledger)
    findings: Ledger = field(default_factory=Ledger)
    branches: Counter[str] = field(default_factory=Counter)


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
    for item in inspected:
        patient, scan = keys.code(dataset, "patient", item.scan.patient), scan_codes[item.scan.scan]
        if item.fault is not None:
            coded.quarantine.add(scan, STAGE, item.fault.reason, item.fault.detail)
        elif item.header is not None:
            for lesion in item.scan.lesions or (None,):
                coded.rows.append(_row(item, lesion, patient, scan, dataset=dataset, site=_site(item, site, dataset)))
    orders = {scan_codes[item.scan.scan]: item.scan.order for item in inspected}
    rn_months = _rn_months(inspected, scan_codes)
    _classify(coded, orders, rn_months, RULES[rule])
    found = [*findings, *(finding for item in inspected if item.fault is None for finding in item.findings)]
    for finding in found:
        coded.findings.add(_subject(finding, keys, dataset, scan_codes), STAGE, finding.reason, finding.detail)
    for ledger in (coded.quarantine, coded.findings):
        ledger.entries.sort(key=lambda entry: (entry.code, entry.reason, entry.detail))
    coded.rows.sort(key=lambda row: (row["patient"], *_time(row, orders), row["lesion"] or ""))
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
    months = lesion.months_at(item.scan.day) if lesion else None
    return {
        "patient": patient,
        "scan": scan,
        "lesion": f"{patient}-L{lesion.number}" if lesion else None,
        "dataset": dataset,
        "site": site,
        "day": item.scan.day,
        "months_since_srs": months,
        "has_mask": item.scan.mask is not None,
        "mask_values": list(lesion.mask_values) if lesion else [],
        "classified": False,
        "label": lesion.label if lesion else None,
        "label_source": lesion.label_source if lesion else None,
        "vendor": item.scan.vendor,
        "field_strength_t": item.scan.field_strength_t,
        "shape_vox": list(item.header.shape_vox),
        "spacing_mm": list(item.header.spacing_mm),
        **_clinical(lesion.clinical if lesion else item.scan.clinical, months),
    }


def _clinical(known: Mapping[str, ClinicalValue], months: float | None) -> dict[str, ClinicalValue]:
    values = {name: clinical.limited(name, [value])[0] for name, value in known.items()}
    if months is not None:
        values["months_since_srs"] = months
    return {f"clinical_{name}": value for name, value in values.items()}


def _rn_months(inspected: Sequence[Inspected], scan_codes: Mapping[str, str]) -> dict[tuple[str, int], float | None]:
    return {
        (scan_codes[item.scan.scan], lesion.number): lesion.rn_months
        for item in inspected
        for lesion in item.scan.lesions
    }


def _classify(
    coded: Coded,
    orders: Mapping[str, int],
    rn_months: Mapping[tuple[str, int], float | None],
    rule: Callable[[Sequence[float | None], float | None], Any],
) -> None:
    """Mark one row a lesion, among those with a mask; a lesion without any is a finding."""
    lesions: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in coded.rows:
        if row["lesion"] is not None:
            lesions[row["lesion"]].append(row)
    for code, rows in lesions.items():
        masked = [row for row in rows if row["has_mask"]]
        if not masked:
            coded.findings.add(code, STAGE, Reason.LESION_MISSING, "no scan of this lesion has a mask")
            continue
        masked.sort(key=lambda row: _time(row, orders))
        number = int(code.rsplit("-L", 1)[1])
        choice = rule([row["months_since_srs"] for row in masked], rn_months[masked[0]["scan"], number])
        masked[choice.position]["classified"] = True
        coded.branches[choice.branch] += 1


def _subject(finding: Finding, keys: KeyTable, dataset: str, scan_codes: Mapping[str, str]) -> str:
    if finding.scan is not None:
        return scan_codes[finding.scan]
    patient = keys.code(dataset, "patient", finding.patient)
    return patient if finding.lesion is None else f"{patient}-L{finding.lesion}"


def _time(row: Mapping[str, Any], orders: Mapping[str, int]) -> tuple[int, int]:
    return row["day"] if row["day"] is not None else 0, orders[row["scan"]]
