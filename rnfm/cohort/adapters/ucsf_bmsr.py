"""UCSF-BMSR: brain metastases before stereotactic radiosurgery, skull-stripped, native geometry.

    UCSF_BrainMetastases_v1.3/UCSF_BrainMetastases_TRAIN/100101A/100101A_{T1pre,T1post,FLAIR,T2Synth,subtraction,seg,BraTS-seg}.nii.gz

A case is patient 100101 and visit A. `seg` is binary and made by hand, so it is preferred; `BraTS-seg` is the fallback.
"""

from __future__ import annotations

from rnfm.cohort.cases import Labels, Mask, Source
from rnfm.cohort.layout import Layout

LAYOUT = Layout(
    name="ucsf_bmsr",
    dataset="ucsf-bmsr",
    tree="ppppppV/ppppppV_T1post.nii[.gz] (V: letter of the visit)",
    sources=(
        Source(
            r"(?P<case>(?P<patient>\d{6})(?P<visit>[A-Z]))/(?P=case)_T1post",
            (
                Mask(at="{top}{case}/{case}_seg", origin="seg"),
                Mask(
                    at="{top}{case}/{case}_BraTS-seg",
                    labels=Labels(lesion={3: "enhancing tumour"}, other={2: "oedema"}),
                    origin="BraTS-seg",
                ),
            ),
        ),
    ),
    hint=r"(?:^|/)(?:UCSF_BrainMetastases_|\d{6}[A-Z]/\d{6}[A-Z]_)",
    notes=("Scans are skull-stripped, in native geometry.",),
)
NAME, matches, namespace, read = LAYOUT.name, LAYOUT.matches, LAYOUT.namespace, LAYOUT.read
