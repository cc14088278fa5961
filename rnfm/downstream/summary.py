"""Lines of a stage's summary that several stages share."""

from __future__ import annotations

from collections.abc import Mapping


def auc_lines(auc: Mapping[str, Mapping[str, float]]) -> list[str]:
    """One line a method: `ssl_vit: cv 0.81, holdout 0.86, external 0.74 (AUC)`; a split of one class has none."""
    lines = []
    for method, by_split in sorted(auc.items()):
        shown = ", ".join(
            f"{split} {by_split[split]:.3f}" for split in ("cv", "holdout", "external") if split in by_split
        )
        lines.append(f"{method}: AUC {shown or 'not defined (one class only in every split)'}")
    return lines
