"""UCSF-PDGM: preoperative diffuse gliomas, skull-stripped, 240 x 240 x 155 voxels of 1 mm.

    UCSF-PDGM-v5/UCSF-PDGM-0004_nifti/UCSF-PDGM-0004_{T1c,tumor_segmentation, ...}.nii.gz
    UCSF-PDGM-v5/UCSF-PDGM-0391_FU016d_nifti/UCSF-PDGM-0391_FU016d_T1c.nii.gz        the same patient 16 days later
    UCSF-PDGM-metadata_v5.csv                                                        optional; ID is UCSF-PDGM-004

Folder ids have four digits, the table's have three (and four for follow-ups): both are read as numbers. Of the table only
age and sex are read: grade, diagnosis, molecular findings, survival and extent of resection are known after the scan.
"""

from __future__ import annotations

import re
from pathlib import Path

from rnfm.cohort import sidecar
from rnfm.cohort.adapters.brats_mets import ENHANCING, NECROTIC, OEDEMA
from rnfm.cohort.cases import Groups, Labels, Mask, Source
from rnfm.cohort.layout import Layout, People, Person

TABLE = r"UCSF-PDGM-metadata.*\.csv"
_ID = re.compile(r"UCSF-PDGM-0*(\d+)")


def day(groups: Groups) -> int | None:
    """Days after the patient's first scan, as the folder's name tells them."""
    return int(groups["visit"] or 0)


def people(root: Path) -> People:
    """Age and sex by the number in the id; the first row of a patient counts, for follow-ups too."""
    rows = sidecar.rows(root, TABLE, key="ID")
    if rows is None:
        return People(notes=("There is no UCSF-PDGM-metadata*.csv in the source folder: no age, no sex.",))
    found: dict[str, Person] = {}
    for row, facts in zip(rows, sidecar.facts(rows, {"age": "Age at MRI", "sex": "Sex"}), strict=True):
        match = _ID.match(row["ID"].strip())
        if match:
            found.setdefault(match[1], Person(facts))

    def of(groups: Groups) -> Person:
        return found.get(groups["number"], Person())

    return People(of, ("Age and sex are from the metadata CSV; its other columns are not read.",))


LAYOUT = Layout(
    name="ucsf_pdgm",
    dataset="ucsf-pdgm",
    tree="UCSF-PDGM-pppp[_FUnnnd]_nifti/UCSF-PDGM-pppp[_FUnnnd]_T1c.nii[.gz]",
    sources=(
        Source(
            # A few releases give files three digits inside folders of four.
            r"(?P<case>(?P<patient>UCSF-PDGM-0*(?P<number>\d+))(?:_FU(?P<visit>\d+)d)?)_nifti"
            r"/(?P<file>UCSF-PDGM-0*(?P=number)(?:_FU\d+d)?)_T1c",
            (
                Mask(
                    at="{top}{case}_nifti/{file}_tumor_segmentation",
                    labels=Labels(lesion={1: NECROTIC, 4: ENHANCING}, other={2: OEDEMA}),
                ),
            ),
        ),
    ),
    hint=r"(?:^|/)UCSF-PDGM-\d+(?:_FU\d+d)?_nifti/",
    day=day,
    people=people,
    notes=("Scans are skull-stripped and on a common grid (1 mm, 240 x 240 x 155 voxels).",),
)
NAME, matches, namespace, read = LAYOUT.name, LAYOUT.matches, LAYOUT.namespace, LAYOUT.read
