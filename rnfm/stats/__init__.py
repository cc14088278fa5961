"""Statistics of a classifier as pure functions of plain arrays (NumPy and SciPy only).

Labels are 0 and 1, a higher score means 1, `groups` names the patient of each lesion. Bad input raises DataError with a
sentence. Which function answers which question:

    how well does it rank?          auc, auc_ci, roc_curve, pr_auc, sensitivity_at
    is one better than the other?   delong_test, permutation_test, holm (for several at once)
    are its probabilities true?     brier, calibration
    is it worth using?              net_benefit, risk_coverage
    could n cases have shown it?    power_auc
    anything else, with an interval bootstrap
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rnfm.stats.calibrate import Bin, Calibration, brier, calibration
    from rnfm.stats.decide import RiskCoverage, net_benefit, power_auc, risk_coverage
    from rnfm.stats.delong import delong_test
    from rnfm.stats.interval import auc_ci
    from rnfm.stats.multiple import holm
    from rnfm.stats.resample import bootstrap, permutation_test
    from rnfm.stats.roc import Roc, auc, pr_auc, roc_curve, sensitivity_at

__all__ = [
    "Bin",
    "Calibration",
    "RiskCoverage",
    "Roc",
    "auc",
    "auc_ci",
    "bootstrap",
    "brier",
    "calibration",
    "delong_test",
    "holm",
    "net_benefit",
    "permutation_test",
    "power_auc",
    "pr_auc",
    "risk_coverage",
    "roc_curve",
    "sensitivity_at",
]

_HOME = {
    **dict.fromkeys(("Bin", "Calibration", "brier", "calibration"), "calibrate"),
    **dict.fromkeys(("RiskCoverage", "net_benefit", "power_auc", "risk_coverage"), "decide"),
    **dict.fromkeys(("Roc", "auc", "pr_auc", "roc_curve", "sensitivity_at"), "roc"),
    **dict.fromkeys(("bootstrap", "permutation_test"), "resample"),
    "auc_ci": "interval",
    "delong_test": "delong",
    "holm": "multiple",
}


def __getattr__(name: str) -> Any:  # SciPy takes most of a second to import; `rnfm --help` must not wait for it
    if name in _HOME:
        return getattr(import_module(f"rnfm.stats.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
