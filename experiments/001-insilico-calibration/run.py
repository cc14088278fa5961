"""Experiment 001: is the simulated cohort as hard as it should be? One command; a killed run goes on where it was.

python experiments/001-insilico-calibration/run.py [--cache DIR] [--workers N] [--montage docs/img/insilico.png]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import cnn
import lesions
import montage
import numpy as np
import readers
import torch
import yaml

from rnfm.core.files import write_json

HERE = Path(__file__).resolve().parent
SITES = ("site_a", "site_b")
BOUNDS = {
    "volume": (0.55, 0.65),
    "mean": (0.45, 0.60),
    "clinical": (0.55, 0.70),
    "radiomics": (0.65, 0.80),
    "oracle": (0.92, 1.0),
    "cnn_many": (0.85, 1.0),
    "cnn_few": (0.0, 0.70),
}


def main() -> None:
    settings = yaml.safe_load((HERE / "config.yaml").read_text())
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=HERE / settings["cache"])
    parser.add_argument("--workers", type=int, default=settings["workers"])
    parser.add_argument("--montage", type=Path, help="write the picture of both classes there, and nothing else")
    given = parser.parse_args()
    if given.montage:
        montage.write(given.montage)
        return
    torch.set_num_threads(1)
    start, key = time.monotonic(), lesions.physics_key()
    cache = given.cache / key
    home, away = (_table(cache, site, settings["lesions"], 0, given.workers) for site in SITES)
    results: dict[str, Any] = {"physics": key, "bounds": BOUNDS, "lesions_a_site": settings["lesions"]}
    results["table"] = _readings(home, away, seed=0)
    learned = [_labelled(cache, site, settings, given.workers) for site in SITES]
    many = _many(cache, learned)
    results["table"]["cnn_many"] = _both(home, away, [cnn.predict(many, site["crop"]) for site in (home, away)])
    results["table"]["cnn_few"] = _few(cache, settings, learned[0], (home, away))
    results["small"] = _small(cache, settings, many, given.workers)
    results["minutes"] = round((time.monotonic() - start) / 60, 1)
    write_json(HERE / "results.json", results)
    print("\n".join(_lines(results)))


def _table(cache: Path, site: str, count: int, seed: int, workers: int) -> dict[str, Any]:
    return lesions.gather(cache, site, seed, count=count, features=True, workers=workers)


def _both(home: dict[str, Any], away: dict[str, Any], scores: list[Any]) -> dict[str, Any]:
    pairs = zip(SITES, (home, away), scores, strict=True)
    return {site: readers.area(columns["label"], score) for site, columns, score in pairs}


def _readings(home: dict[str, Any], away: dict[str, Any], seed: int) -> dict[str, dict[str, Any]]:
    """reader -> site -> area; fitted readers out of fold within each site, and from the first site on the second."""
    out: dict[str, dict[str, Any]] = {}
    for site, columns in zip(SITES, (home, away), strict=True):
        for name, found in (readers.plain(columns) | readers.cross_validated(columns, seed)).items():
            out.setdefault(name, {})[site] = found
    for name, found in readers.external(home, away, seed).items():
        out[name]["a_to_b"] = found
    return out


def _labelled(cache: Path, site: str, settings: dict[str, Any], workers: int) -> dict[str, Any]:
    """Half of the lesions that the CNN learns from: those of one site."""
    half, first = settings["labels"] // 2, settings["lesions"]
    return lesions.gather(cache, site, 0, start=first, count=half, features=False, workers=workers)


def _many(cache: Path, learned: list[dict[str, Any]]) -> torch.nn.Module:
    crops, label = (np.concatenate([part[name] for part in learned]) for name in ("crop", "label"))
    return cnn.train(crops, label, seed=0, state=cache / f"cnn-{len(label)}.pt")


def _few(
    cache: Path, settings: dict[str, Any], learned: dict[str, Any], table: tuple[dict[str, Any], dict[str, Any]]
) -> dict[str, Any]:
    """The CNN with few labels, from draws that share no lesion: one draw of so few says little."""
    runs = []
    for draw in range(settings["few_draws"]):
        chosen = slice(draw * settings["few_labels"], (draw + 1) * settings["few_labels"])
        crops, label = learned["crop"][chosen], learned["label"][chosen]
        net = cnn.train(crops, label, seed=draw, state=cache / f"cnn-{len(label)}-draw-{draw}.pt")
        runs.append(_both(*table, [cnn.predict(net, site["crop"]) for site in table]))
    return _spread(runs)


def _small(cache: Path, settings: dict[str, Any], many: torch.nn.Module, workers: int) -> dict[str, Any]:
    """The paper's sizes over seeds: mean, least and most of every reader."""
    runs = []
    for seed in settings["seeds"]:
        home = _table(cache, "site_a", settings["site_a"], seed, workers)
        away = _table(cache, "site_b", settings["site_b"], seed, workers)
        found = _readings(home, away, seed)
        found["cnn_many"] = _both(home, away, [cnn.predict(many, site["crop"]) for site in (home, away)])
        runs.append(found)
    sizes = {name: settings[name] for name in (*SITES, "seeds")}
    return {**sizes, "readers": {name: _spread([run[name] for run in runs]) for name in runs[0]}}


def _spread(runs: list[dict[str, Any]]) -> dict[str, Any]:
    areas = {site: [run[site]["auc"] for run in runs] for site in runs[0]}
    return {
        site: {"auc": round(float(np.mean(found)), 4), "low": min(found), "high": max(found), "all": found}
        for site, found in areas.items()
    }


def _lines(results: dict[str, Any]) -> list[str]:
    """The table of the README: reader, bounds, each site, and whether it is within bounds at both."""
    out = ["| reader | bounds | site A | site B | A to B | within |", "|---|---|---|---|---|---|"]
    for name, (low, high) in BOUNDS.items():
        found = results["table"][name]
        cells = [
            f"{a['auc']:.3f} [{a['low']:.3f}-{a['high']:.3f}]" if a else "" for a in map(found.get, (*SITES, "a_to_b"))
        ]
        within = all(low <= found[site]["auc"] <= high for site in SITES)
        out.append(f"| {name} | {low:.2f}-{high:.2f} | {' | '.join(cells)} | {'yes' if within else 'no'} |")
    out += ["", "| reader | site A, mean (least-most) | site B | A to B |", "|---|---|---|---|"]
    for name, found in results["small"]["readers"].items():
        cells = [
            f"{a['auc']:.2f} ({a['low']:.2f}-{a['high']:.2f})" if a else "" for a in map(found.get, (*SITES, "a_to_b"))
        ]
        out.append(f"| {name} | {' | '.join(cells)} |")
    return out


if __name__ == "__main__":
    main()
