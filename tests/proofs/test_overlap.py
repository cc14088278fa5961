"""Proof: copies of scans planted under other names, class by class; how many `rnfm data overlap` finds, and its false alarms.

`make prove` runs it whole (resumable: what is finished stands in the JSON beside this file). 100 simulated patients of one
template, which is the hard case for false alarms (their brains differ by a smooth deformation only), two time points of
some of them, and the real scans named by RNFM_REAL_DATA, which are the hard case for recall (slabs of 23 slices whose
headers claim 1 mm). Each scan has another name, patient and grid than its copy (1.5 mm against 2 mm).
"""

from __future__ import annotations

import importlib.util
import json
import os
import time
from collections import defaultdict
from itertools import combinations
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from rnfm import insilico, volume
from rnfm.cohort import aligning, likeness, overlapping, screening
from rnfm.core.files import write_json
from rnfm.volume.intensity import foreground

RESULT = Path(__file__).with_suffix(".json")
SEED = 5
PATIENTS, COPIES, CANDIDATES = 100, 20, 5
HARD = ("five at once", "registered")  # not every one is found; the others are, all of them
OBLIQUE_DEG = 5.0  # a stack flipped against an oblique header is a head that is mirrored and turned by twice that angle
LESIONS = 40  # of the home centre, some of whose patients have two time points
BINS = np.linspace(-1, 1, 41)


@pytest.mark.timeout(3 * 3600)
def test_recall_and_false_alarms_by_class(tmp_path: Path) -> None:
    done: dict[str, Any] = (
        json.loads(RESULT.read_text()) if RESULT.exists() else {"seed": SEED, "candidates": CANDIDATES}
    )
    done.setdefault("screening_2000x2000_s", screening_seconds())
    if "simulated" not in done or "distinct" not in done["simulated"]:
        cohort = insilico.InsilicoConfig(
            out=tmp_path / "made", pool_subvolumes=PATIENTS, subvolumes_per_scan=1, site_a=LESIONS, site_b=0, seed=SEED, voxel_mm=2, workers=1
        )  # fmt: skip
        insilico.make(cohort)
        pool = {path.name: path for path in sorted((cohort.out / "pool/images").glob("*.nii*"))}
        study(done.setdefault("simulated", {}), pool, {name: name for name in pool}, done)
        twice = {path.name: path for path in sorted((cohort.out / "site_a").rglob("*_img.nii*"))}
        time_points(done["simulated"], twice, {name: name.split("_")[0] for name in twice}, done)
    if os.environ.get("RNFM_REAL_DATA"):
        scans = {path.name: path for path in sorted((Path(os.environ["RNFM_REAL_DATA"]) / "t1c").glob("*.nii.gz"))}
        patients = {name: name.split("_")[0] for name in scans}
        study(done.setdefault("real", {}), scans, patients, done)
        time_points(done["real"], scans, patients, done)
    print(json.dumps(done, indent=1))
    for name in ("simulated", "real") if "real" in done else ("simulated",):
        assert done[name]["distinct"]["alarms"] == 0
    for kind, found in done["simulated"]["copies"].items():
        planted, seen = found["planted"], found["found"]
        if kind.startswith("flipped"):
            planted, seen = planted - found["oblique"], seen - found["oblique_found"]
        assert seen >= (0.9 if kind in HARD else 1) * planted, kind


def study(found: dict[str, Any], scans: dict[str, Path], patients: dict[str, str], whole: dict[str, Any]) -> None:
    """Every class of copy, and the alarms among scans of distinct patients."""
    makers = _makers()
    if set(found.get("copies", {})) == set(makers) and "distinct" in found:
        return
    originals = {name: thumb(volume.load(path), 1.5) for name, path in scans.items()}
    spectra = {name: screening.spectrum(one) for name, one in originals.items()}
    every = max(1, len(scans) // COPIES)
    for number, (kind, make) in enumerate(makers.items()):
        if kind in found.setdefault("copies", {}):
            continue
        copies, oblique = {}, set()
        for name in sorted(scans)[number % min(4, every) :: every][:COPIES]:
            source = volume.load(scans[name])
            data, affine = make(source.data, source.affine, np.random.default_rng([SEED, number, len(copies)]))
            if np.degrees(nibabel.affines.obliquity(source.affine)).max() > OBLIQUE_DEG:
                oblique.add(f"copy of {name}")
            copies[f"copy of {name}"] = thumb(volume.Volume(np.ascontiguousarray(data, np.float32), affine), 2.0)
        scores = compared(originals, copies, spectra)
        hidden = {copy: f"hidden {patients[copy.removeprefix('copy of ')]}" for copy in copies}
        pairs = {(pair.first, pair.second): pair for pair in overlapping.judge(scores, patients, hidden)}
        true = [(copy.removeprefix("copy of "), copy) for copy in copies]
        others = [pair for pair in pairs if patients[pair[0]] != patients[pair[1].removeprefix("copy of ")]]
        own = np.array([scores[pair].score if pair in scores else -1.0 for pair in true])
        found["copies"][kind] = {
            "oblique": len(oblique), "oblique_found": sum(pair in pairs for pair in true if pair[1] in oblique),
            "planted": len(true), "screened": sum(pair in scores for pair in true),
            "found": sum(pair in pairs for pair in true), "as_copy": sum(pair in pairs and pairs[pair].kind == "copy" for pair in true),
            "wrong_patient": len(others), "score_min": round(float(own.min()), 3), "score_median": round(float(np.median(own)), 3),
        }  # fmt: skip
        write_json(RESULT, whole)
    both_ways = compared(originals, originals, spectra, patients)
    scores = {pair: score for pair, score in both_ways.items() if pair[0] < pair[1] or pair[::-1] not in both_ways}
    values = np.array([one.score for one in scores.values()])
    alarms = overlapping.judge(scores, patients, patients)
    distinct = sum(patients[a] != patients[b] for a, b in combinations(sorted(scans), 2))
    found["distinct"] = {
        "pairs": distinct, "looked_at": len(values), "alarms": len(alarms), "score_median": round(float(np.median(values)), 3),
        "score_max": round(float(values.max()), 3), "histogram_from_-1_by_0.05": np.histogram(values, BINS)[0].tolist(),
    }  # fmt: skip
    write_json(RESULT, whole)


def time_points(found: dict[str, Any], scans: dict[str, Path], patients: dict[str, str], whole: dict[str, Any]) -> None:
    """Two scans of one patient under two codes, as when a patient was indexed with two key tables."""
    if "time_points" in found:
        return
    by_patient: dict[str, list[str]] = defaultdict(list)
    for name in sorted(scans):
        by_patient[patients[name]].append(name)
    first = {names[0]: thumb(volume.load(scans[names[0]]), 1.5) for names in by_patient.values()}
    later = {name: thumb(volume.load(scans[name]), 1.5) for names in by_patient.values() for name in names[1:2]}
    scores = compared(first, later, {name: screening.spectrum(one) for name, one in first.items()})
    hidden = {name: f"hidden {patients[name]}" for name in later}
    pairs = {(pair.first, pair.second): pair for pair in overlapping.judge(scores, patients, hidden)}
    true = [(by_patient[patients[name]][0], name) for name in later]
    own = np.array([scores[pair].score if pair in scores else -1.0 for pair in true])
    found["time_points"] = {
        "planted": len(true), "found": sum(pair in pairs for pair in true),
        "as_copy": sum(pair in pairs and pairs[pair].kind == "copy" for pair in true),
        "wrong_patient": sum(pair not in true for pair in pairs), "score_min": round(float(own.min()), 3), "score_median": round(float(np.median(own)), 3),
    }  # fmt: skip
    write_json(RESULT, whole)


def compared(
    one: dict[str, np.ndarray],
    two: dict[str, np.ndarray],
    spectra: dict[str, np.ndarray],
    patients: dict[str, str] | None = None,
) -> dict[tuple[str, str], aligning.Likeness]:
    """As `rnfm data overlap` does it: screening, then each candidate; scans of one patient (if given) are left out."""
    names = (list(one), list(two))
    rows = [
        np.stack([spectra[name] if name in spectra else screening.spectrum(side[name]) for name in side])
        for side in (one, two)
    ]
    skip = np.array([[patients is not None and patients[a] == patients[b] for b in names[1]] for a in names[0]])
    wanted = screening.candidates(rows[0], rows[1], CANDIDATES, skip)
    return {(names[0][a], names[1][b]): aligning.compare(one[names[0][a]], two[names[1][b]]) for a, b in wanted}


def thumb(scan: volume.Volume, spacing_mm: float) -> np.ndarray:
    canonical = volume.canonicalise(scan, (spacing_mm,) * 3)
    return likeness.thumbnail(canonical.data, foreground(canonical.data), canonical.spacing_mm)


def screening_seconds() -> float:
    """2,000 against 2,000 scans: all four million pairs, by spectra."""
    draw = np.random.default_rng(SEED)
    size = len(screening.spectrum(np.ones((8, 8, 8), np.uint8)))
    one, two = draw.normal(size=(2, 2000, size)).astype(np.float32)
    start = time.perf_counter()
    screening.candidates(one, two, CANDIDATES)
    return round(time.perf_counter() - start, 2)


def _makers() -> dict[str, Any]:
    spec = importlib.util.spec_from_file_location("planted", Path(__file__).parents[1] / "cohort/planted_copies.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.MAKERS
