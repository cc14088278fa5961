"""BraTS-METS 2023 to 2025: brain metastases, skull-stripped, several centres.

    BraTS-MET-00002-000/BraTS-MET-00002-000-{t1n,t1c,t2w,t2f,seg}.nii.gz           at the top or at any depth, such as
    UCSD - Training/BraTS-MET-00641-000/BraTS-MET-00641-000-t1c.nii.gz             in 2025

ppppp-ttt is patient and time point. Values 6 and 8 occur in a few masks; they mean nothing and count as nothing.
Pretreat-MetsToBrain-Masks has the same names and ids: it is read by its own adapter, under the same namespace, and what
lies below a folder of its name is left to it.
"""

from __future__ import annotations

import re

from rnfm.cohort.cases import Labels, Mask, Source
from rnfm.cohort.layout import Layout

CASE = r"(?P<case>(?P<patient>BraTS-MET-\d{5})-(?P<visit>\d{3}))"
ELSEWHERE = "(?!.*Pretreat-MetsToBrain-Masks)"
# One namespace for both data sets: a patient of either has one code under one key table.
DATASET = "brats-met"
SAME_IDS = (
    "BraTS-METS and Pretreat-MetsToBrain-Masks share their patient ids (namespace brats-met): under one key table, "
    "a patient of both has one code."
)
NECROTIC, OEDEMA, ENHANCING, CAVITY = "necrotic core", "oedema", "enhancing tumour", "resection cavity"
LABELS = Labels(lesion={1: NECROTIC, 3: ENHANCING}, other={2: OEDEMA, 4: CAVITY})


def patient_of(scan: str) -> str | None:
    """The patient in a scan id of BraTS-METS or Pretreat-MetsToBrain-Masks (`rnfm.cohort.namesakes`)."""
    match = re.search(CASE, scan)
    return match["patient"] if match else None


LAYOUT = Layout(
    name="brats_mets",
    dataset=DATASET,
    tree="BraTS-MET-ppppp-ttt/BraTS-MET-ppppp-ttt-t1c.nii[.gz]",
    sources=(
        Source(
            rf"{CASE}/(?P=case)-t1c",
            (Mask(at="{top}{case}/{case}-seg", labels=LABELS),),
            top=rf"{ELSEWHERE}(?:.*/)?",
        ),
    ),
    hint=rf"^{ELSEWHERE}(?:.*/)?BraTS-MET-\d{{5}}-\d{{3}}/",
    notes=(SAME_IDS, "Scans are skull-stripped."),
)
NAME, matches, namespace, read = LAYOUT.name, LAYOUT.matches, LAYOUT.namespace, LAYOUT.read
