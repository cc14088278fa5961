"""Which scan of a lesion is classified: one row a lesion, chosen by a stated rule.

A rule looks at times only, never at voxels. It may use the day on which necrosis was recorded, because the question is
asked when the doubt arises; that makes the time since radiosurgery of the chosen scan depend on the label, and the
summary says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Choice(NamedTuple):
    """Position of the chosen scan, and the branch of the rule that chose it."""

    position: int
    branch: str


BEFORE_RN = "last after radiosurgery, not later than the necrosis date"
AFTER_RN = "first after radiosurgery and the necrosis date"
AFTER_SRS = "last after radiosurgery, no necrosis recorded"
LAST = "last of all, since none is known to follow radiosurgery"


def last_post_srs(months: Sequence[float | None], rn_months: float | None) -> Choice:
    """The last post-SRS scan not later than the necrosis date, else the first after it, else the last scan.

    months: time since radiosurgery of each scan, in order of time; None where unknown. rn_months: time of necrosis on
    the same axis; None where none was recorded. A scan on the day of radiosurgery is its planning scan, not a follow-up.

    >>> last_post_srs([-1.0, 3.0, 6.0, 9.0], 7.0).position
    2
    """
    if not months:
        raise ValueError("a lesion without scans has none to classify")
    post = [(index, month) for index, month in enumerate(months) if month is not None and month > 0]
    if not post:
        return Choice(len(months) - 1, LAST)
    if rn_months is None:
        return Choice(post[-1][0], AFTER_SRS)
    before = [index for index, month in post if month <= rn_months]
    return Choice(before[-1], BEFORE_RN) if before else Choice(post[0][0], AFTER_RN)


RULES = {"last_post_srs": last_post_srs}
