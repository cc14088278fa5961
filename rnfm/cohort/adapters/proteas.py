"""PROTEAS: brain metastases before and after stereotactic radiotherapy, 40 patients in 45 folders.

    P01/BraTS/baseline/t1c.nii.gz                             also fu1, fu2, ...     [names from public code]
    P01/tumor segmentation/P01_tumor_mask_baseline.nii.gz     or tumor_segmentation/
    P03a/..., P03b/...                                        two courses of one patient: P03

The dose (RTDOSE) and the clinical workbook are not read.
"""

from __future__ import annotations

from rnfm.cohort.adapters.brats_mets import ENHANCING, NECROTIC, OEDEMA
from rnfm.cohort.cases import Labels, Mask, Source
from rnfm.cohort.layout import Layout

LABELS = Labels(lesion={1: NECROTIC, 3: ENHANCING}, other={2: OEDEMA})

LAYOUT = Layout(
    name="proteas",
    dataset="proteas",
    tree="Ppp[ab]/BraTS/{baseline,fuN}/t1c.nii[.gz]",
    sources=(
        Source(
            r"(?P<case>(?P<folder>(?P<patient>P\d+)[ab]?)/BraTS/(?P<visit>baseline|fu\d+))/t1c",
            (
                Mask(at="{top}{folder}/tumor segmentation/{folder}_tumor_mask_{visit}", labels=LABELS),
                Mask(at="{top}{folder}/tumor_segmentation/{folder}_tumor_mask_{visit}", labels=LABELS),
            ),
        ),
    ),
    hint=r"(?:^|/)P\d+[ab]?/(?:BraTS|tumor[ _]segmentation)/",
    notes=("Folders that differ only in a or b are one patient.",),
)
NAME, matches, namespace, read = LAYOUT.name, LAYOUT.matches, LAYOUT.namespace, LAYOUT.read
