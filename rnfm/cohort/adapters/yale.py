"""Yale-Brain-Mets-Longitudinal: brain metastases over years, 11,892 studies of 1,430 patients, no masks.

    <patient>/<date>/*_{PRE,POST,T2,FLAIR}.nii.gz

The date folder is read as year, month, day with or without - or _ between them [inferred]; what follows it, such as a
time, tells two studies of one day apart. Days since the patient's first scan are all that is kept of it.
"""

from __future__ import annotations

from datetime import date

from rnfm.cohort.cases import Groups, Source
from rnfm.cohort.layout import Layout


def day(groups: Groups) -> int | None:
    """The date as a count of days; None for one that no calendar has."""
    try:
        return date(int(groups["year"]), int(groups["month"]), int(groups["monthday"])).toordinal()
    except ValueError:
        return None


LAYOUT = Layout(
    name="yale",
    dataset="yale-brain-mets",
    tree="<patient>/<date>/*_POST.nii[.gz]",
    sources=(
        Source(
            r"(?P<case>(?P<patient>[^/]+)/(?P<visit>(?P<year>[12]\d{3})[-_]?(?P<month>\d\d)[-_]?(?P<monthday>\d\d)"
            r"(?:[-_ T][^/]*)?))/[^/]+_POST"
        ),
    ),
    hint=r"/[12]\d{3}[-_]?\d\d[-_]?\d\d[^/]*/[^/]+_(?:PRE|T2|FLAIR)$",
    day=day,
    certain=0.8,  # nothing in these names says Yale
    notes=("The data set has no masks.",),
)
NAME, matches, namespace, read = LAYOUT.name, LAYOUT.matches, LAYOUT.namespace, LAYOUT.read
