"""Which scan of a lesion is classified: one row a lesion, chosen by a named rule. Rules are pure functions of a `Series`.

    months since SRS    -1.2     2.9     5.8     9.1        (0 is radiosurgery; 'post-SRS' means later than 0)
    volume [ml]          2.0     1.5     1.9     2.6
    grown                        -       yes     yes        >= 1.2 x the smallest volume since the last scan before SRS (1.5)
    RN date                                  ^ 7.0          known for lesions with recorded necrosis only

The question is asked when the doubt arises. For necrosis that is shortly before its date; lesions without necrosis have
no such date, and their doubt is the first growth. A rule that looks at the date makes the time of the chosen scan depend
on the label: `Rule.label_free` says which rules do not, `choose` takes the date away from those, and under the others the
time since radiosurgery is no clinical feature (docs/decisions/0009-time-point-rule.md, with figures).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

GROWTH = 1.2  # a volume 20% above the smallest one since treatment (RANO-BM: progression is measured from the nadir)

BEFORE_RN = "last after radiosurgery, not later than the necrosis date"
AFTER_RN = "first after radiosurgery and the necrosis date"
GREW = "first after radiosurgery with growth"
FIRST_AFTER_SRS = "first after radiosurgery"
AFTER_SRS = "last after radiosurgery"
LAST = "last of all, since none is known to follow radiosurgery"


class Choice(NamedTuple):
    """Position of the chosen scan, and the branch of the rule that chose it."""

    position: int
    branch: str


@dataclass(frozen=True, kw_only=True)
class Series:
    """A lesion's scans that have a mask, in order of time.

    months: since its first radiosurgery, None where unknown. volumes_ml: of the lesion, None where unknown. rn_months:
    time of necrosis on the same axis, None where none was recorded. A scan on the day of radiosurgery is its planning
    scan, not a follow-up.
    """

    months: tuple[float | None, ...]
    volumes_ml: tuple[float | None, ...]
    rn_months: float | None = None

    def __post_init__(self) -> None:
        if not self.months or len(self.months) != len(self.volumes_ml):
            raise ValueError("a lesion without scans has none to classify, and each scan has one volume")

    @property
    def post_srs(self) -> tuple[int, ...]:
        """Positions of the scans later than radiosurgery."""
        return tuple(at for at, month in enumerate(self.months) if month is not None and month > 0)

    @property
    def grown(self) -> tuple[int, ...]:
        """Positions of post-SRS scans with a volume of at least `GROWTH` times the smallest one before it.

        Volumes count from the last scan not later than radiosurgery on: what an untreated lesion did is another question.

        >>> Series(months=(-1, 3, 6), volumes_ml=(2.0, 1.0, 1.2)).grown
        (2,)
        """
        before = [at for at, month in enumerate(self.months) if month is not None and month <= 0]
        found, nadir_ml = [], None
        for at in ((before[-1],) if before else ()) + self.post_srs:
            volume_ml = self.volumes_ml[at]
            if volume_ml is None:
                continue
            if nadir_ml is not None and volume_ml > nadir_ml and volume_ml >= GROWTH * nadir_ml and at in self.post_srs:
                found.append(at)
            nadir_ml = volume_ml if nadir_ml is None else min(nadir_ml, volume_ml)
        return tuple(found)


def rn_date_or_growth(series: Series) -> Choice:
    """The last post-SRS scan not later than the necrosis date, else the first with growth, else the last.

    >>> rn_date_or_growth(Series(months=(-1, 3, 6, 9), volumes_ml=(1, 1, 1, 1), rn_months=7)).position
    2
    """
    return _up_to_rn(series) or _grown(series) or last_post_srs(series)


def rn_date(series: Series) -> Choice:
    """The last post-SRS scan not later than the necrosis date, else the first after it; without such a date the last."""
    if series.rn_months is not None and series.post_srs:
        return _up_to_rn(series) or Choice(series.post_srs[0], AFTER_RN)
    return last_post_srs(series)


def first_growth(series: Series) -> Choice:
    """The first post-SRS scan with growth, else the last one."""
    return _grown(series) or last_post_srs(series)


def first_post_srs(series: Series) -> Choice:
    """The first post-SRS scan, else the last of all."""
    return Choice(series.post_srs[0], FIRST_AFTER_SRS) if series.post_srs else last_post_srs(series)


def last_post_srs(series: Series) -> Choice:
    """The last post-SRS scan, else the last of all."""
    return Choice(series.post_srs[-1], AFTER_SRS) if series.post_srs else Choice(len(series.months) - 1, LAST)


def _up_to_rn(series: Series) -> Choice | None:
    rn_months = series.rn_months
    if rn_months is None:
        return None
    before = [
        at
        for at, month in enumerate(series.months)
        if at in series.post_srs and month is not None and month <= rn_months
    ]
    return Choice(before[-1], BEFORE_RN) if before else None


def _grown(series: Series) -> Choice | None:
    return Choice(series.grown[0], GREW) if series.grown else None


@dataclass(frozen=True)
class Rule:
    """A named rule: `words` for summaries; `label_free` if the choice cannot depend on the label."""

    function: Callable[[Series], Choice]
    label_free: bool
    words: str


RULES: dict[str, Rule] = {
    "rn_date_or_growth": Rule(
        rn_date_or_growth,
        False,
        "the last scan after radiosurgery that is not later than the recorded necrosis, else the first after radiosurgery "
        "with growth, else the last after radiosurgery",
    ),
    "rn_date": Rule(
        rn_date,
        False,
        "the last scan after radiosurgery that is not later than the recorded necrosis, else the first after it; without "
        "recorded necrosis the last after radiosurgery",
    ),
    "first_growth": Rule(first_growth, True, "the first scan after radiosurgery with growth, else the last after it"),
    "first_post_srs": Rule(first_post_srs, True, "the first scan after radiosurgery"),
    "last_post_srs": Rule(last_post_srs, True, "the last scan after radiosurgery"),
}


def choose(rule: str, series: Series) -> Choice:
    """Apply a rule by name; a label-free one never sees the necrosis date."""
    chosen = RULES[rule]
    return chosen.function(replace(series, rn_months=None) if chosen.label_free else series)
