"""A small labelled cohort at two centres, written by hand as docs/pipeline.md says: volumes, split, foundation.

Lesions are balls in noise. Label 1 has a dark core, which any method that looks at the image can learn; volume, mean
intensity and clinical columns carry nothing unless a test says so.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import zarr

from rnfm.core import InputContract, publish

SHAPE = (48, 32, 32)
AFFINE = np.array([[1.0, 0, 0, -20], [0, 1, 0, -10], [0, 0, 1, 5], [0, 0, 0, 1]])
# The source scan: axes L, A, S and 2 mm slices.
SOURCE_AFFINE = np.array([[-1.0, 0, 0, 27], [0, 1, 0, -10], [0, 0, 2, 5], [0, 0, 0, 1]])
SOURCE_SHAPE = (48, 32, 16)
OWN = ("image", "mask", "patient", "site", "label", "of_scan")


def lesion_scan(random: np.random.Generator, label: int, *, value: int = 11) -> tuple[np.ndarray, np.ndarray]:
    """(image float16, mask uint16) of one scan with a ball of radius 4..6 near the middle and a second lesion in a corner."""
    radius = random.uniform(4, 6)
    centre = np.array([24, 16, 16]) + random.integers(-4, 5, 3)
    distance = np.linalg.norm(np.indices(SHAPE) - centre[:, None, None, None], axis=0)
    image = random.normal(0, 0.3, SHAPE)
    image[distance < radius] += 2.0
    if label:
        image[distance < radius * 0.7] -= 3.0
    mask = np.zeros(SHAPE, np.uint16)
    mask[distance < radius] = value
    mask[:2, :2, :2] = 99
    return image.astype(np.float16), mask


def write_volumes(path: Path, scans: list[dict], *, contract: InputContract | None = None) -> Path:
    """A volumes artefact. Each scan: patient, site, label, image, mask, columns of scans.parquet to override under
    `of_scan`, and any column of cohort.parquet.
    """
    contract = contract or InputContract()
    numbers = {"low": -3.0, "high": 3.0, "mean": 100.0, "sd": 40.0}
    rows, cohort = [], []
    for i, scan in enumerate(scans):
        code = f"S-{scan['patient'][2:]}"
        rows.append(
            {
                "scan": code,
                "patient": scan["patient"],
                "site": scan["site"],
                "geometry": _geometry(scan),
                "row": sum(_geometry(other) == _geometry(scan) for other in scans[:i]),
                "affine": AFFINE.ravel().tolist(),
                "source_affine": SOURCE_AFFINE.ravel().tolist(),
                "source_shape_vox": list(SOURCE_SHAPE),
                **{f"intensity_{name}": value for name, value in numbers.items()},
                "foreground_voxels": 1000,
                "has_mask": True,
                "voxels_sha256": f"{i:064x}",
                **scan.get("of_scan", {}),
            }
        )
        cohort.append(
            {
                "patient": scan["patient"],
                "scan": code,
                "lesion": f"{scan['patient']}-L1",
                "dataset": "hand",
                "site": scan["site"],
                "day": 0,
                "has_mask": True,
                "mask_values": [11],
                "classified": True,
                "label": scan["label"],
                **{key: value for key, value in scan.items() if key not in OWN},
            }
        )
    with publish(path, "volumes", 1, contract={"input": contract.as_dict(), "pad_vox": 16}) as draft:
        root = zarr.open_group(draft.path / "volumes.zarr", mode="w")
        for geometry in sorted({_geometry(scan) for scan in scans}):
            group = root.create_group(geometry)
            for name, kind in (("image", np.float16), ("mask", np.uint16)):
                data = np.stack([scan[name] for scan in scans if _geometry(scan) == geometry]).astype(kind)
                group.create_array(name, data=data, chunks=(1, *data.shape[1:]))
        pd.DataFrame(rows).to_parquet(draft.path / "scans.parquet")
        pd.DataFrame(cohort).astype({"label": "Int8"}).to_parquet(draft.path / "cohort.parquet")
        for ledger in ("quarantine.jsonl", "findings.jsonl"):
            (draft.path / ledger).write_text("")
    return path


def _geometry(scan: dict) -> str:
    return "g" + "x".join(map(str, scan["image"].shape))


def write_split(path: Path, patients: list[tuple[str, str, str]], *, folds: int = 3) -> Path:
    """A split artefact of (patient, site, role) rows; folds go round in the order given."""
    inside = iter(range(len(patients)))
    rows = [
        {"patient": patient, "site": site, "role": role, "fold_0": -1 if role == "external" else next(inside) % folds}
        for patient, site, role in patients
    ]
    contract = {"holdout": 0.2, "folds": folds, "repeats": 1, "seed": 0}
    with publish(path, "split", 1, contract=contract) as draft:
        pd.DataFrame(rows).astype({"fold_0": "Int16"}).to_parquet(draft.path / "split.parquet")
    return path


def make_scans(site: str, count: int, seed: int) -> list[dict]:
    """`count` scans, labels in turn, with clinical columns of every type and some values missing."""
    random = np.random.default_rng(seed)
    scans = []
    for i in range(count):
        label = (i // 2) % 2
        image, mask = lesion_scan(random, label)
        scans.append(
            {
                "patient": f"P-{site}{i:07d}",
                "site": site,
                "label": label,
                "image": image,
                "mask": mask,
                "clinical_age_years": None if i % 5 == 0 else float(random.normal(60, 10)),
                "clinical_wbrt": None if i % 7 == 0 else bool(random.random() < 0.4),
                "clinical_primary": None if i % 6 == 0 else str(random.choice(["breast", "lung"])),
            }
        )
    return scans


@pytest.fixture(scope="session")
def cohort(tmp_path_factory) -> SimpleNamespace:
    """Site A (24 patients: 18 train, 6 hold-out) and site B (8, external): `.volumes` (two archives), `.split`."""
    root = tmp_path_factory.mktemp("cohort")
    scans = {"A": make_scans("A", 24, seed=1), "B": make_scans("B", 8, seed=2)}
    volumes = [write_volumes(root / f"volumes-{site}", scans[site]) for site in scans]
    roles = [(s["patient"], "A", "holdout" if i % 8 in (3, 5) else "train") for i, s in enumerate(scans["A"])]
    split = write_split(root / "split", roles + [(s["patient"], "B", "external") for s in scans["B"]])
    return SimpleNamespace(root=root, volumes=volumes, split=split, scans=scans)


@pytest.fixture(scope="session")
def foundation(tmp_path_factory) -> Path:
    """A foundation of one channel with random weights: 16^3 crops, patch 8; it has seen one hold-out patient."""
    import torch

    from rnfm import foundation as room
    from rnfm.model import create_model

    torch.manual_seed(0)
    model = create_model("vit_micro", crop=(16, 16, 16), patch=8)
    path = tmp_path_factory.mktemp("foundation") / "foundation"
    lineage = {
        "config_hash": "0",
        "inputs": {"shards": "0"},
        "patients": ["P-A0000003"],
        "objective": "mae",
        "steps": 1,
    }
    contract = InputContract(crop=(16, 16, 16))
    room.save(path, model, input_contract=contract, lineage=lineage, card_facts={"license": "CC0"})
    return path
