"""Pretreat-MetsToBrain-Masks: 200 untreated patients of BraTS-METS with refined masks, on the SRI24 atlas.

    Pretreat-MetsToBrain-Masks/BraTS-MET-00002-000/BraTS-MET-00002-000-{t1n,t1c,t2w,t2f,seg}.nii.gz

Only the folder's name tells it from BraTS-METS; after renaming it, give --layout pretreat. Its scans are other files than
those of the same ids in BraTS-METS, so scans have codes of their own and patients have not (`brats_mets`).
"""

from __future__ import annotations

from rnfm.cohort.adapters.brats_mets import CASE, DATASET, ENHANCING, NECROTIC, OEDEMA, SAME_IDS, patient_of
from rnfm.cohort.cases import Labels, Mask, Source
from rnfm.cohort.layout import Layout

MASK = Mask(
    at="{top}{case}/{case}-seg",
    labels=Labels(lesion={1: NECROTIC, 3: ENHANCING}, other={2: OEDEMA}),
)

LAYOUT = Layout(
    name="pretreat",
    dataset=DATASET,
    tree="Pretreat-MetsToBrain-Masks/BraTS-MET-ppppp-ttt/BraTS-MET-ppppp-ttt-t1c.nii[.gz]",
    sources=(Source(rf"{CASE}/(?P=case)-t1c", (MASK,), top=".*Pretreat-MetsToBrain-Masks[^/]*/(?:.*/)?"),),
    alike=(Source(rf"{CASE}/(?P=case)-t1c", (MASK,)),),
    hint="Pretreat-MetsToBrain-Masks[^/]*/",
    prefix="pretreat/",
    notes=(SAME_IDS, "Scans are skull-stripped and on the SRI24 atlas (1 mm, 240 x 240 x 155 voxels)."),
)
NAME, matches, namespace, read = LAYOUT.name, LAYOUT.matches, LAYOUT.namespace, LAYOUT.read

__all__ = ["LAYOUT", "NAME", "matches", "namespace", "patient_of", "read"]
