"""BraTS-GLI: gliomas of the BraTS challenges, skull-stripped, on a common atlas.

    BraTS-GLI-00005-100/BraTS-GLI-00005-100-{t1n,t1c,t2w,t2f,seg}.nii.gz     2023 and later: patient, time point
    BraTS2021_00005/BraTS2021_00005_{t1,t1ce,t2,flair,seg}.nii.gz            2021: one scan a patient

Enhancing tumour is 3 in the later form and 4 in that of 2021. Other challenges use the same form under other names
(`<case>/<case>-t1c.nii.gz`): such a tree is not taken by itself, but `--layout brats_gli` reads it, and takes a
trailing -ddd as the time point [inferred].
"""

from __future__ import annotations

from rnfm.cohort.adapters.brats_mets import ENHANCING, NECROTIC, OEDEMA
from rnfm.cohort.cases import Labels, Mask, Source
from rnfm.cohort.layout import Layout

LATER = Mask(
    at="{top}{case}/{case}-seg",
    labels=Labels(lesion={1: NECROTIC, 3: ENHANCING}, other={2: OEDEMA}),
)
OF_2021 = Mask(
    at="{top}{case}/{case}_seg",
    labels=Labels(lesion={1: NECROTIC, 4: ENHANCING}, other={2: OEDEMA}),
)

LAYOUT = Layout(
    name="brats_gli",
    dataset="brats-gli",
    tree="BraTS-GLI-ppppp-ttt/BraTS-GLI-ppppp-ttt-t1c.nii[.gz] or BraTS2021_ppppp/BraTS2021_ppppp_t1ce.nii[.gz]",
    sources=(
        Source(r"(?P<case>(?P<patient>BraTS-GLI-\d{5})-(?P<visit>\d{3}))/(?P=case)-t1c", (LATER,)),
        Source(r"(?P<case>(?P<patient>BraTS2021_\d{5}))/(?P=case)_t1ce", (OF_2021,)),
    ),
    alike=(
        Source(r"(?P<case>(?P<patient>[^/]+?)(?:-(?P<visit>\d{3}))?)/(?P=case)-t1c", (LATER,)),
        Source(r"(?P<case>(?P<patient>[^/]+))/(?P=case)_t1ce", (OF_2021,)),
    ),
    hint=r"(?:^|/)BraTS(?:-GLI-|2021_)\d{5}",
    notes=(
        "Scans are skull-stripped and on a common atlas (1 mm).",
        "BraTS 2021 holds scans of UCSF-PDGM and UPENN-GBM under other ids: `rnfm data overlap` finds them.",
    ),
)
NAME, matches, namespace, read = LAYOUT.name, LAYOUT.matches, LAYOUT.namespace, LAYOUT.read
