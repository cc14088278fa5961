"""Equality with R's pROC 1.18.0 (fixtures/proc.R made fixtures/proc.json): ties, perfect separation, tiny groups."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from rnfm import stats
from rnfm.stats import delong

REFERENCE = json.loads((Path(__file__).parent / "fixtures" / "proc.json").read_text())
CASES = {case["name"]: case for case in REFERENCE["cases"]}


@pytest.mark.parametrize("name", CASES)
def test_auc_interval_and_paired_test_equal_proc(name):
    case = CASES[name]
    y, a, b = (np.array(case[key], dtype=float) for key in ("y", "a", "b"))
    area, low, high = stats.auc_ci(y, a, method="delong")
    z, p = stats.delong_test(y, a, b)
    ours = (area, stats.auc(y, b), low, high, z, p, stats.sensitivity_at(y, a, 0.9))
    theirs = [case[key] for key in ("auc_a", "auc_b", "low_a", "high_a", "z", "p", "sensitivity_at_90")]
    assert ours == pytest.approx(theirs, abs=1e-12)
    placed = delong.placements(y == 1, a, np.arange(len(y)))
    variance = delong.variance(placed.v10, placed.v01, placed.cluster_pos, placed.cluster_neg)
    assert variance == pytest.approx(case["variance_a"], abs=1e-15)


def test_the_published_example_of_proc_stands_in_the_fixture():
    # Robin et al. 2011 print these for aSAH: WFNS 0.824, S100b 0.731, and the pROC manual Z = 2.209, p = 0.02718.
    case = CASES["aSAH: wfns (ordinal, heavy ties) against s100b"]
    assert (round(case["auc_a"], 3), round(case["auc_b"], 3)) == (0.824, 0.731)
    assert (round(case["z"], 3), round(case["p"], 5)) == (2.209, 0.02718)


@pytest.mark.parametrize("case", REFERENCE["power"], ids=lambda case: f"{case['n_pos']}+{case['n_neg']}")
def test_power_equals_proc(case):
    assert stats.power_auc(case["n_pos"], case["n_neg"], case["auc"]) == pytest.approx(case["power"], abs=1e-12)


def test_no_difference_is_a_p_of_one_and_an_infinite_z_keeps_its_sign():
    y = [1, 1, 0, 0]
    assert stats.delong_test(y, [4, 3, 2, 1], [40, 30, 20, 10]) == (0.0, 1.0)
    assert stats.delong_test(y, [1, 2, 3, 4], [4, 3, 2, 1]) == (-math.inf, 0.0)
