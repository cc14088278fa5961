"""Proof: hostile and malformed scans through the real `rnfm data prepare`: each costs itself, is named rightly, and no more.

    bombs       files that claim or hold far more than they are: quarantined; largest process and CPU seconds stated for each
    malformed   every case of tests/volume/test_reading.py beside sound scans: the right reason for each (confusion table)
    geometry    masks on another grid: all found; 50 sound pairs, however they are stored: none refused

Memory is the largest resident set of any process of the command (its workers among them), beside that of a run on the same
sound scan alone. `make test` has small twins in tests/volume.
"""

from __future__ import annotations

import csv
import gzip
import importlib.util
import io
import json
import os
import struct
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

from rnfm.core.artifact import publish
from rnfm.core.files import write_json

RESULT = Path(__file__).with_suffix(".json")
AFFINE = np.array([[-3.0, 0, 0, 60], [0, -3, 0, 66], [0, 0, 3, -60], [0, 0, 0, 1]])
MIB, GIB = 1 << 20, 1 << 30
Pair = tuple[Path, Path | None]


def record(section: str, found: object) -> None:
    """Each test keeps its own part of the file."""
    whole = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    write_json(RESULT, {**whole, section: found})


def head(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    x, y, z = np.indices((40, 44, 40)) - np.array([20, 22, 20]).reshape(3, 1, 1, 1)
    noise = np.random.default_rng(seed)
    brain, inner = x**2 + y**2 + z**2 < 15**2, (x - 5) ** 2 + y**2 + (z + 3) ** 2 < 4**2
    raw = noise.normal(0, 8, brain.shape) ** 2 / 8 + brain * noise.normal(400, 20, brain.shape)
    return (raw * np.where(inner, 2.2, 1)).astype(np.int16), inner.astype(np.uint8)


def save(path: Path, data: np.ndarray, affine: np.ndarray = AFFINE, forms: str = "sq") -> Path:
    image = nibabel.Nifti1Image(data, None)
    image.header.set_sform(affine if "s" in forms else None, int("s" in forms))
    image.header.set_qform(affine if "q" in forms else None, int("q" in forms))
    nibabel.save(nibabel.Nifti1Image(data, None, image.header), path)
    return path


def prepare(folder: Path, pairs: list[Pair]) -> tuple[dict[str, str], int, float, int, int]:
    """Reasons by scan code, exit code, CPU seconds of all processes, largest resident set [bytes] of any, scans kept."""
    codes = [f"S-{index:08X}" for index in range(len(pairs))]
    table = pa.table(
        {
            "patient": [f"P-{index:08X}" for index in range(len(pairs))],
            "scan": codes,
            "lesion": pa.array([None] * len(pairs), pa.string()),
            "site": ["A"] * len(pairs),
            "has_mask": [mask is not None for _, mask in pairs],
            "mask_values": pa.array([[]] * len(pairs), pa.list_(pa.int16())),
            "classified": [True] * len(pairs),
            "label": pa.array([None] * len(pairs), pa.int8()),
        }
    )
    with publish(folder / "cohort", "cohort", 1, contract={}, lineage={"config_hash": "x", "inputs": {}}) as draft:
        parquet.write_table(table, draft.path / "cohort.parquet")
    with open(folder / "cohort.keys.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["namespace", "kind", "original", "code", "image", "mask"])
        writer.writerows(["x", "scan", c, c, image, mask or ""] for c, (image, mask) in zip(codes, pairs, strict=True))
    (folder / "cohort.keys.csv").chmod(0o600)
    command = [
        sys.executable,
        "-m",
        "rnfm",
        "data",
        "prepare",
        str(folder / "cohort"),
        "--out",
        str(folder / "volumes"),
    ]
    process = subprocess.Popen(
        [*command, "--spacing-mm", "3", "3", "3", "--max-bad", "0.99"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    said = process.stdout.read().decode()  # type: ignore[union-attr]
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = usage.ru_utime + usage.ru_stime
    assert process.returncode in (0, 3), said
    rows = (folder / "volumes" / "quarantine.jsonl").read_text().splitlines()
    reasons = {row["code"]: row["reason"] for row in map(json.loads, rows)}
    kept = parquet.read_table(folder / "volumes" / "scans.parquet").num_rows
    return reasons, process.returncode, seconds, usage.ru_maxrss * 1024, kept


# ---- bombs ----------------------------------------------------------------------------------------------------------


def header(shape: tuple[int, int, int], code: int = 16, bits: int = 32, spacing: float = 1.0) -> bytes:
    """A sound NIfTI-1 header of 352 bytes for float32 (or the type given) of this size, from the standard's offsets."""
    block = bytearray(352)
    struct.pack_into("<i", block, 0, 348)
    struct.pack_into("<8h", block, 40, 3, *shape, 1, 1, 1, 1)
    struct.pack_into("<2h", block, 70, code, bits)
    struct.pack_into("<8f", block, 76, 1, spacing, spacing, spacing, 0, 0, 0, 0)
    struct.pack_into("<f", block, 108, 352)
    struct.pack_into("<2h", block, 252, 0, 1)
    for row in range(3):
        struct.pack_into("<4f", block, 280 + 16 * row, *[spacing * (row == column) for column in range(3)], 0)
    block[344:348] = b"n+1\0"
    return bytes(block)


def packed_zeros(start: bytes, count: int) -> bytes:
    """gzip of `start` and that many zeros, without ever holding them."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=9, mtime=0) as file:
        file.write(start)
        for _ in range(count // (16 * MIB)):
            file.write(bytes(16 * MIB))
        file.write(bytes(count % (16 * MIB)))
    return buffer.getvalue()


def zip_bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("scan.nii", "w") as file:
        for _ in range(64):
            file.write(bytes(16 * MIB))
    return buffer.getvalue()


GIB_CUBE = (640, 640, 640)  # of float32: 0.98 GiB
BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "header claims 20000^3": (lambda: header((20000, 20000, 20000)), "too_large"),
    "the same, compressed": (lambda: gzip.compress(header((20000, 20000, 20000))), "too_large"),
    "377 bytes claim 18 GB": (lambda: header((1650, 1650, 1650)) + bytes(25), "too_large"),
    "377 bytes claim 0.98 GiB": (lambda: header(GIB_CUBE) + bytes(25), "corrupt"),
    "1 MB of gzip holds 0.98 GiB, and says so": (lambda: packed_zeros(header(GIB_CUBE), 4 * 640**3), "too_large"),
    "1 MB of gzip holds 1 GiB behind a small scan": (lambda: packed_zeros(header((64, 64, 64)), GIB), "corrupt"),
    "5 MiB of zeros behind a small scan": (lambda: packed_zeros(header((64, 64, 64)), 5 * MIB), "corrupt"),
    "60 MiB of zeros in 60 kB": (lambda: packed_zeros(header((250, 250, 250)), 4 * 250**3), "constant"),
    "zip of 1 GiB": (zip_bomb, "unreadable"),
    "gzip inside gzip": (lambda: gzip.compress(packed_zeros(header(GIB_CUBE), 4 * 640**3)), "unreadable"),
    "a million empty gzip members": (lambda: gzip.compress(b"") * 1_000_000, "corrupt"),
    "voxels of 0.9 m: a grid of 10^13": (
        lambda: header((64, 64, 64), spacing=900) + np.arange(64**3, dtype="<f4").tobytes(),
        "too_large",
    ),
}
MASK_BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "mask: 1 MB of gzip holds 0.98 GiB": (lambda: packed_zeros(header(GIB_CUBE), 4 * 640**3), "mask_geometry"),
    "mask: 1 GiB behind the right size": (lambda: packed_zeros(header((40, 44, 40)), GIB), "mask_unreadable"),
}


@pytest.mark.timeout(1800)
def test_bombs_cost_themselves_only(tmp_path: Path) -> None:
    sound = save(tmp_path / "sound.nii.gz", head()[0])
    (tmp_path / "alone").mkdir()
    _, code, alone_s, alone_bytes, kept = prepare(tmp_path / "alone", [(sound, None)])
    assert (code, kept) == (0, 1)
    found: dict[str, dict[str, object]] = {}
    for number, (name, (make, reason)) in enumerate({**BOMBS, **MASK_BOMBS}.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        bomb = folder / "bomb.nii.gz"
        bomb.write_bytes(make())
        own = save(folder / "own.nii.gz", head(1)[0])
        pair = (own, bomb) if name in MASK_BOMBS else (bomb, None)
        reasons, code, seconds, peak, kept = prepare(folder, [(sound, None), pair])
        found[name] = {
            "bytes": bomb.stat().st_size,
            "reason": reasons.get("S-00000001", "none"),
            "expected": reason,
            "exit_code": code,
            "sound_scans_kept": kept,
            "more_mib_than_alone": round((peak - alone_bytes) / MIB, 1),
            "more_cpu_seconds_than_alone": round(seconds - alone_s, 2),
        }
    all_at_once = [(tmp_path / str(n) / "bomb.nii.gz", None) for n in range(len(BOMBS))]
    (tmp_path / "all").mkdir()
    reasons, code, seconds, peak, kept = prepare(tmp_path / "all", [(sound, None), *all_at_once])
    record(
        "bombs",
        {
            "alone": {"peak_mib": round(alone_bytes / MIB), "cpu_seconds": round(alone_s, 2)},
            "each": found,
            "all_at_once": {"refused": len(reasons), "of": len(BOMBS), "kept": kept, "peak_mib": round(peak / MIB)},
        },
    )
    for name, row in found.items():
        print(f"\n{name:46s} {row['bytes']:>9} B  {row['reason']:16s} {row['more_mib_than_alone']:>6} MiB", end="")
        print(f" {row['more_cpu_seconds_than_alone']:>6} s", end="")
    assert all(row["reason"] == row["expected"] for row in found.values())
    assert all(row["sound_scans_kept"] == 1 and row["exit_code"] == 0 for row in found.values())
    assert all(row["more_mib_than_alone"] < 100 for row in found.values())
    assert (len(reasons), kept) == (len(BOMBS), 1)


# ---- malformed ------------------------------------------------------------------------------------------------------


def malformed() -> dict[str, tuple[bytes, str]]:
    """Content and right reason of every case of the quick test."""
    path = Path(__file__).parents[1] / "volume" / "test_reading.py"
    spec = importlib.util.spec_from_file_location("quick_cases", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {name: (change(module.plain()), str(reason)) for name, (change, reason, _) in module.MALFORMED.items()}


@pytest.mark.timeout(1800)
def test_each_malformed_scan_is_refused_for_its_reason(tmp_path: Path) -> None:
    cases = malformed()
    pairs: list[Pair] = [(save(tmp_path / f"sound{n}.nii.gz", head(n)[0]), None) for n in range(3)]
    for number, (content, _) in enumerate(cases.values()):
        (tmp_path / f"case{number}.nii").write_bytes(content)
        pairs.append((tmp_path / f"case{number}.nii", None))
    reasons, _, _, _, kept = prepare(tmp_path, pairs)
    found = {name: reasons.get(f"S-{3 + n:08X}", "read") for n, name in enumerate(cases)}
    table = Counter((expected, found[name]) for name, (_, expected) in cases.items())
    record("malformed", {"cases": len(cases), "sound": 3, "sound_kept": kept, "table": tabulated(table)})
    print(f"\n{len(cases)} malformed scans; rows: right reason, columns: reason given\n{printed(table)}")
    assert {name: (expected, found[name]) for name, (_, expected) in cases.items() if expected != found[name]} == {}
    assert kept == 3


def tabulated(table: Counter) -> dict[str, dict[str, int]]:
    return {expected: {f: n for (e, f), n in sorted(table.items()) if e == expected} for expected, _ in sorted(table)}


def printed(table: Counter) -> str:
    names = sorted({name for pair in table for name in pair})
    lines = [" " * 15 + "".join(f"{name[:12]:>13s}" for name in names)]
    lines += [f"{row:15s}" + "".join(f"{table[row, column] or '.':>13}" for column in names) for row in names]
    return "\n".join(lines)


# ---- geometry of masks ----------------------------------------------------------------------------------------------


def turned(affine: np.ndarray, angle: float) -> np.ndarray:
    out, turn = affine.copy(), np.eye(3)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    out[:3, :3] = turn @ affine[:3, :3]
    return out


def grids() -> list[np.ndarray]:
    """Five scans' grids: aligned, another order, anisotropic, oblique, oblique and anisotropic."""
    return [
        AFFINE,
        AFFINE[[1, 0, 2, 3]] @ np.diag([1, 1, -1, 1]),
        AFFINE @ np.diag([1, 1, 1.6, 1]),
        turned(AFFINE, 0.2),
        turned(AFFINE @ np.diag([0.8, 0.8, 1.5, 1]), -0.35),
    ]


def sound_masks(path: Path, inner: np.ndarray, affine: np.ndarray, seed: int) -> list[Path]:
    """Ten ways to store a mask of this grid: jitter as float32 headers give, either form, types, six orders of the axes."""
    noise = np.random.default_rng(seed)
    jitter = affine.copy()
    jitter[:3] *= 1 + noise.uniform(-1, 1, (3, 4)) * 1e-5
    rounded = np.round(affine, 3)
    out = [
        save(path / "jitter.nii.gz", inner, jitter),
        save(path / "rounded.nii.gz", inner, rounded),
        save(path / "qform.nii.gz", inner, affine, forms="q"),
        save(path / "float.nii", inner.astype(np.float32), affine, forms="s"),
    ]
    image = nibabel.Nifti1Image(inner, affine)
    for axes in ("RAS", "LAS", "PIL", "SRA", "IPR", "LPS"):
        order = ornt_transform(io_orientation(affine), axcodes2ornt(axes))
        nibabel.save(image.as_reoriented(order), path / f"{axes}.nii.gz")
        out.append(path / f"{axes}.nii.gz")
    return out


def wrong_masks(path: Path, inner: np.ndarray, affine: np.ndarray) -> list[Path]:
    """Twelve masks of another grid, each for its own mistake, from a third of a voxel on."""
    size = np.linalg.norm(affine[:3, :3], axis=0)

    def moved(axis: int, voxels: float) -> np.ndarray:
        out = affine.copy()
        out[:3, 3] += affine[:3, axis] * voxels
        return out

    mirrored = affine.copy()
    mirrored[:3, 0] *= -1
    wrong = {
        "third": (inner, moved(int(size.argmin()), 1 / 3)),
        "half": (inner, moved(0, 0.5)),
        "one": (inner, moved(1, -1)),
        "slice": (inner, moved(2, 1)),
        "far": (inner, moved(0, 20)),
        "mirrored": (inner, mirrored),
        "tilted": (inner, turned(affine, 0.03)),
        "spacing": (inner, affine @ np.diag([1, 1, 1.05, 1])),
        "isotropic": (inner, affine @ np.diag([*(1 / size), 1])),
        "cut": (inner[:, :, 1:], affine),
        "thinned": (inner[::2, ::2, ::2], affine @ np.diag([2, 2, 2, 1])),
        "swapped": (np.ascontiguousarray(inner.transpose(1, 0, 2)), affine),
    }
    return [save(path / f"wrong_{name}.nii.gz", data, other) for name, (data, other) in wrong.items()]


@pytest.mark.timeout(1800)
def test_masks_of_another_grid_are_found_and_sound_ones_are_not(tmp_path: Path) -> None:
    pairs: list[Pair] = []
    sound: list[bool] = []
    for number, affine in enumerate(grids()):
        folder = tmp_path / str(number)
        folder.mkdir()
        inner = head(number)[1]
        right = sound_masks(folder, inner, affine, number)
        wrong = wrong_masks(folder, inner, affine)
        for index, mask in enumerate([*right, *wrong]):  # each pair has an image of its own, or they were duplicates
            pairs.append((save(folder / f"scan{index}.nii", head(1000 * number + index)[0], affine), mask))
            sound.append(index < len(right))
    reasons, _, seconds, _, kept = prepare(tmp_path, pairs)
    given = [reasons.get(f"S-{index:08X}", "read") for index in range(len(pairs))]
    refused = [pairs[i][1].name for i, ok in enumerate(sound) if ok and given[i] != "read"]  # type: ignore[union-attr]
    missed = [pairs[i][1].name for i, ok in enumerate(sound) if not ok and given[i] != "mask_geometry"]  # type: ignore[union-attr]
    result = {"sound": sum(sound), "false_refusals": len(refused), "wrong": sound.count(False), "missed": len(missed)}
    record("mask_geometry", {**result, "kept": kept, "cpu_seconds": round(seconds, 1)})
    print(f"\n{result}")
    assert (refused, missed) == ([], [])
    assert result["sound"] == 50
