"""UPENN-GBM: glioblastoma, 671 scans, skull-stripped, 240 x 240 x 155 voxels of 1 mm.

    NIfTI-files/images_structural/UPENN-GBM-00001_11/UPENN-GBM-00001_11_{T1,T1GD,T2,FLAIR}.nii.gz
    NIfTI-files/images_segm/UPENN-GBM-00001_11_segm.nii.gz                              by hand, 147 scans
    NIfTI-files/automated_segm/UPENN-GBM-00001_11_automated_approx_segm.nii.gz          else by a program
    UPENN-GBM_clinical_info_v2.1.csv                                                    optional

_11 is the scan before surgery, _21 the one of a later operation; the table gives the days between them. Of the table only
age, sex and that time are read: survival, extent of resection and molecular findings are known after the scan.
"""

from __future__ import annotations

from pathlib import Path

from rnfm.cohort import sidecar
from rnfm.cohort.adapters.brats_mets import ENHANCING, NECROTIC, OEDEMA
from rnfm.cohort.cases import Groups, Labels, Mask, Source
from rnfm.cohort.layout import Layout, People, Person

LABELS = Labels(lesion={1: NECROTIC, 4: ENHANCING}, other={2: OEDEMA})
TABLE = r"UPENN-GBM_clinical_info.*\.csv"


def people(root: Path) -> People:
    """Age, sex and days since the first scan, by scan id."""
    rows = sidecar.rows(root, TABLE, key="ID")
    if rows is None:
        return People(
            notes=("There is no UPENN-GBM_clinical_info*.csv in the source folder: no age, no sex, no days.",)
        )
    known = sidecar.facts(rows, {"age": "Age_at_scan_years", "sex": "Gender"})
    days = [sidecar.number(row, "Time_since_baseline_preop") for row in rows]
    found = {
        row["ID"]: Person(facts, None if day is None else round(day))
        for row, facts, day in zip(rows, known, days, strict=True)
    }

    def of(groups: Groups) -> Person:
        return found.get(groups["case"], Person())

    return People(of, ("Age, sex and days are from the clinical CSV; its other columns are not read.",))


LAYOUT = Layout(
    name="upenn_gbm",
    dataset="upenn-gbm",
    tree="images_structural/UPENN-GBM-ppppp_vv/UPENN-GBM-ppppp_vv_T1GD.nii[.gz]",
    sources=(
        Source(
            r"images_structural/(?P<case>(?P<patient>UPENN-GBM-\d{5})_(?P<visit>\d\d))/(?P=case)_T1GD",
            (
                Mask(at="{top}images_segm/{case}_segm", labels=LABELS, origin="manual"),
                Mask(at="{top}automated_segm/{case}_automated_approx_segm", labels=LABELS, origin="automated"),
            ),
        ),
    ),
    hint=r"(?:^|/)UPENN-GBM-\d{5}_\d\d",
    people=people,
    notes=("Scans are skull-stripped and on a common grid (1 mm, 240 x 240 x 155 voxels).",),
)
NAME, matches, namespace, read = LAYOUT.name, LAYOUT.matches, LAYOUT.namespace, LAYOUT.read
