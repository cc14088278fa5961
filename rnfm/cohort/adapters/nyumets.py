"""NYUMets: brain metastases treated with Gamma Knife, many studies a patient.

    imaging/patientId/<p>/studyId/<s>/{T1,CT1,T2,FLAIR,RTSTRUCT_MRI,RTSTRUCT_segmentation}.nii.gz

CT1 is a post-contrast spin echo. RTSTRUCT_MRI is the post-contrast gradient echo on which the contours were drawn [from
public code], so where a study has contours their image is RTSTRUCT_MRI, and elsewhere CT1. Tumour is 1 or 4; other
values are other structures. Study ids are taken to rise with time [inferred]; the data set's own dates are not read.
"""

from __future__ import annotations

from rnfm.cohort.cases import Labels, Mask, Source
from rnfm.cohort.layout import Layout

STUDY = r"(?P<case>patientId/(?P<patient>[^/]+)/studyId/(?P<visit>[^/]+))"
CONTOURS = Mask(at="{top}{case}/RTSTRUCT_segmentation", labels=Labels(lesion={1: "tumour", 4: "tumour"}))

LAYOUT = Layout(
    name="nyumets",
    dataset="nyumets",
    tree="patientId/<p>/studyId/<s>/{RTSTRUCT_MRI,CT1}.nii[.gz]",
    sources=(Source(f"{STUDY}/RTSTRUCT_MRI", (CONTOURS,)), Source(f"{STUDY}/CT1", (CONTOURS,))),
    hint=r"(?:^|/)patientId/[^/]+/studyId/",
    notes=("Visits are in the order of their study ids [inferred].",),
)
NAME, matches, namespace, read = LAYOUT.name, LAYOUT.matches, LAYOUT.namespace, LAYOUT.read
