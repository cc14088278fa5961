"""Judging: metrics with intervals and tests, the report, and the choice of a model. Tables and figures load lazily."""

from rnfm.report.evaluate import EvaluateConfig, EvaluateResult, evaluate
from rnfm.report.models import (
    CompareConfig,
    ModelsListConfig,
    ModelsShowConfig,
    PromoteConfig,
    PullConfig,
    compare,
    list_models,
    promote,
    pull,
    show_model,
)
from rnfm.report.write import ReportConfig, ReportResult, write_report

__all__ = [
    "CompareConfig",
    "EvaluateConfig",
    "EvaluateResult",
    "ModelsListConfig",
    "ModelsShowConfig",
    "PromoteConfig",
    "PullConfig",
    "ReportConfig",
    "ReportResult",
    "compare",
    "evaluate",
    "list_models",
    "promote",
    "pull",
    "show_model",
    "write_report",
]
