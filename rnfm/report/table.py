"""The paper's table as text: methods down, centres across, each AUC with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from rnfm.report import judge

NOTHING = "-"


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Left-aligned columns, two spaces apart."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def interval(value: float, low: float, high: float) -> str:
    """`0.916 [0.850-0.960]`; a dash for what is not defined."""
    if math.isnan(value):
        return NOTHING
    return f"{value:.3f}" + ("" if math.isnan(low) else f" [{low:.3f}-{high:.3f}]")


def p_value(p: float) -> str:
    return NOTHING if math.isnan(p) else "<0.001" if p < 0.001 else f"{p:.3f}"


def metrics_lines(metrics: pd.DataFrame) -> list[str]:
    """Methods x centres."""
    cells = {(row.method, row.split, row.site): row for row in judge.rows(metrics)}
    places = places_of(metrics)
    head = [
        f"{place.split}{'' if place.site == judge.ALL else ' ' + place.site} ({place.n}, {place.n_pos} RN)"
        for place in places
    ]
    lines = [["AUC [interval]", *head]]
    for method in dict.fromkeys(metrics["method"]):
        found = [cells.get((method, place.split, place.site)) for place in places]
        lines.append([method, *(interval(c.auc, c.auc_low, c.auc_high) if c else NOTHING for c in found)])
    return columns(lines)


def places_of(metrics: pd.DataFrame) -> list[Any]:
    """The columns of the table: one row of `metrics` a (split, site), in the order of splits, the whole before its sites."""
    first = judge.rows(metrics.drop_duplicates(["split", "site"]))
    return sorted(first, key=lambda row: (judge.SPLITS.index(row.split), row.site != judge.ALL, row.site))


def comparison_lines(compared: pd.DataFrame) -> list[str]:
    """One line a paired test."""
    if compared.empty:
        return []
    rows = [["paired DeLong", "split", "n", "difference", "p", "p (Holm)"]]
    for row in judge.rows(compared):
        difference = NOTHING if math.isnan(row.auc_a) else f"{row.auc_a - row.auc_b:+.3f}"
        against = f"{row.method_a} - {row.method_b}"
        rows.append([against, row.split, str(row.n), difference, p_value(row.p), p_value(row.p_holm)])
    return columns(rows)
