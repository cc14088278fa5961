"""Patients who come in through two data sets that share their ids, such as BraTS-METS and Pretreat-MetsToBrain-Masks.

Under one key table they have one code anyway, because such data sets share a namespace. Here it is said: a finding for each
patient of whom the key table also holds scans that are not in this source. An adapter of such a data set has, beside the
functions of every adapter, `patient_of(scan) -> patient | None`: the patient in a scan id of any data set of its namespace.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from rnfm.cohort.keys import KeyTable
from rnfm.cohort.records import Adapter, Finding, ScanRecord
from rnfm.core.ledger import Reason


def findings(adapter: Adapter, scans: Iterable[ScanRecord], keys: KeyTable, dataset: str) -> list[Finding]:
    """One finding a patient who is known from elsewhere; none for data sets whose ids are their own."""
    patient_of = getattr(adapter, "patient_of", None)
    if patient_of is None:
        return []
    here = {scan.scan: scan.patient for scan in scans}
    others = [row.original for row in keys.scans().values() if row.namespace == dataset and row.original not in here]
    known = Counter(patient_of(original) for original in others)
    return [
        Finding(
            patient=patient,
            reason=Reason.SAME_PATIENT,
            detail=f"scans of this patient came in through another data set of the same ids as well: {known[patient]}",
        )
        for patient in sorted(set(here.values()))
        if known[patient]
    ]
