"""Comparing and promoting: the paired test is printed, a leak is refused, a worse model needs a reason.

promote(model):  foundation's lineage known?  ->  no test patient in it?  ->  not worse than the incumbent?  ->  move
                 unknown: needs --because         leak: always refused        worse: needs --because            + audit
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnfm.core import files
from rnfm.core.errors import DataError
from rnfm.report import judge, leakage, table
from rnfm.report.gather import gather
from rnfm.report.models import PromoteResult

if TYPE_CHECKING:
    import pandas as pd

    from rnfm.report.registry import Store, Version

PREFERRED = ("external", "holdout", "cv")
AUDIT = "promotions.jsonl"


@dataclass(frozen=True)
class Comparison:
    """Versions a and b on `n` common lesions of one split; AUCs are NaN where no split allows a comparison."""

    a: str
    b: str
    split: str | None
    n: int = 0
    n_pos: int = 0
    auc_a: float = math.nan
    auc_b: float = math.nan
    z: float = math.nan
    p: float = math.nan

    @property
    def worse(self) -> bool:
        return self.auc_a < self.auc_b

    def lines(self) -> list[str]:
        if self.split is None:
            return [f"{self.a} and {self.b} share no split whose common lesions hold both classes: no comparison"]
        test = "no test: one case of a class" if math.isnan(self.p) else f"paired DeLong p = {table.p_value(self.p)}"
        return [
            f"{self.a} against {self.b} on {self.n} common lesions ({self.n_pos} RN) of the {self.split} split:",
            f"AUC {self.auc_a:.3f} against {self.auc_b:.3f}, difference {self.auc_a - self.auc_b:+.3f}, {test}",
        ]


def compare(a: Version, b: Version) -> Comparison:
    """The first of external, holdout, cv in which the common lesions hold both classes. Raises ConfigError, DataError."""
    one, two = stored_predictions(a), stored_predictions(b)
    for split in PREFERRED:
        rows_a, rows_b = (rows[rows["split"] == split].set_index("lesion") for rows in (one, two))
        common = rows_a.index.intersection(rows_b.index).sort_values()
        if len(common) == 0:
            continue
        left, right = rows_a.loc[common], rows_b.loc[common]
        if not left["label"].equals(right["label"]):
            raise DataError(f"{a}, {b}", "their predictions disagree about a label", "Judge both on one cohort")
        found = judge.paired_scores(left, right["probability"])
        if not math.isnan(found["auc_a"]):
            return Comparison(str(a), str(b), split, n_pos=int(left["label"].sum()), **found)
    return Comparison(str(a), str(b), None)


def stored_predictions(version: Version) -> pd.DataFrame:
    """Pooled predictions of the version's method. Raises DataError if none are stored, or they are gone."""
    paths = [Path(line) for line in version.tags.get("predictions", "").splitlines()]
    missing = [path for path in paths if not path.is_dir()]
    if not paths or missing:
        cause = "has no stored predictions" if not paths else f"its predictions are gone ({missing[0]})"
        raise DataError(version, cause, "Run rnfm evaluate on them with --tracking")
    pooled = gather(paths).pooled
    methods = sorted(set(pooled["method"]))
    method = version.tags.get("method", methods[0])
    if method not in methods or ("method" not in version.tags and len(methods) > 1):
        raise DataError(
            version, f"its predictions hold {', '.join(methods)}", "Run rnfm evaluate with --tracking to say which"
        )
    return pooled[pooled["method"] == method]


def promote(store: Store, version: Version, *, alias: str, because: str | None) -> PromoteResult:
    """Judge, then move the alias and write the audit entry. Nothing is moved if this raises."""
    incumbent = next((other for other in store.versions(version.kind) if alias in other.aliases), None)
    patients = _require_no_leak(store, version, because)
    lines, comparison = [patients], None
    if incumbent is not None and incumbent.number != version.number:
        comparison = _require_better(version, incumbent, because)
        lines += comparison.lines()
    elif incumbent is None:
        lines.append(f"no version is @{alias} yet, so there is nothing to compare with")
    replaced = incumbent.number if incumbent and incumbent.number != version.number else None
    store.client.set_registered_model_alias(version.name, alias, version.number)
    _audit(
        store, version, alias, {"replaced": replaced, "because": because, "leakage": patients, "comparison": comparison}
    )
    return PromoteResult(version.name, version.number, alias, replaced, tuple(lines), version.local())


def _require_no_leak(store: Store, version: Version, because: str | None) -> str:
    """The leakage statement. Raises DataError on a leak, and where it cannot be ruled out and no reason is given."""
    digest = version.digest if version.kind == "foundation" else version.tags.get("foundation_digest", "")
    if not digest:
        return f"{version} stands on no foundation: no pre-training to leak from"
    holder = next((other for other in store.versions("foundation") if other.digest == digest), None)
    artifact = holder.artifact() if holder else None
    tested: Mapping[str, list[str]] = {}
    try:
        rows = stored_predictions(version)
        tested = {str(split): sorted(set(part["patient"])) for split, part in rows.groupby("split")}
    except DataError:
        if because is None:
            raise
    found = leakage.check(artifact, tested) if artifact else None
    if found and found.found:
        raise DataError(version, found.sentence(), "Pre-train without these patients; no reason overrides this")
    if found is None or found.seen is None or not tested:
        sentence = (
            f"leakage cannot be ruled out: the lineage of foundation {digest[:12]} or the test patients are not at hand"
        )
        if because is None:
            raise DataError(version, sentence, "Bring the artefact back to its path, or give a reason with --because")
        return sentence
    return found.sentence()


def _require_better(version: Version, incumbent: Version, because: str | None) -> Comparison:
    try:
        found = compare(version, incumbent)
    except DataError:
        if because is None:
            raise
        found = Comparison(str(version), str(incumbent), None)
    if because is None and (found.worse or found.split is None):
        cause = " ".join(found.lines())
        raise DataError(version, cause, "It stays as it is; give a reason with --because to promote it all the same")
    return found


def _audit(store: Store, version: Version, alias: str, facts: dict[str, Any]) -> None:
    """One JSON line in a version tag, and beside the database where that is a file."""
    comparison = facts.pop("comparison")
    entry = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "alias": alias,
        "model": version.name,
        "version": version.number,
        "digest": version.digest,
        **facts,
        "comparison": comparison.lines() if comparison else None,
    }
    line = json.dumps(entry, sort_keys=True)
    store.client.set_model_version_tag(version.name, version.number, f"promoted/{alias}", line)
    if store.uri.startswith("sqlite:///"):
        files.append_line(Path(store.uri.removeprefix("sqlite:///")).parent / AUDIT, line)
