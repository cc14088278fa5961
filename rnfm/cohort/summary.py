"""Words and counts for people: `summary.md` of a cohort, and the lines the command prints. Codes and counts only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rnfm.cohort import sensitivity
from rnfm.cohort.courses import Course
from rnfm.cohort.records import FOLLOW_UP, NO_RN_RECORDED, PATHOLOGY, RN_RECORDED
from rnfm.cohort.timepoint import GROWTH, RULES
from rnfm.core.ledger import Entry

if TYPE_CHECKING:
    import pandas as pd

EDGES = ((1.5, "to 1.5 mm"), (3.0, "1.5 to 3 mm"), (float("inf"), "above 3 mm"))
CLASSES = {1: "radiation necrosis", 0: "no radiation necrosis recorded"}
# The words of `label_source`, and what each means; an adapter may use its own word, which then stands for itself.
SOURCES = {
    PATHOLOGY: "the tissue decided",
    FOLLOW_UP: "the source itself decided, from how the lesion developed",
    RN_RECORDED: "the source holds a date of radiation necrosis; how it was diagnosed is not stated",
    NO_RN_RECORDED: "the source holds no date of radiation necrosis, and nothing else about the outcome",
}
MEANING = (
    "`no RN recorded` (label 0) means that the source holds no necrosis date for the lesion. It does not mean that "
    "tumour progression was proven: such a lesion may have progressed, stayed stable, or not been followed for long "
    "enough. Where `label_source` says `pathology` or `follow-up`, the source itself decided."
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
    cohort: pd.DataFrame,
    counts: Counts,
    *,
    contract: Mapping[str, Any],
    notes: Iterable[str],
    courses: Sequence[Course],
) -> str:
    """`summary.md`: tables of counts, the time-point rule and what else it could have been, what the labels mean."""
    rule = contract["timepoint_rule"]
    parts = [
        f"# Cohort {contract['dataset']}",
        "\n".join(f"- {line}" for line in lines(counts)),
        f"Layout `{contract['layout']}`, time-point rule `{rule}`. " + " ".join(notes),
        "## Patients, scans and lesions by centre",
        _table(("site", "patients", "scans", "lesions", "radiation necrosis", "without", "unlabelled"), _sites(cohort)),
        "## Scans a patient, time points a lesion",
        _table(("scans", "patients"), sorted(Counter(cohort.groupby("patient")["scan"].nunique()).items())),
        _table(("time points", "lesions"), sorted(Counter(cohort.groupby("lesion")["timepoint"].nunique()).items())),
        "## Scanners",
        _table(("modality", "vendor", "field strength [T]", "largest voxel edge", "scans"), _scanners(cohort)),
        "## Which scan is classified",
        *_rule(courses, rule),
        "## What the labels mean",
        _table(("label", "source", "lesions", "meaning"), _labels(cohort)),
        MEANING,
        *_what_counts(courses),
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


def _scanners(cohort: pd.DataFrame) -> list[tuple[Any, ...]]:
    scans = cohort.drop_duplicates("scan")
    tesla = ["unknown" if known != known or known is None else f"{known:g}" for known in scans["field_strength_t"]]
    edges = [next(word for limit, word in EDGES if max(spacing_mm) <= limit) for spacing_mm in scans["spacing_mm"]]
    vendors = scans["vendor"].fillna("unknown")
    counts = Counter(zip(scans["modality"], vendors, tesla, edges, strict=True))
    return [(*key, number) for key, number in sorted(counts.items())]


def _rule(courses: Sequence[Course], rule: str) -> list[str]:
    """The rule in words, its branches by class, and every other rule beside it."""
    known, followed = sensitivity.growth_known(courses)
    use = (
        "It looks at no label, so `clinical_months_since_srs` is a clinical feature here."
        if RULES[rule].label_free
        else "It looks at the necrosis date, so the time of the chosen scan partly tells the label: "
        "`clinical_months_since_srs` is left out (`months_since_srs` stays, and is no feature)."
    )
    rows = [
        (
            f"`{other.rule}`{' (in force)' if other.rule == rule else ''}",
            "no" if other.label_free else "yes",
            *(f"{other.moved[label]}" for label in (1, 0)),
            *("" if shift is None else f"{shift:+.1f}" for shift in (other.shift_months[1], other.shift_months[0])),
            "unknown" if other.auc_of_time is None else "{:.2f} ({:.2f} to {:.2f})".format(*other.auc_of_time),
        )
        for other in sensitivity.compare(courses, rule)
    ]
    head = (
        *("rule", "sees the RN date", "RN lesions on another scan", "lesions without RN on another scan"),
        *("median shift, RN [months]", "median shift, without [months]", "AUC of the time alone (95%)"),
    )
    return [
        f"One scan a lesion is classified (`classified`): {RULES[rule].words}; where no scan with a mask is known to "
        f"follow radiosurgery, the last of all. {use}",
        _table(
            ("branch of the rule", "radiation necrosis", "without", "unlabelled"), sensitivity.branches(courses, rule)
        ),
        f"Growth is a volume of at least {GROWTH:g} times the smallest one since the last scan before radiosurgery; it can "
        f"be told for {known} of {plural(followed, 'lesion')} with a scan after radiosurgery.",
        "Under another rule (labelled lesions; shifts are of those that move; 0.50 means that the time tells nothing):",
        _table(head, rows),
    ]


def _labels(cohort: pd.DataFrame) -> list[tuple[Any, ...]]:
    lesions = cohort[cohort["lesion"].notna()].drop_duplicates("lesion")
    known = lesions[lesions["label"].notna()]
    counts = Counter(zip(known["label"].astype(int), known["label_source"].fillna("not stated"), strict=True))
    rows: list[tuple[Any, ...]] = [
        (f"{label} ({CLASSES[label]})", source, number, SOURCES.get(source, "as the source says"))
        for (label, source), number in sorted(counts.items(), reverse=True)
    ]
    unlabelled = len(lesions) - len(known)
    return rows + ([("null", "none", unlabelled, "no label, so not in the labelled cohort")] if unlabelled else [])


def _what_counts(courses: Sequence[Course]) -> list[str]:
    """Lesions that count although no mask of theirs follows radiosurgery."""
    before, unknown = sensitivity.not_followed(courses)
    texts = []
    if sum(before.values()):
        texts.append(
            f"Of the labelled lesions {sum(before.values())} ({before[1]} with RN, {before[0]} without) have no mask after "
            "radiosurgery. They count, and are classified on their last scan before it, on which the treatment's effect "
            "cannot be seen yet."
        )
    if sum(unknown.values()):
        texts.append(
            f"Of {plural(sum(unknown.values()), 'labelled lesion')} ({unknown[1]} with RN, {unknown[0]} without) the time "
            "since radiosurgery is unknown; they are classified on their last scan."
        )
    return texts


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    if not rows:
        return "None."
    body = [f"| {' | '.join(str(cell).replace('|', '/') for cell in row)} |" for row in (head, *rows)]
    return "\n".join([body[0], "|" + " --- |" * len(head), *body[1:]])


def _by_reason(entries: Sequence[Entry]) -> dict[str, int]:
    return dict(Counter(str(entry.reason) for entry in entries))
