"""The small twin of tests/proofs/test_timepoint_rules.py: only rules that see the necrosis date put it into the time."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from rnfm.cohort.timepoint import RULES

_SPEC = importlib.util.spec_from_file_location("rules", Path(__file__).parents[1] / "proofs/test_timepoint_rules.py")
assert _SPEC is not None
assert _SPEC.loader is not None
proof: Any = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(proof)


def test_label_free_rules_tell_nothing_and_the_others_do() -> None:
    """800 lesions: the standard error of an AUC of 0.5 is about 0.022."""
    found = proof.aucs("uniform date", 800, 0)
    assert all(abs(found[rule] - 0.5) < 0.07 for rule in RULES if RULES[rule].label_free)
    assert found["rn_date"] < found["rn_date_or_growth"] < 0.45
