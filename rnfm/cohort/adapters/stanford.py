"""Stanford BrainMetShare: brain metastases, one visit a patient; the test part has no masks.

    train/Mets_005/{bravo,t1_pre,t1_gd,flair,seg}.nii.gz
    test/Mets_010/{bravo,t1_pre,t1_gd,flair}.nii.gz

Two T1-weighted series are post-contrast: `t1_gd` (spin echo) and `bravo` (gradient echo [from public code]). `t1_gd` is
taken, because its name states the contrast; for the other give `--layout folder --image-glob '**/bravo.nii.gz'`.
"""

from __future__ import annotations

from rnfm.cohort.cases import Mask, Source
from rnfm.cohort.layout import Layout

LAYOUT = Layout(
    name="stanford",
    dataset="brainmetshare",
    tree="{train,test}/Mets_XXX/t1_gd.nii[.gz]",
    sources=(Source(r"(?P<case>(?:(?:train|test)/)?(?P<patient>Mets_\w+))/t1_gd", (Mask(at="{top}{case}/seg"),)),),
    hint=r"(?:^|/)Mets_\w+/(?:bravo|t1_pre|flair|seg)$",
    notes=("The image is t1_gd; bravo.nii.gz, a second post-contrast T1 of the same visit, is left out.",),
)
NAME, matches, namespace, read = LAYOUT.name, LAYOUT.matches, LAYOUT.namespace, LAYOUT.read
