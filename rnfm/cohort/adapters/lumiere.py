"""LUMIERE: glioblastoma followed after surgery, 91 patients, weeks as visits; all masks made by programs.

    Imaging/Patient-002/week-000-1/CT1.nii.gz                                                       native T1CE
    Imaging/Patient-002/week-000-1/DeepBraTumIA-segmentation/atlas/skull_strip/ct1_skull_strip.nii.gz   T1CE on the atlas
    Imaging/Patient-002/week-000-1/DeepBraTumIA-segmentation/atlas/segmentation/seg_mask.nii.gz         its mask
    Imaging/Patient-002/week-000-1/DeepBraTumIA-segmentation/native/segmentation/ct1_seg_mask.nii.gz    mask of CT1

A mask of the atlas fits the image of the atlas and not CT1, so the two are taken together; a week without them is taken
as native CT1. week-000-1 and week-000-2 are two visits of one week: both are day 0, in that order.
Values [from public code that compared them with the volumes shipped beside 599 masks]: 1 enhancing, 2 necrotic, 3 oedema.
"""

from __future__ import annotations

from rnfm.cohort.adapters.brats_mets import ENHANCING, NECROTIC, OEDEMA
from rnfm.cohort.cases import Groups, Labels, Mask, Source
from rnfm.cohort.layout import Layout

WEEK = r"(?P<case>(?P<patient>Patient-\d{3})/week-(?P<visit>\d{3})(?:-\d+)?)"
PROGRAM = "{top}{case}/DeepBraTumIA-segmentation"
LABELS = Labels(lesion={1: ENHANCING, 2: NECROTIC}, other={3: OEDEMA})


def day(groups: Groups) -> int | None:
    """Weeks are all that is known of time."""
    return 7 * int(groups["visit"])


LAYOUT = Layout(
    name="lumiere",
    dataset="lumiere",
    tree="Patient-ppp/week-www[-n]/{DeepBraTumIA-segmentation/atlas/skull_strip/ct1_skull_strip,CT1}.nii[.gz]",
    sources=(
        Source(
            f"{WEEK}/DeepBraTumIA-segmentation/atlas/skull_strip/ct1_skull_strip",
            (Mask(at=f"{PROGRAM}/atlas/segmentation/seg_mask", labels=LABELS, origin="atlas"),),
        ),
        Source(
            f"{WEEK}/CT1",
            (Mask(at=f"{PROGRAM}/native/segmentation/ct1_seg_mask", labels=LABELS, origin="native"),),
        ),
    ),
    hint=r"(?:^|/)Patient-\d{3}/week-\d{3}",
    day=day,
    notes=("Days are whole weeks x 7.", "All masks are those of the program DeepBraTumIA; nobody corrected them."),
)
NAME, matches, namespace, read = LAYOUT.name, LAYOUT.matches, LAYOUT.namespace, LAYOUT.read
