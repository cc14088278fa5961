"""The landmarks of intensity rule `nyul`: a part that is fitted, so it must come from training patients and travel along.

    training scans --percentiles of the foreground (11 each)--> fit_landmarks --> IntensityRule.landmarks, in the contract
    any scan       --its own percentiles-----> apply_intensity(rule) --> 0..1 along the same landmarks

(Nyul, Udupa, "On standardizing the MR image intensity scale", MRM 42, 1999; with percentiles as landmarks: Nyul, Udupa, Zhang,
IEEE TMI 19, 2000.) Each scan's percentiles are mapped by one straight line so that low goes to 0 and high to 1, and the
landmarks are the means of what results. Where they come from is said in the configuration, never guessed:

    fit_on          a split: at most MOST_SCANS scans of its patients of role `train`, chosen by their codes alone, are read
                    once more before the archive is made; hold-out and external patients are never looked at
    landmarks_from  a volume archive, a foundation or a classifier whose contract holds landmarks: another centre is mapped by them

Cross-validation folds deal out the training and hold-out patients anew and share these landmarks: a fold's own test patients of role
`train` may have been among those fitted on. No label enters, but who wants the strictest reading fits on other patients.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rnfm.core import files
from rnfm.core.artifact import Artifact
from rnfm.core.config import from_dict
from rnfm.core.contract import InputContract, IntensityRule
from rnfm.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from rnfm.volume.preparing import PrepareConfig
    from rnfm.volume.sources import Scan

MOST_SCANS = 200  # more change the landmarks by less than a thousandth of the scale
SMALLEST_STEP = 1e-6  # between landmarks: equal means (a foreground of few values) must still rise
SAME_RULE = ("low", "high")

Percentiles = tuple[float, ...]
Measure = Callable[[Sequence["Scan"]], Iterable[Percentiles | str]]


def fit_landmarks(vectors: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """The landmarks (11,), rising from 0 to 1, of scans with these percentiles (11 each). ValueError without a usable one.

    >>> fit_landmarks([[0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]])[5]
    0.5
    """
    found = np.array([v for v in vectors if v[-1] > v[0]], np.float64)
    if not len(found):
        raise ValueError("no scan has a foreground that varies")
    scaled = (found - found[:, :1]) / (found[:, -1:] - found[:, :1])
    mean = scaled.mean(axis=0)
    for index in range(1, len(mean)):
        mean[index] = max(mean[index], mean[index - 1] + SMALLEST_STEP)
    return tuple(float(x) for x in mean / mean[-1])


def inputs_of(config: PrepareConfig) -> dict[str, str]:
    """What the landmarks are made of, by role and digest, for the archive's lineage. Raises ConfigError (`require_source`)."""
    require_source(config)
    if config.fit_on is not None:
        return {"split": Artifact.open(config.fit_on, "split").digest}
    if config.landmarks_from is not None:
        return {"landmarks": Artifact.open(config.landmarks_from).digest}
    return {}


def require_source(config: PrepareConfig) -> None:
    """Rule nyul and exactly one source of landmarks, or neither. Raises ConfigError."""
    given = [name for name in ("fit_on", "landmarks_from") if getattr(config, name) is not None]
    if config.intensity.rule != "nyul" and given:
        cause = f"is given, but intensity rule {config.intensity.rule} has no landmarks"
        raise ConfigError(given[0], cause, "Leave it out, or choose --intensity.rule nyul")
    if config.intensity.rule == "nyul" and len(given) + bool(config.intensity.landmarks) != 1:
        cause = "rule nyul needs landmarks, from one source" if given else "rule nyul needs landmarks"
        mend = "Give --fit-on SPLIT (its training patients are used) or --landmarks-from ARCHIVE (another centre's)"
        raise ConfigError("intensity", cause, mend)


def settled(config: PrepareConfig, scans: Sequence[Scan], measure: Measure, kept: Path) -> PrepareConfig:
    """The configuration with its landmarks filled in; unchanged for other rules. `kept` remembers a fit for a run that resumes.

    `measure` gives the percentiles of each scan, or the reason why it cannot be used. Raises ConfigError for a source that will not do,
    DataError where no training scan can be used.
    """
    if config.landmarks_from is not None:
        return _with(config, _taken_from(config.landmarks_from, config.intensity))
    if config.fit_on is None:
        return config
    if kept.exists():
        return _with(config, tuple(json.loads(kept.read_text())["landmarks"]))
    chosen = choose(scans, training_patients(config.fit_on))
    if not chosen:
        raise ConfigError(config.fit_on, "none of its training patients is in this cohort", "Give this cohort's split")
    found = list(measure(chosen))
    vectors = [one for one in found if not isinstance(one, str)]
    try:
        landmarks = fit_landmarks(vectors)
    except ValueError:
        why = ", ".join(f"{n} {reason}" for reason, n in sorted(Counter(map(_reason, found)).items()))
        cause = f"none of {len(chosen)} training scans can be used to fit landmarks ({why})"
        raise DataError(config.fit_on, cause, "Mend them, or fit on another split") from None
    files.write_json(kept, {"landmarks": landmarks, "scans": len(vectors)})
    return _with(config, landmarks)


def training_patients(split: Path) -> set[str]:
    """The codes of a split's patients of role `train`."""
    import pyarrow.parquet as parquet

    table = parquet.read_table(Artifact.open(split, "split").file("split.parquet"), columns=["patient", "role"])
    return {row["patient"] for row in table.to_pylist() if row["role"] == "train"}


def choose(scans: Sequence[Scan], patients: Collection[str]) -> list[Scan]:
    """At most MOST_SCANS scans of these patients, in an order that depends on nothing but each scan's own code."""
    theirs = [scan for scan in scans if scan.patient in patients]
    return sorted(theirs, key=lambda scan: hashlib.sha256(scan.code.encode()).digest())[:MOST_SCANS]


def measured(folders: Sequence[Path]) -> list[Percentiles | str]:
    """What workers left in each folder (`rnfm.volume.production`, measure): percentiles, or the reason of a refusal."""
    found: list[Percentiles | str] = []
    for folder in folders:
        contract: dict[str, Any] = Artifact.open(folder).contract if folder.exists() else {"refusal": ["lost"]}
        found.append(tuple(contract["percentiles"]) if "percentiles" in contract else str(contract["refusal"][0]))
        shutil.rmtree(folder, ignore_errors=True)
    return found


def _reason(found: Percentiles | str) -> str:
    return found if isinstance(found, str) else "constant"


def _taken_from(path: Path, rule: IntensityRule) -> tuple[float, ...]:
    contract = Artifact.open(path).contract
    theirs = from_dict(InputContract, contract["input"]).intensity if "input" in contract else IntensityRule()
    if theirs.rule != "nyul":
        cause = "holds no landmarks (its intensity rule is not nyul)"
        raise ConfigError(path, cause, "Give an archive that was prepared with --intensity.rule nyul")
    if any(getattr(theirs, name) != getattr(rule, name) for name in SAME_RULE):
        cause = f"its landmarks belong to the percentiles {theirs.low:g} and {theirs.high:g}, not {rule.low:g} and {rule.high:g}"
        raise ConfigError(path, cause, f"Set --intensity.low {theirs.low:g} --intensity.high {theirs.high:g}")
    return theirs.landmarks


def _with(config: PrepareConfig, landmarks: tuple[float, ...]) -> PrepareConfig:
    rule = from_dict(IntensityRule, {**config.intensity.as_dict(), "landmarks": list(landmarks)})
    return config.model_copy(update={"intensity": rule})
