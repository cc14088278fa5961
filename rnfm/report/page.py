"""Everything the report's template shows, as plain values: one function a section, no markup here."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from rnfm.core.artifact import Artifact
from rnfm.report import judge, leakage, pictures, table, words
from rnfm.report.evaluate import read_tables
from rnfm.report.pictures import Picture
from rnfm.report.write import Sources

SPARK = (176.0, 11.0)  # size of the small interval drawing in a table cell [px]


@dataclass(frozen=True)
class Page:
    """The template's facts, every picture once, and what the caller has to know."""

    facts: dict[str, Any]
    pictures: list[Picture]
    warnings: list[str]
    leak: bool


def build(sources: Sources, *, title: str, note: str | None, gallery: int) -> Page:
    """Collect the facts and draw the figures."""
    evaluation = sources.evaluation
    metrics, compared = read_tables(evaluation)
    curves = json.loads(evaluation.file("curves.json").read_text())
    reference = evaluation.contract["reference"]
    shown = reference if reference in set(metrics["method"]) else metrics["method"].iloc[0]
    tested = evaluation.lineage["test_patients"]
    leak = leakage.check(sources.foundation, tested) if sources.foundation else None
    splits = evaluation.contract["splits"]
    roc = [pictures.roc(curves, metrics, split, shown) for split in splits]
    calibrated = [pictures.calibration(curves, split, shown) for split in splits]
    overlays = [
        {
            "method": words.method(_method_of(artifact, evaluation)),
            "pictures": _gallery(artifact, evaluation, gallery),
        }
        for artifact in sources.attention
    ]
    warnings = [*evaluation.contract["warnings"], *_provenance_warnings(sources)]
    facts = {
        "title": title,
        "note": note,
        "warnings": warnings,
        "leak": leak,
        "names": words.SPLITS,
        "most": gallery,
        "findings": words.findings(metrics, compared, reference, evaluation.contract["level"]),
        "cohort": _cohort(evaluation),
        "table": _table(metrics, evaluation),
        "forest": pictures.forest(metrics, shown),
        "roc": [picture for picture in roc if picture],
        "comparisons": _comparisons(compared),
        "calibration_figures": [picture for picture in calibrated if picture],
        "calibration": _calibration(curves, metrics),
        "galleries": [part for part in overlays if part["pictures"]],
        "training": pictures.training(sources.metrics) if sources.metrics else None,
        "training_sentence": words.pretraining(sources.metrics) if sources.metrics else None,
        "foundation": _foundation(sources.foundation) if sources.foundation else None,
        "settings": evaluation.contract,
        "reference": words.method(reference),
        "provenance": _provenance(sources),
        "version": evaluation.lineage["rnfm"],
        "code": evaluation.lineage["code"],
    }
    drawn = [
        facts["forest"],
        *facts["roc"],
        *facts["calibration_figures"],
        *([facts["training"]] if facts["training"] else []),
    ]
    drawn += [picture for part in facts["galleries"] for picture in part["pictures"]]
    return Page(facts, drawn, warnings, bool(leak and leak.found))


def _method_of(attention: Artifact, evaluation: Artifact) -> str:
    """The judged method whose classifier made these maps; empty where the lineage does not say."""
    classifier = attention.lineage.get("inputs", {}).get("classifier")
    by_method = evaluation.lineage["made_by"]["classifier"]
    return next((method for method, digest in by_method.items() if digest == classifier), "")


def _gallery(artifact: Artifact, evaluation: Artifact, most: int) -> list[Picture]:
    return pictures.attention(artifact, evaluation.contract["threshold"], most) if most else []


def _cohort(evaluation: Artifact) -> list[dict[str, Any]]:
    cohort = evaluation.contract["cohort"]
    return [
        {"name": words.SPLITS[split], "meaning": words.SPLIT_MEANING[split], **cohort[split]}
        for split in evaluation.contract["splits"]
    ]


def _table(metrics: pd.DataFrame, evaluation: Artifact) -> dict[str, Any]:
    """Methods x centres; every cell with its text and a drawing of its interval on one common scale."""
    cells = {(row.method, row.split, row.site): row for row in judge.rows(metrics)}
    places = table.places_of(metrics)
    lowest = metrics["auc_low"].min()
    floor = 0.4 if math.isnan(lowest) else min(0.4, math.floor(lowest * 10) / 10)
    rows = []
    for name in dict.fromkeys(metrics["method"]):
        found = [cells.get((name, place.split, place.site)) for place in places]
        strong = name == evaluation.contract["reference"]
        rows.append({"name": words.method(name), "strong": strong, "cells": [_cell(cell, floor) for cell in found]})
    cohort = evaluation.contract["cohort"]
    heads = [
        {
            "name": words.split_with_sites(place.split, cohort) if place.site == judge.ALL else f"site {place.site}",
            "n": place.n,
            "n_pos": place.n_pos,
        }
        for place in places
    ]
    return {"heads": heads, "rows": rows, "floor": floor}


def _cell(cell: Any, floor: float) -> dict[str, Any] | None:
    if cell is None:
        return None
    found = {"auc": cell.auc, "low": cell.auc_low, "high": cell.auc_high, "n": cell.n, "spark": None}
    if not math.isnan(cell.auc_low):
        width, height = SPARK
        x = {
            name: round(4 + (width - 8) * (value - floor) / (1 - floor), 1)
            for name, value in (("low", cell.auc_low), ("high", cell.auc_high), ("auc", cell.auc), ("chance", 0.5))
        }
        found["spark"] = {"width": width, "height": height, **x}
    return found


def _comparisons(compared: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {
            "split": words.SPLITS[row.split],
            "a": words.method(row.method_a),
            "b": words.method(row.method_b),
            "n": row.n,
            "auc_a": row.auc_a,
            "auc_b": row.auc_b,
            "difference": row.auc_a - row.auc_b,
            "z": row.z,
            "p": row.p,
            "p_holm": row.p_holm,
        }
        for row in judge.rows(compared)
    ]


def _calibration(curves: dict[str, Any], metrics: pd.DataFrame) -> list[dict[str, Any]]:
    fits = {(fit["method"], fit["split"]): fit for fit in curves["calibration"]}
    found = []
    for row in judge.rows(metrics[metrics["site"] == judge.ALL]):
        fit = fits.get((row.method, row.split), {})
        name = {"method": words.method(row.method), "split": words.SPLITS[row.split]}
        fitted = {"slope": fit.get("slope"), "intercept": fit.get("intercept")}
        found.append(
            {**name, **fitted, "brier": row.brier, "sensitivity": row.sensitivity, "specificity": row.specificity}
        )
    return found


def _foundation(artifact: Artifact) -> dict[str, Any]:
    """Facts of the contract and lineage, and the model card as it was written."""
    lineage = artifact.lineage
    rows = [
        ("Objective", lineage.get("objective")),
        ("Optimiser steps", lineage.get("steps")),
        ("Patients seen", len(lineage["patients"]) if "patients" in lineage else None),
        ("Architecture", words.architecture(artifact.contract)),
        ("Input contract", words.input_contract(artifact.contract)),
        ("Training data (digest)", (lineage.get("inputs", {}).get("shards") or "")[:16]),
        ("Tracked run", lineage.get("run_id")),
        ("Code", lineage.get("code")),
        ("Artefact (digest)", artifact.digest[:16]),
    ]
    card = artifact.path / "README.md"
    return {
        "rows": [(name, value) for name, value in rows if value not in (None, "")],
        "card": card.read_text() if card.is_file() else None,
    }


def _provenance(sources: Sources) -> list[tuple[str, str]]:
    given = {role: digest for role, digest in sources.inputs.items() if not role.startswith("predictions")}
    judged = {
        f"judged {role.replace('_', ' ')}": digest for role, digest in sources.evaluation.lineage["inputs"].items()
    }
    return [(role.replace("_", " "), digest) for role, digest in {**given, **judged}.items()]


def _provenance_warnings(sources: Sources) -> list[str]:
    """Where what was given does not belong to what was judged."""
    found = []
    judged = set(sources.evaluation.lineage["inputs"].values())
    strangers = [artifact for artifact in sources.predictions if artifact.digest not in judged]
    if strangers:
        found.append(f"{len(strangers)} of the predictions given are not those that were judged: judge them again.")
    behind = set(sources.evaluation.lineage["made_by"]["foundation"].values())
    if sources.foundation and sources.foundation.digest not in behind:
        named = "another foundation than the one described here" if behind else "no foundation"
        found.append(f"The lineage of the judged predictions names {named}; what is said of it may not apply to them.")
    return found
