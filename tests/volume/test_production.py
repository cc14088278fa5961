"""The work behind `prepare`: bad scans are left out and named by code, budgets hold, workers and kills change nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rnfm.core.errors import DataError
from rnfm.core.ledger import Ledger
from rnfm.volume import PrepareConfig, VolumeArchive, prepare, production


def settings(cohort, **more) -> PrepareConfig:
    return PrepareConfig(
        **(
            {"cohort": cohort.path, "out": cohort.path.parent / "volumes", "spacing_mm": (3, 3, 3), "max_bad": 0.9}
            | more
        )
    )


def spoil(cohort, save: Callable[..., Path]) -> None:
    """Scan 1 is torn, 2 has a mask of another size, 3 is gone, 5 is a copy of 0 under another name, 4's lesion is 9."""
    content = cohort.images[1].read_bytes()
    cohort.images[1].write_bytes(content[: len(content) // 2])
    save(cohort.masks[2], np.ones((5, 5, 5), np.uint8))
    cohort.images[3].unlink()
    shutil.copy(cohort.images[0], cohort.images[5])
    save(cohort.masks[4], np.pad(np.full((4, 4, 4), 9, np.uint8), ((20, 16), (20, 20), (20, 16))))


def test_bad_scans_are_named_by_code_and_left_out(make_cohort: Callable, save) -> None:
    cohort = make_cohort(6)
    spoil(cohort, save)
    result = prepare(settings(cohort))
    rows = [(e.code, str(e.reason), e.detail) for e in Ledger.read(result.path / "quarantine.jsonl")]
    assert rows == [
        ("S-00000001", "corrupt", "its compressed data are damaged or cut short"),
        ("S-00000002", "mask_geometry", "its mask has another size: 5 x 5 x 5 against 40 x 44 x 40 voxels"),
        ("S-00000003", "missing_file", "the file is not there"),
        ("S-00000005", "duplicate", "it has the same voxels as S-00000000"),
    ]
    archive = VolumeArchive.open(result.path)
    assert archive.scans["scan"].tolist() == ["S-00000000", "S-00000004"]
    assert archive.cohort["scan"].tolist() == ["S-00000000", "S-00000004"]
    found = {(e.code, str(e.reason)): e.detail for e in archive.findings}
    assert found["S-00000004", "lesion_missing"] == "lesion P-00000004-L1: no mask value 1"
    assert "- corrupt: 1" in (result.path / "summary.md").read_text()
    assert "refused: 1 corrupt, 1 duplicate, 1 mask_geometry, 1 missing_file" in result.summary()
    everything = b"".join(path.read_bytes() for path in result.path.rglob("*") if path.is_file())
    assert b"Mustermann" not in everything
    assert str(cohort.images[0].parent).encode() not in everything


@pytest.mark.parametrize(
    ("bad", "max_bad", "passes"), [(1, 0.0, True), (2, 0.0, False), (2, 0.5, True), (4, 1.0, False)]
)
def test_the_budget(make_cohort: Callable, bad: int, max_bad: float, passes: bool) -> None:
    cohort = make_cohort(4)
    for image in cohort.images[:bad]:
        image.write_bytes(b"")
    if passes:
        assert prepare(settings(cohort, max_bad=max_bad)).scans == 4 - bad
        return
    with pytest.raises(DataError, match=rf"\({bad} corrupt\)\. Read .*volumes\.quarantine\.jsonl") as error:
        prepare(settings(cohort, max_bad=max_bad))
    assert "Mustermann" not in str(error.value)
    left = sorted(path.name for path in cohort.path.parent.iterdir())
    assert left == ["cohort", "cohort.keys.csv", "source", "volumes.quarantine.jsonl"]
    ledger = [json.loads(line) for line in (cohort.path.parent / "volumes.quarantine.jsonl").read_text().splitlines()]
    assert [row["code"] for row in ledger] == cohort.codes[:bad]


def test_a_mask_that_the_key_table_forgot(make_cohort: Callable) -> None:
    cohort = make_cohort(3)
    cohort.keys.write_text(cohort.keys.read_text().replace(f",{cohort.masks[2]}", ","))
    result = prepare(settings(cohort))
    assert result.refused == {"missing_file": 1}


def test_values_that_float16_cannot_hold(make_cohort: Callable, save, head_arrays) -> None:
    cohort = make_cohort(2)
    save(cohort.images[1], head_arrays()[0].astype(np.float32) * 200)
    assert prepare(settings(cohort, intensity={"rule": "none"})).refused == {"bad_dtype": 1}


@pytest.mark.slow
def test_two_workers_write_the_same_bytes(make_cohort: Callable, save) -> None:
    cohort = make_cohort(6)
    spoil(cohort, save)
    one, two = settings(cohort), settings(cohort, workers=2, out=cohort.path.parent / "again")
    assert prepare(one).fresh
    assert prepare(two).fresh
    assert VolumeArchive.open(one.out).digest == VolumeArchive.open(two.out).digest


def test_our_own_error_ends_the_run_and_leaves_nothing(make_cohort: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    cohort = make_cohort(3)
    staged = []

    def stage(*arguments: object) -> None:
        staged.append(arguments)
        if len(staged) == 2:
            raise ZeroDivisionError
        return real(*arguments)

    real = production.store.stage
    monkeypatch.setattr(production.store, "stage", stage)
    with pytest.raises(ZeroDivisionError):
        prepare(settings(cohort))
    assert sorted(path.name for path in cohort.path.parent.iterdir()) == ["cohort", "cohort.keys.csv", "source"]


@pytest.mark.slow
def test_a_killed_run_publishes_nothing_and_takes_its_workers_along(make_cohort: Callable) -> None:
    cohort = make_cohort(6)
    out = cohort.path.parent / "volumes"
    code = (
        "import sys; from pathlib import Path; from rnfm.volume import PrepareConfig, prepare\n"
        "if __name__ == '__main__':\n"
        f" prepare(PrepareConfig(cohort=Path({str(cohort.path)!r}), out=Path({str(out)!r}), spacing_mm=(0.7,) * 3, workers=2))\n"
    )
    script = cohort.path.parent / "run.py"
    script.write_text(code)
    process = subprocess.Popen([sys.executable, str(script)], cwd=Path.cwd())
    deadline = time.monotonic() + 60
    while not list(cohort.path.parent.glob(".tmp-volumes-*/staging/S-*/zarr.json")):
        assert time.monotonic() < deadline, "no scan was staged"
        assert process.poll() is None
        time.sleep(0.02)
    family = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True
    ).stdout.split()
    assert family
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists()
    while any(_alive(int(pid)) for pid in family):
        assert time.monotonic() < deadline, "a worker outlived its parent"
        time.sleep(0.05)
    assert prepare(settings(cohort)).scans == 6


def _alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False


def test_a_worker_that_dies_is_said_in_one_sentence(make_cohort: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    class Pool:
        def __init__(self, *arguments: object, **named: object) -> None: ...

        def map(self, *arguments: object) -> object:
            raise production.BrokenProcessPool

        def shutdown(self, **named: object) -> None: ...

    monkeypatch.setattr(production, "ProcessPoolExecutor", Pool)
    with pytest.raises(
        DataError, match=r"prepare: a worker process died, most likely out of memory\. Use fewer --workers\."
    ):
        prepare(settings(make_cohort(2), workers=2))


def test_the_row_table_of_no_scan_is_still_a_table() -> None:
    assert production.scan_table([], []).num_rows == 0


def test_scans_of_several_sizes_get_rows_of_their_own(make_cohort: Callable, save, head_arrays) -> None:
    cohort = make_cohort(3)
    save(cohort.images[1], np.repeat(head_arrays()[0], 2, axis=0))
    scans = pd.read_parquet(prepare(settings(cohort)).path / "scans.parquet")
    assert scans["row"].tolist() == [0, 0, 1]
    assert scans["geometry"].nunique() == 2
    assert os.path.isdir(cohort.path.parent / "volumes" / "volumes.zarr" / scans["geometry"][1])
