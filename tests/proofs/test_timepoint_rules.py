"""Proof: how much of the label each time-point rule puts into the time of the chosen scan, where nothing else does.

Simulated courses whose label is drawn independently of everything else: the same follow-up, the same visits, the same
volumes in both classes. An AUC of the months since radiosurgery other than 0.5 is then made by the rule alone.

    uniform date    the necrosis date falls anywhere in the lesion's follow-up
    after growth    it falls up to 4 months after the first scan with growth (anywhere if there is none)
    ends with it    as after growth, and the follow-up ends within 2 months of the date, as after a resection: a real
                    difference between the classes, which no choice of a scan can undo

2,000 lesions, 29% with necrosis (32 of 109), 4 seeds. The figures stand in docs/decisions/0009-time-point-rule.md;
`make test` runs a small twin (tests/cohort/test_leak_of_time.py).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from statistics import mean

import numpy as np

from rnfm.cohort import sensitivity
from rnfm.cohort.courses import Course
from rnfm.cohort.timepoint import RULES, Series
from rnfm.core import keyed

LESIONS, SEEDS = int(os.environ.get("RNFM_PROOF_TRIALS", "2000")), (0, 1, 2, 3)
RESULT = Path(__file__).with_suffix(".json")
SCENARIOS = ("uniform date", "after growth", "ends with it")


def courses(scenario: str, lesions: int, seed: int) -> list[Course]:
    return [_course(scenario, at, keyed.rng(seed, "course", at)) for at in range(lesions)]


def _course(scenario: str, at: int, rng: np.random.Generator) -> Course:
    """Follow-up: exponential, mean 18 months, 3 to 60. Visits: about every 3 months. 66% grow, median onset 9 months."""
    label = int(rng.random() < 32 / 109)
    end = float(np.clip(rng.exponential(18), 3, 60))
    visits = [-0.5]
    while visits[-1] < end:
        visits.append(max(visits[-1], 0.0) + float(rng.gamma(6, 0.5)))
    months = tuple(visits[:-1] if len(visits) > 2 else visits)
    onset = float(rng.lognormal(np.log(9), 0.6)) if rng.random() < 0.66 else np.inf
    volumes = tuple(_volume(month, onset) * float(rng.lognormal(0, 0.04)) for month in months)
    series = Series(months=months, volumes_ml=volumes)
    if not label:
        return Course(f"P-{at}-L1", 0, (), series)
    rn = float(rng.uniform(0.5, months[-1])) if months[-1] > 0.5 else 0.5
    if scenario != "uniform date" and series.grown:
        rn = float(months[series.grown[0]] or 0) + float(rng.uniform(0, 4))
    if scenario == "ends with it":
        kept = [month for month in months if month <= rn + 2]
        months = tuple(kept) if len(kept) > 1 else months[:2]
    series = Series(months=months, volumes_ml=volumes[: len(months)], rn_months=rn)
    return Course(f"P-{at}-L1", 1, (), series)


def _volume(month: float, onset: float) -> float:
    """Shrinks to 60% within 6 months, and doubles every 4 months from the onset on [ml]."""
    shrunk = 2.0 * (1 - 0.4 * min(max(month, 0.0), 6.0) / 6.0)
    return shrunk * (2.0 ** ((month - onset) / 4.0) if month > onset else 1.0)


def aucs(scenario: str, lesions: int, seed: int) -> dict[str, float]:
    """Rule -> AUC of the time since radiosurgery of the scan it chooses."""
    found = courses(scenario, lesions, seed)
    values = {rule: sensitivity.auc_of_time(found, rule) for rule in RULES}
    return {rule: value[0] for rule, value in values.items() if value is not None}


def test_what_each_rule_puts_into_the_time() -> None:
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for scenario in SCENARIOS:
        runs = [aucs(scenario, LESIONS, seed) for seed in SEEDS]
        figures[scenario] = {
            rule: {
                "mean": round(mean(run[rule] for run in runs), 3),
                "low": round(min(run[rule] for run in runs), 3),
                "high": round(max(run[rule] for run in runs), 3),
            }
            for rule in RULES
        }
        print(scenario, {rule: value["mean"] for rule, value in figures[scenario].items()})
    RESULT.write_text(json.dumps({"lesions": LESIONS, "seeds": SEEDS, "auc_of_time": figures}, indent=1) + "\n")
    for scenario in ("uniform date", "after growth"):
        for rule, value in figures[scenario].items():
            if RULES[rule].label_free:
                assert abs(value["mean"] - 0.5) < 0.02, (scenario, rule)
        assert figures[scenario]["rn_date"]["mean"] < 0.45
