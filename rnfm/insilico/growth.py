"""The volume of a lesion over time: the same course in both classes, so that one scan of it tells nothing about the class.

    volume
      |                          . classified           necrosis: shrinks afterwards (pseudo-progression)
      |   planning            .  '  .                   progression: grows on
      |  .  '  .           .           '  .
      | '        '  . . '  response
      +--|-----|-----------|-------|----------|---> day
         MR1   SRS       nadir  classified  follow-up

From radiosurgery to the classified scan the logarithm of the volume runs through these points by monotone cubic
interpolation (PCHIP): no bumps between them. After it the logarithm is linear, so that what comes later bends nothing before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from rnfm.core import keyed

NADIR_SHARE = 0.4  # of the time from radiosurgery to the classified scan
FOLLOW_UP_DAYS = 180.0
LEAST_CC = 0.2


@dataclass(frozen=True)
class Course:
    """A lesion's volumes [cc] at the days that its course turns."""

    srs_day: float
    classified_day: float
    at_srs_cc: float
    nadir_cc: float
    classified_cc: float
    later_cc: float
    doubling_days: float  # before radiosurgery

    def volume_cc(self, day: float) -> float:
        """Volume on any day: exponential before radiosurgery, constant after the follow-up."""
        from scipy.interpolate import PchipInterpolator

        if day <= self.srs_day:
            return max(self.at_srs_cc * 2 ** ((day - self.srs_day) / self.doubling_days), LEAST_CC)
        span, since = self.classified_day - self.srs_day, day - self.srs_day
        if since > span:
            share = min((since - span) / FOLLOW_UP_DAYS, 1.0)
            return float(self.classified_cc * (self.later_cc / self.classified_cc) ** share)
        volumes_cc = (self.at_srs_cc, self.nadir_cc, self.classified_cc)
        curve = PchipInterpolator([0.0, NADIR_SHARE * span, span], [math.log(volume) for volume in volumes_cc])
        return math.exp(float(curve(since)))


def draw_course(
    seed: int, site: str, lesion: int, *, label: int, regrowth: float, classified_cc: float, days: tuple[float, float]
) -> Course:
    """The course of one lesion. `days`: of radiosurgery and of the classified scan; `regrowth`: the volume then over that at last.

    Only what happens after the classified scan depends on the label.
    """
    rng = keyed.rng(seed, site, "lesion", lesion, "course")
    at_srs_cc = max(regrowth * classified_cc, LEAST_CC)
    shrinkage, later = rng.uniform(0.35, 0.8), rng.uniform(0.0, 1.0)
    return Course(
        srs_day=days[0],
        classified_day=days[1],
        at_srs_cc=at_srs_cc,
        nadir_cc=max(shrinkage * at_srs_cc, LEAST_CC),
        classified_cc=classified_cc,
        later_cc=classified_cc * (0.4 + 0.5 * later if label else 1.3 + 1.2 * later),
        doubling_days=float(rng.uniform(30, 120)),
    )
