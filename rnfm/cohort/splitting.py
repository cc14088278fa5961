"""`rnfm data split`: which patients train, which are held out, which are external, and their cross-validation folds.

A split is a file with one row a patient, so that no later stage can deal scans or lesions of one patient to two sides;
whoever would stand in two places is refused (`rnfm.cohort.apart`). Patients are stratified by class and centre
(`rnfm.cohort.assign`); cohorts without labels are dealt by centre alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rnfm.core import artifact
from rnfm.core.artifact import Artifact
from rnfm.core.config import Config, Field, positional
from rnfm.core.errors import IntegrityError

if TYPE_CHECKING:
    import pandas as pd

    from rnfm.cohort.assign import Patient

KIND, VERSION = "split", 1
ROLES = ("train", "holdout", "external")


class SplitConfig(Config):
    """Deal patients to training, hold-out, external test and cross-validation folds."""

    cohorts: Annotated[tuple[Path, ...], Field(min_length=1)] = positional("cohort or volumes folders to deal")
    external: tuple[Path, ...] = Field((), description="cohort or volumes folders kept for the external test")
    external_sites: tuple[str, ...] = Field((), description="centres of the cohorts kept for the external test")
    out: Path = Field(description="split folder to write")
    holdout: float = Field(0.2, ge=0, lt=1, description="patients held out of training [share of each class]")
    folds: int = Field(5, ge=2, le=1000, description="cross-validation folds over training and hold-out patients")
    repeats: int = Field(1, ge=1, le=1000, description="times the folds are dealt anew")
    seed: int = Field(0, ge=0, description="seed of the dealing")
    overwrite: bool = Field(False, description="replace a split that was made with other settings or inputs")


@dataclass(frozen=True)
class SplitResult:
    """Patients and labelled lesions by role, the folds made, and warnings in words."""

    path: Path
    patients: dict[str, int]
    with_rn: dict[str, int]
    lesions: dict[str, int]
    lesions_with_rn: dict[str, int]
    folds: int
    repeats: int
    warnings: tuple[str, ...]
    fresh: bool

    def summary(self) -> str:
        roles = _by_role(self.patients, self.with_rn)
        return "\n".join(
            [
                f"split {self.path}: {'written' if self.fresh else 'up to date'}",
                f"patients: {roles}; {self.folds} folds x {self.repeats}",
                f"labelled lesions: {_by_role(self.lesions, self.lesions_with_rn)}",
                *(f"warning: {warning}" for warning in self.warnings),
                f"next: rnfm data shard VOLUMES --split {self.path} --out SHARDS",
            ]
        )


def split(config: SplitConfig) -> SplitResult:
    """Deal the patients. DataError if a patient stands on both sides; ConfigError for paths that are no cohorts."""
    from rnfm.cohort import apart, assign, table

    ours = [table.open_cohort(path) for path in config.cohorts]
    theirs = [table.open_cohort(path) for path in config.external]
    opened = [artefact for artefact, _ in (*ours, *theirs)]
    apart.require_once(opened)
    inner, outer = _inner_and_outer(config, [frame for _, frame in ours], [frame for _, frame in theirs])
    apart.require_no_shared_scan(
        opened, {patient.code: side for side, own in (("inner", inner), ("outer", outer)) for patient in own}
    )
    folds = assign.possible_folds(inner, config.folds)
    rows = _rows(config, inner, outer, folds)
    warnings = _warnings(config, inner, rows, folds) + _key_warnings(opened)
    inputs = {f"cohort_{index}": artefact.digest for index, (artefact, _) in enumerate(ours)}
    inputs |= {f"external_{index}": artefact.digest for index, (artefact, _) in enumerate(theirs)}
    settings = _settings_hash(config)
    standing = artifact.current(config.out, KIND, settings, inputs)
    if standing is None:
        contract: dict[str, object] = {
            "holdout": config.holdout,
            "folds": folds,
            "repeats": config.repeats,
            "seed": config.seed,
        }
        contract |= {"external_sites": list(config.external_sites)} if config.external_sites else {}
        lineage = {"config_hash": settings, "inputs": inputs}
        with artifact.publish(
            config.out, KIND, VERSION, contract=contract, lineage=lineage, overwrite=config.overwrite
        ) as draft:
            _write(draft.path / "split.parquet", rows)
    kinds = {patient.code: patient.kind for patient in (*inner, *outer)}
    by_role = {role: [str(row["patient"]) for row in rows if row["role"] == role] for role in ROLES}
    lesions = _lesions([frame for _, frame in (*ours, *theirs)])
    return SplitResult(
        config.out,
        patients={role: len(codes) for role, codes in by_role.items()},
        with_rn={role: sum(kinds[code] == assign.RN for code in codes) for role, codes in by_role.items()},
        lesions={role: sum(len(lesions.get(code, ())) for code in codes) for role, codes in by_role.items()},
        lesions_with_rn={role: sum(sum(lesions.get(code, ())) for code in codes) for role, codes in by_role.items()},
        folds=folds,
        repeats=config.repeats,
        warnings=tuple(warnings),
        fresh=standing is None,
    )


def read_split(path: Path) -> pd.DataFrame:
    """`split.parquet`: patient, site, role and fold_0 ... as strings and Int16. ConfigError, IntegrityError.

    The file's digest is checked: a role changed by hand is found.
    """
    import pyarrow.parquet as pq

    opened = Artifact.open(path, KIND, VERSION)
    opened.require_intact(deep=True)
    frame = pq.read_table(opened.file("split.parquet")).to_pandas()
    expected = ["patient", "site", "role", *(f"fold_{repeat}" for repeat in range(opened.contract["repeats"]))]
    if list(frame.columns) != expected or not set(frame["role"]) <= set(ROLES) or frame["patient"].duplicated().any():
        raise IntegrityError(path, "split.parquet is not as the contract says", "Make the split again")
    types = {name: "Int16" if name.startswith("fold_") else "string" for name in expected}
    return frame.astype(types)


def _patients(frames: Sequence[pd.DataFrame]) -> list[Patient]:
    """One entry a patient, over all frames: RN if any lesion has it; the first centre by name if there are several."""
    from rnfm.cohort.assign import UNLABELLED, Patient

    found: dict[str, Patient] = {}
    for frame in frames:
        labels = frame["label"].fillna(UNLABELLED).astype(int)
        for code, label, site in zip(frame["patient"], labels, frame["site"], strict=True):
            known = found.get(code, Patient(code, UNLABELLED, site))
            found[code] = Patient(code, max(known.kind, int(label)), min(known.site, site))
    return sorted(found.values())


def _inner_and_outer(
    config: SplitConfig, ours: Sequence[pd.DataFrame], theirs: Sequence[pd.DataFrame]
) -> tuple[list[Patient], list[Patient]]:
    """Who is dealt, and who is external: by cohort, or by centre within the cohorts."""
    from rnfm.cohort import apart

    inner, outer = _patients(ours), _patients(theirs)
    apart.require_no_shared_code([patient.code for patient in inner], [patient.code for patient in outer])
    if not config.external_sites:
        return inner, outer
    moved = apart.at_sites(ours, config.external_sites)
    return [p for p in inner if p.code not in moved], sorted([*outer, *(p for p in inner if p.code in moved)])


def _lesions(frames: Sequence[pd.DataFrame]) -> dict[str, list[int]]:
    """Patient code -> the labels of the labelled lesions."""
    labels: dict[str, dict[str, int]] = {}
    for frame in frames:
        known = frame[frame["label"].notna() & frame["lesion"].notna()]
        for patient, lesion, label in zip(known["patient"], known["lesion"], known["label"], strict=True):
            labels.setdefault(patient, {})[lesion] = int(label)
    return {patient: list(own.values()) for patient, own in labels.items()}


def _rows(
    config: SplitConfig, inner: Sequence[Patient], outer: Sequence[Patient], folds: int
) -> list[dict[str, object]]:
    from rnfm.cohort import assign

    held = assign.holdout(inner, share=config.holdout, seed=config.seed)
    dealt = [assign.folds(inner, count=folds, seed=config.seed, repeat=repeat) for repeat in range(config.repeats)]
    rows: list[dict[str, object]] = []
    for patient in sorted((*inner, *outer)):
        role = ("holdout" if patient.code in held else "train") if patient.code in dealt[0] else "external"
        fold = {f"fold_{repeat}": of.get(patient.code, -1) for repeat, of in enumerate(dealt)}
        rows.append({"patient": patient.code, "site": patient.site, "role": role, **fold})
    return rows


def _write(path: Path, rows: Sequence[dict[str, object]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {name: pa.int16() if name.startswith("fold_") else pa.string() for name in rows[0]}
    schema = pa.schema([pa.field(name, kind, nullable=False) for name, kind in types.items()])
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), path)


def _warnings(
    config: SplitConfig, inner: Sequence[Patient], rows: Sequence[dict[str, object]], folds: int
) -> list[str]:
    from rnfm.cohort.assign import NO_RN, RN

    warnings = []
    kinds = {patient.kind for patient in inner}
    if folds < config.folds:
        cause = "the smaller class" if {RN, NO_RN} <= kinds else "the cohort"
        warnings.append(f"folds reduced from {config.folds} to {folds}, since {cause} has too few patients")
    if len(kinds & {RN, NO_RN}) < 2:
        what = "no patient has a label" if not kinds & {RN, NO_RN} else "all labelled patients are of one class"
        warnings.append(f"{what}: dealt by centre, and no classifier can be trained on it")
    if config.holdout and not any(row["role"] == "holdout" for row in rows):
        warnings.append("nobody is held out, since no class has two patients")
    return warnings


def _key_warnings(opened: Sequence[Artifact]) -> list[str]:
    tables = {artefact.contract["key_table"] for artefact in opened if "key_table" in artefact.contract}
    if len(tables) < 2:
        return []
    return [
        f"the cohorts were made with {len(tables)} key tables, so a patient who is in two of them has two codes and is "
        "not recognised: prepare them and run `rnfm data overlap` on the volumes"
    ]


def _by_role(numbers: Mapping[str, int], with_rn: Mapping[str, int]) -> str:
    return ", ".join(f"{role} {numbers[role]} ({with_rn[role]} with RN)" for role in ROLES)


def _settings_hash(config: SplitConfig) -> str:
    values: list[object] = [VERSION, config.holdout, config.folds, config.repeats, config.seed]
    values += [list(config.external_sites)] if config.external_sites else []
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()
