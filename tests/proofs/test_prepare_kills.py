"""Proof: kill -9 of the whole `rnfm data prepare`, two workers, at random moments; run again, the archive has the same bytes.

`make prove` runs it whole (50 kills; resumable: finished trials are kept in the JSON beside this file and not repeated);
`make test` runs the twin in tests/faults with one trial. Every third trial is killed twice before it may end.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from rnfm.core.artifact import publish
from rnfm.core.files import write_json
from rnfm.volume import PrepareConfig, VolumeArchive, prepare

TRIALS = int(os.environ.get("RNFM_PROOF_TRIALS", "50"))
RESULT = Path(__file__).with_suffix(".json")
SCANS = 8
FRESH = {
    "trials": 0, "kills": 0, "kills_after_the_end": 0, "not_identical": 0, "scans_lost": 0, "scans_doubled": 0,
    "finished_scans_done_again": 0, "left_behind": 0, "finished_when_killed": {}, "seed": 0,
}  # fmt: skip


@pytest.mark.timeout(7200)
def test_no_kill_of_prepare_costs_a_finished_scan_or_changes_a_byte(tmp_path: Path) -> None:
    done = json.loads(RESULT.read_text()) if RESULT.exists() else FRESH
    cohort = make_cohort(tmp_path / "cohort")
    reference, seconds = undisturbed(cohort)
    while done["trials"] < TRIALS:
        number = done["trials"]
        done = add(done, trial(cohort, reference, seconds, random.Random(number), kills=2 if number % 3 == 0 else 1))
        write_json(RESULT, done)
    bad = ("not_identical", "scans_lost", "scans_doubled", "finished_scans_done_again", "left_behind")
    assert {name: done[name] for name in bad} == dict.fromkeys(bad, 0)
    assert done["kills_after_the_end"] < 0.2 * done["kills"], "most kills came too late: they prove little"
    assert len(done["finished_when_killed"]) > SCANS // 2, "all kills fell into one part of the run"


def add(done: dict, found: dict) -> dict:
    """The counts with those of one more trial."""
    at = dict(done["finished_when_killed"])
    for finished in found.pop("at"):
        at[str(finished)] = at.get(str(finished), 0) + 1
    counts = {name: value + found.get(name, 0) for name, value in done.items() if isinstance(value, int)}
    done = {**done, **counts, "trials": done["trials"] + 1, "finished_when_killed": at}
    clean = done["not_identical"] == 0
    return {**done, "bad_rate_95_upper": 1 - 0.05 ** (1 / done["trials"]) if clean else None}


def trial(cohort: Path, reference: dict[str, bytes], seconds: float, dice: random.Random, *, kills: int) -> dict:
    """Kill a run `kills` times, let it end, and count what is wrong."""
    out = cohort.parent / "volumes"
    found = {"kills": kills, "kills_after_the_end": 0, "finished_scans_done_again": 0, "at": []}
    for _ in range(kills):
        run = started(cohort, out)
        wait_for_a_moment(run, out, dice, seconds)
        found["kills_after_the_end"] += run.poll() is not None
        kill_all(run)
        finished = sorted(path.parent for path in out.parent.glob("volumes.work-*/scans/*/S-*/digests.json"))
        found["at"].append("published" if out.exists() else len(finished))
    stamps = {path: path.stat().st_ino for path in finished}
    last = started(cohort, out)
    while last.poll() is None:  # a finished scan that is made again gets another folder in its place
        again = {path for path, inode in stamps.items() if path.exists() and path.stat().st_ino != inode}
        found["finished_scans_done_again"] += len(again)
        stamps = {path: inode for path, inode in stamps.items() if path not in again}
        time.sleep(0.01)
    assert last.returncode == 0, "the run after the kill failed"
    scans = VolumeArchive.open(out).scans["scan"].tolist()
    stands = contents(out)
    strangers = [path for path in out.parent.iterdir() if path.name.startswith((".tmp-volumes", "volumes.work"))]
    VolumeArchive.open(out).artifact.require_intact(deep=True)
    clear(out)
    return found | {
        "not_identical": int(stands != reference),
        "scans_lost": SCANS - len(set(scans)),
        "scans_doubled": len(scans) - len(set(scans)),
        "left_behind": len(strangers),
    }


def wait_for_a_moment(run: subprocess.Popen[bytes], out: Path, dice: random.Random, seconds: float) -> None:
    """Until a number of scans drawn from 0 to all of them is finished, and then a random share of a scan's time more.

    Drawn from the time alone, most kills would come while the processes start, and prove little.
    """
    wanted = dice.randint(0, SCANS)
    while run.poll() is None and len(list(out.parent.glob("volumes.work-*/scans/*/S-*/digests.json"))) < wanted:
        time.sleep(0.002)
    time.sleep(dice.uniform(0, seconds / SCANS))


def undisturbed(cohort: Path) -> tuple[dict[str, bytes], float]:
    """The archive of a run with one worker, and how long one with two workers takes [s]."""
    out = cohort.parent / "volumes"
    prepare(PrepareConfig(cohort=cohort, out=out))
    reference = contents(out)
    clear(out)
    began = time.monotonic()
    assert started(cohort, out).wait() == 0
    seconds = time.monotonic() - began
    clear(out)
    return reference, seconds


def started(cohort: Path, out: Path) -> subprocess.Popen[bytes]:
    words = ["data", "prepare", str(cohort), "--out", str(out), "--workers", "2"]
    return subprocess.Popen(
        [sys.executable, "-m", "rnfm", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def kill_all(run: subprocess.Popen[bytes]) -> None:
    """SIGKILL to the process group and to every process below it, all at once."""
    try:
        family = psutil.Process(run.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    if run.poll() is None:
        os.killpg(run.pid, signal.SIGKILL)
    for process in family:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    run.wait()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def clear(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


def make_cohort(path: Path) -> Path:
    """A published cohort of small noisy heads, every second with a mask, and its key table beside it."""
    codes, rows = [f"S-{i:08X}" for i in range(SCANS)], ["namespace,kind,original,code,image,mask"]
    x, y, z = np.indices((96, 112, 96)) - np.array([48, 56, 48]).reshape(3, 1, 1, 1)
    for i, code in enumerate(codes):
        noise = np.random.default_rng(i)
        brain, lesion = x**2 + y**2 + z**2 < 40**2, (x - 9) ** 2 + y**2 + (z + 9) ** 2 < 9**2
        raw = noise.normal(0, 8, brain.shape) ** 2 / 8 + brain * noise.normal(400, 20, brain.shape) * (1 + lesion)
        image, mask = path.parent / f"{i}.nii.gz", path.parent / f"{i}-mask.nii.gz" if i % 2 == 0 else None
        affine = np.diag([1.2, 1.2, 1.2, 1.0])
        nibabel.save(nibabel.Nifti1Image(raw.astype(np.int16), affine), image)
        if mask is not None:
            nibabel.save(nibabel.Nifti1Image(lesion.astype(np.uint8), affine), mask)
        rows.append(f"made,scan,{i},{code},{image},{mask or ''}")
    table = {
        "patient": [f"P-{i:08X}" for i in range(SCANS)], "scan": codes, "site": ["A"] * SCANS,
        "lesion": pa.array([None] * SCANS, pa.string()), "has_mask": [i % 2 == 0 for i in range(SCANS)],
        "mask_values": pa.array([[]] * SCANS, pa.list_(pa.int16())),
    }  # fmt: skip
    with publish(path, "cohort", 1, lineage={"config_hash": "x", "inputs": {}}) as draft:
        parquet.write_table(pa.table(table), draft.path / "cohort.parquet")
    path.with_name(path.name + ".keys.csv").write_text("\n".join(rows) + "\n")
    return path
