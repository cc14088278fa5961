"""Artefacts made by hand, as docs/pipeline.md writes them: predictions, a foundation, attention, a run folder."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rnfm.core.artifact import Artifact, publish

COUNTS = {"holdout": (7, 15, "A"), "external": (9, 19, "B")}  # RN, no RN, site
CLASSIFIER = "cd" * 32  # digest of the classifier behind `ssl_vit` and its attention maps
DTYPES = {"fold": "int16", "seed": "int64", "probability": "float64", "label": "int8"}


def rows(method, *, counts=COUNTS, gain=1.5, seeds=(0,), noise=0):
    """Predictions of one method: the same lesions whatever the method; every third patient has two lesions."""
    found = []
    for split, (n_pos, n_neg, site) in counts.items():
        rng = np.random.default_rng([len(method), ord(method[0]), noise, len(split)])
        latent = rng.normal(size=n_pos + n_neg)
        for i in range(n_pos + n_neg):
            label = int(i < n_pos)
            patient = f"P-{site}{i - i % 3 // 2:07X}"  # lesions 1 and 2 of every three belong to one patient
            for seed in seeds:
                score = latent[i] + gain * label - gain / 2 + 0.1 * seed
                row = {"patient": patient, "lesion": f"P-{site}{i:07X}-L1", "site": site, "split": split}
                row |= {
                    "fold": -1,
                    "seed": seed,
                    "method": method,
                    "probability": 1 / (1 + np.exp(-score)),
                    "label": label,
                }
                found.append(row)
    return pd.DataFrame(found).astype(DTYPES)


def write_predictions(path: Path, frame: pd.DataFrame, **inputs) -> Path:
    """Publish `frame` as a predictions artefact with `inputs` (role=digest) in its lineage."""
    with publish(path, "predictions", 1, lineage={"config_hash": "-", "inputs": inputs}) as draft:
        frame.to_parquet(draft.path / "predictions.parquet", index=False)
    return path


def write_foundation(path: Path, patients=("P-POOL0001", "P-POOL0002"), **extra) -> Artifact:
    contract = {
        "architecture": {"name": "vit_tiny", "crop": [48, 48, 48], "patch": [8, 8, 8], "in_channels": 1},
        "input": {"axes": "RAS", "spacing_mm": [1.0, 1.0, 1.0], "intensity": {"rule": "zscore"}, "channels": ["t1ce"]},
    }
    lineage = {"inputs": {"shards": "ab" * 32}, "objective": "mae", "steps": 400, "run_id": "r1", **extra}
    lineage |= {} if patients is None else {"patients": sorted(patients)}
    with publish(path, "foundation", 1, contract=contract, lineage=lineage) as draft:
        (draft.path / "model.safetensors").write_bytes(b"\0" * 64)
        (draft.path / "README.md").write_text("# Foundation\n\nMasked autoencoding on T1CE <b>sub-volumes</b>.\n")
    return Artifact.open(path)


def write_classifier(path: Path, foundation: str = "", weight: int = 0) -> Artifact:
    with publish(path, "classifier", 1, contract={"foundation": foundation or None}, lineage={"inputs": {}}) as draft:
        (draft.path / "model.safetensors").write_bytes(bytes([weight]) * 64)
    return Artifact.open(path)


def write_attention(path: Path, frame: pd.DataFrame, drop: str = "") -> Path:
    """Discs in noise, with a map that peaks inside; `drop` leaves one array out."""
    table = frame[frame["seed"] == 0][["lesion", "site", "label", "probability"]].copy()
    table["scan"], table["file"] = "S-00000001", "map.nii.gz"
    r, a = np.mgrid[:64, :80]
    arrays = {}
    for number, lesion in enumerate(table["lesion"]):
        rng = np.random.default_rng(number)
        distance = np.hypot(r - 20 - number % 20, a - 45)
        head = np.hypot((r - 32) / 28, (a - 40) / 36) < 1
        arrays[f"{lesion}_image"] = (
            head * (0.5 + 0.1 * rng.normal(size=r.shape)) + 0.5 * (abs(distance - 8) < 2)
        ).astype("f4")
        arrays[f"{lesion}_mask"] = (distance < 9).astype("f4")
        arrays[f"{lesion}_map"] = (np.exp(-((distance / 10) ** 2)) + 0.2 * rng.random(r.shape)).astype("f4")
    arrays.pop(drop, None)
    with publish(path, "attention", 1, lineage={"inputs": {"classifier": CLASSIFIER}}) as draft:
        table.to_parquet(draft.path / "attention.parquet", index=False)
        np.savez_compressed(draft.path / "slices.npz", **arrays)
    return path


def write_run(path: Path, steps: int = 400) -> Path:
    (path / "logs").mkdir(parents=True)
    lines = []
    for step in range(1, steps + 1):
        row = {"step": step, "train/loss": 0.3 + 0.7 * np.exp(-step / 80) + 0.03 * np.sin(step)}
        if step % 100 == 0:
            row |= {"val/loss": 0.32 + 0.6 * np.exp(-step / 80), "val/mean_intensity": 0.9, "val/blurred_input": 0.25}
        lines.append(json.dumps(row))
    (path / "metrics.jsonl").write_text("\n".join(lines) + '\n{"step": 401, "tr')
    return path


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    """Four methods on two centres, one with three seeds, one foundation; read only."""
    tmp_path = tmp_path_factory.mktemp("study")
    foundation = write_foundation(tmp_path / "foundation")
    made = {
        "ssl_vit": (2.2, (0, 1, 2), {"foundation": foundation.digest, "classifier": CLASSIFIER}),
        "supervised_vit": (0.5, (0,), {}),
        "radiomics_l2": (1.4, (0,), {}),
        "volume_only": (0.2, (0,), {}),
    }
    paths = [
        write_predictions(tmp_path / name, rows(name, gain=gain, seeds=seeds), **inputs)
        for name, (gain, seeds, inputs) in made.items()
    ]
    return {"predictions": paths, "foundation": foundation, "folder": tmp_path}
