"""Words and counts for people: `summary.md` of a cohort, and the lines the command prints. Codes and counts only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rnfm.core.ledger import Entry

if TYPE_CHECKING:
    import pandas as pd

CLASSES = {1: "radiation necrosis", 0: "no radiation necrosis recorded"}
MEANING = (
    "`no RN recorded` (label 0) means that the source holds no necrosis date for the lesion. It does not mean that "
    "tumour progression was proven: such a lesion may have progressed, stayed stable, or not been followed for long "
    "enough. Where `label_source` says `pathology` or `follow-up`, the source itself decided."
)
RULE = (
    "One scan a lesion is classified (`classified`): the last one after radiosurgery that is not later than the "
    "recorded necrosis, else the first after it, else the last of all. The time since radiosurgery of that scan "
    "therefore depends on the label for lesions with necrosis; treat `clinical_months_since_srs` with care."
)


@dataclass(frozen=True)
class Counts:
    """What a cohort holds."""

    patients: int
    scans: int
    masked_scans: int
    lesions: int
    labelled: dict[int, int]
    refused: dict[str, int]
    findings: dict[str, int]


def count(cohort: pd.DataFrame, quarantine: Sequence[Entry], findings: Sequence[Entry]) -> Counts:
    """Counts over scans and lesions (a lesion counts once however often it was scanned)."""
    scans = cohort.drop_duplicates("scan")
    lesions = cohort[cohort["lesion"].notna()].drop_duplicates("lesion")
    labels = lesions["label"].dropna().astype(int)
    return Counts(
        patients=cohort["patient"].nunique(),
        scans=len(scans),
        masked_scans=int(scans["has_mask"].sum()),
        lesions=len(lesions),
        labelled={label: int((labels == label).sum()) for label in CLASSES},
        refused=_by_reason(quarantine),
        findings=_by_reason(findings),
    )


def lines(counts: Counts) -> list[str]:
    """A few lines for the terminal: what there is, what was refused, what looks wrong."""
    text = [
        f"{plural(counts.scans, 'scan')} of {plural(counts.patients, 'patient')}, {counts.masked_scans} with a mask; "
        f"{plural(counts.lesions, 'lesion')}, labelled: {counts.labelled[1]} radiation necrosis, "
        f"{counts.labelled[0]} without"
    ]
    text += [f"warning: {warning}" for warning in warnings(counts)]
    if counts.refused:
        text.append(f"refused: {tally(counts.refused)} (codes and details in quarantine.jsonl)")
    if counts.findings:
        text.append(f"used, but looks wrong: {tally(counts.findings)} (codes and details in findings.jsonl)")
    return text


def warnings(counts: Counts) -> list[str]:
    """What stands in the way of a hold-out, or of training a classifier on this cohort alone; empty if nothing does."""
    if counts.patients == 1 and counts.scans > 1:
        alone = [f"all {counts.scans} scans count as one patient: check how patients are told apart (summary.md)"]
    else:
        alone = []
    return alone + _class_warnings(counts)


def _class_warnings(counts: Counts) -> list[str]:
    missing = [name for label, name in CLASSES.items() if not counts.labelled[label]]
    if len(missing) == 2:
        return ["no lesion has a label: this cohort serves pre-training and prediction, not fine-tuning"]
    return [f"no lesion of the class {name!r}: a classifier cannot be trained on this cohort alone" for name in missing]


def markdown(
    cohort: pd.DataFrame, counts: Counts, *, contract: Mapping[str, Any], notes: Iterable[str], branches: Counter[str]
) -> str:
    """`summary.md`: tables of counts, the time-point rule and what the labels mean."""
    parts = [
        f"# Cohort {contract['dataset']}",
        "\n".join(f"- {line}" for line in lines(counts)),
        f"Layout `{contract['layout']}`, time-point rule `{contract['timepoint_rule']}`. " + " ".join(notes),
        "## Patients, scans and lesions by centre",
        _table(("site", "patients", "scans", "lesions", "radiation necrosis", "without", "unlabelled"), _sites(cohort)),
        "## Scans a patient",
        _table(("scans", "patients"), sorted(Counter(cohort.groupby("patient")["scan"].nunique()).items())),
        "## Which scan is classified",
        RULE,
        _table(("branch of the rule", "lesions"), sorted(branches.items())),
        "## What the labels mean",
        MEANING,
        "## Refused, and used although it looks wrong",
        _table(
            ("reason", "scans or lesions", "what was done"),
            [(reason, number, "refused") for reason, number in sorted(counts.refused.items())]
            + [(reason, number, "used") for reason, number in sorted(counts.findings.items())],
        ),
    ]
    return "\n\n".join(parts) + "\n"


def plural(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def tally(counts: Mapping[str, int]) -> str:
    """'3: unreadable 2, not_3d 1'."""
    return f"{sum(counts.values())}: " + ", ".join(f"{name} {number}" for name, number in sorted(counts.items()))


def _sites(cohort: pd.DataFrame) -> list[tuple[Any, ...]]:
    rows = []
    for site, part in cohort.groupby("site"):
        lesions = part[part["lesion"].notna()].drop_duplicates("lesion")
        by_label = [int((lesions["label"] == label).sum()) for label in (1, 0)]
        unlabelled = len(lesions) - sum(by_label)
        rows.append((site, part["patient"].nunique(), part["scan"].nunique(), len(lesions), *by_label, unlabelled))
    return rows


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    if not rows:
        return "None."
    body = [f"| {' | '.join(str(cell).replace('|', '/') for cell in row)} |" for row in (head, *rows)]
    return "\n".join([body[0], "|" + " --- |" * len(head), *body[1:]])


def _by_reason(entries: Sequence[Entry]) -> dict[str, int]:
    return dict(Counter(str(entry.reason) for entry in entries))
