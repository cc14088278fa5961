"""Proof: a patient who would stand in two places of a split is refused, in every planted case; clean splits never are.

Each case plants one kind of double into cohorts that `random.Random(trial)` draws, and asks the real stage. `make prove`
runs 100 cases a kind (resumable: finished kinds are kept in the JSON beside this file); `make test` runs a few of each
(tests/cohort/test_apart.py).
"""

from __future__ import annotations

import json
import os
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rnfm.archive.shard import _read_split as read_for_shards
from rnfm.cohort import SplitConfig, read_split, split, table
from rnfm.core import artifact
from rnfm.core.errors import DataError, IntegrityError
from rnfm.core.files import sha256
from rnfm.downstream.splits import read_split as read_for_training

TRIALS = int(os.environ.get("RNFM_PROOF_TRIALS", "100"))
RESULT = Path(__file__).with_suffix(".json")
SAME_SIZE: list[bool] = []  # of the files changed by hand: a check of sizes alone would miss these
Rows = list[tuple[str, str, int | None, str]]  # patient, site, label, voxel hash


def cohort(path: Path, rows: Rows, *, kind: str = "cohort", key_table: str = "K-1") -> Path:
    frame = table.from_rows(
        [
            {
                **dict.fromkeys(name for name, _, _ in table.COLUMNS),
                "patient": patient,
                "scan": f"S-{path.name}-{at}",
                "lesion": f"{patient}-L{at}",
                "label": label,
                "dataset": path.name,
                "site": site,
                "has_mask": True,
                "classified": True,
                "mask_values": [],
                "shape_vox": [8, 8, 8],
                "spacing_mm": [1.0, 1.0, 1.0],
            }
            for at, (patient, site, label, _) in enumerate(rows)
        ]
    )
    contract = {"key_table": key_table} if kind == "cohort" else {}
    with artifact.publish(path, kind, 1, contract=contract) as draft:
        table.write(draft.path / "cohort.parquet", frame)
        if kind == "volumes":
            names = {"scan": frame["scan"], "patient": frame["patient"], "voxels_sha256": [row[3] for row in rows]}
            pq.write_table(pa.table(names), draft.path / "scans.parquet")
    return path


def people(draw: random.Random, prefix: str, sites: tuple[str, ...] = ("a", "b")) -> Rows:
    """10 to 30 patients with 1 to 3 scans each, of one centre each."""
    rows: Rows = []
    for at in range(draw.randint(10, 30)):
        site = draw.choice(sites)
        for _ in range(draw.randint(1, 3)):
            rows.append((f"{prefix}-{at:03d}", site, draw.choice((0, 1, None)), f"{draw.getrandbits(256):064x}"))
    return rows


def one_code_on_two_sides(folder: Path, draw: random.Random) -> bool:
    ours, theirs = people(draw, "P"), people(draw, "X")
    theirs[draw.randrange(len(theirs))] = draw.choice(ours)
    return _is_refused(folder, "stand in the cohorts and in the external ones", [("inner", ours)], [("outer", theirs)])


def two_codes_on_two_sides(folder: Path, draw: random.Random) -> bool:
    """Two key tables gave one patient two codes; the voxels of the shared scan tell."""
    ours, theirs = people(draw, "P"), people(draw, "X")
    _share_a_scan(draw, ours, theirs)
    return _is_refused(folder, "stand under two patients", [("inner", ours)], [("outer", theirs)], kind="volumes")


def two_codes_in_training(folder: Path, draw: random.Random) -> bool:
    """They could be dealt to training and to the hold-out."""
    one, two = people(draw, "P"), people(draw, "Q")
    _share_a_scan(draw, one, two)
    return _is_refused(folder, "stand under two patients", [("one", one), ("two", two)], [], kind="volumes")


def one_patient_at_two_centres(folder: Path, draw: random.Random) -> bool:
    rows = [("P-A", "a", 0, "0"), ("P-B", "b", 1, "1"), *people(draw, "P")]
    patient, site, label, _ = draw.choice(rows)
    rows.append((patient, "b" if site == "a" else "a", label, "f" * 64))
    return _is_refused(folder, "an external centre and at another", [("inner", rows)], [], external_sites=("b",))


def a_role_changed_by_hand(folder: Path, draw: random.Random) -> bool:
    """Training and hold-out change places in the file itself, so that its size stays; all three readers refuse it."""
    path = _split(folder, people(draw, "P"))
    file = path / "split.parquet"
    frame = pd.read_parquet(file)
    here, there = (draw.choice(frame.index[frame["role"] == role]) for role in ("train", "holdout"))
    frame.loc[[here, there], "role"] = ["holdout", "train"]
    size = file.stat().st_size
    schema = pq.read_schema(file).remove_metadata()
    pq.write_table(pa.Table.from_pandas(frame, schema, preserve_index=False).replace_schema_metadata(None), file)
    SAME_SIZE.append(file.stat().st_size == size)
    return all(_raises(IntegrityError, read, path) for read in READERS)


def a_patient_in_two_rows(folder: Path, draw: random.Random) -> bool:
    """Added by hand, and every digest of the folder made to fit: only the content can tell."""
    path = _split(folder, people(draw, "P"))
    frame = pd.read_parquet(path / "split.parquet")
    double = frame.sample(1, random_state=draw.randrange(1000)).assign(role="external")
    pd.concat([frame, double], ignore_index=True).to_parquet(path / "split.parquet", index=False)
    _reseal(path)
    return _raises(IntegrityError, read_split, path) and _raises(DataError, read_for_training, path)


def one_code_in_two_cohorts_stays_whole(folder: Path, draw: random.Random) -> bool:
    """Under one key table that is one patient with more scans: one row, one role, one fold, never two."""
    one, two = people(draw, "P"), people(draw, "P")
    config = SplitConfig(
        cohorts=(cohort(folder / "one", one), cohort(folder / "two", two)),
        out=folder / "split",
        seed=draw.randrange(99),
    )
    split(config)
    frame = read_split(folder / "split")
    return frame["patient"].is_unique and set(frame["patient"]) == {row[0] for row in (*one, *two)}


def a_clean_split_is_made(folder: Path, draw: random.Random) -> bool:
    """The control: no double is planted, equal scans of one patient are no leak, and nothing is refused."""
    ours, theirs = people(draw, "P"), people(draw, "X")
    ours.append(ours[0])
    theirs.append((theirs[0][0], theirs[0][1], 1, theirs[-1][3]) if theirs[0][0] == theirs[-1][0] else theirs[0])
    paths = cohort(folder / "inner", ours, kind="volumes"), cohort(folder / "outer", theirs, kind="volumes")
    split(SplitConfig(cohorts=(paths[0],), external=(paths[1],), out=folder / "split"))
    frame = read_split(folder / "split")
    return set(frame.loc[frame["role"] == "external", "patient"]) == {row[0] for row in theirs}


KINDS: dict[str, Callable[[Path, random.Random], bool]] = {
    kind.__name__: kind
    for kind in (
        one_code_on_two_sides,
        two_codes_on_two_sides,
        two_codes_in_training,
        one_patient_at_two_centres,
        a_role_changed_by_hand,
        a_patient_in_two_rows,
        one_code_in_two_cohorts_stays_whole,
        a_clean_split_is_made,
    )
}


def detected(kind: str, trials: int) -> int:
    """How many of `trials` planted cases went as they must."""
    found = 0
    for trial in range(trials):
        with tempfile.TemporaryDirectory() as folder:
            found += KINDS[kind](Path(folder), random.Random(f"{kind} {trial}"))
    return found


@pytest.mark.timeout(3600)
def test_nobody_stands_in_two_places() -> None:
    done: dict[str, Any] = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    for kind in KINDS:
        if done.get(kind, {}).get("trials", 0) < TRIALS:
            done[kind] = {"trials": TRIALS, "as_it_must": detected(kind, TRIALS)}
            if SAME_SIZE:
                done[kind]["of_the_published_size"] = sum(SAME_SIZE)
                SAME_SIZE.clear()
            RESULT.write_text(json.dumps(done, indent=1) + "\n")
        print(f"{kind}: {done[kind]['as_it_must']}/{done[kind]['trials']}")
    assert all(entry["as_it_must"] == entry["trials"] for entry in done.values())


READERS: tuple[Callable[[Path], Any], ...] = (
    read_split,
    read_for_training,
    lambda path: read_for_shards(artifact.Artifact.open(path)),
)


def _share_a_scan(draw: random.Random, one: Rows, two: Rows) -> None:
    at = draw.randrange(len(two))
    two[at] = (*two[at][:3], draw.choice(one)[3])


def _is_refused(
    folder: Path,
    words: str,
    ours: list[tuple[str, Rows]],
    theirs: list[tuple[str, Rows]],
    *,
    kind: str = "cohort",
    **more: Any,
) -> bool:
    inner, outer = ([cohort(folder / name, rows, kind=kind) for name, rows in side] for side in (ours, theirs))
    try:
        split(SplitConfig(cohorts=tuple(inner), external=tuple(outer), out=folder / "split", **more))
    except DataError as error:
        return words in str(error) and not (folder / "split").exists()
    return False


def _split(folder: Path, rows: Rows) -> Path:
    labelled = [(patient, site, int(patient[-1] in "02468"), digest) for patient, site, _, digest in rows]
    split(SplitConfig(cohorts=(cohort(folder / "inner", labelled),), out=folder / "split"))
    return folder / "split"


def _reseal(path: Path) -> None:
    import hashlib

    heads = json.loads((path / "digests.json").read_text())
    for name in heads["files"]:
        heads["files"][name] = {"bytes": (path / name).stat().st_size, "sha256": sha256(path / name)}
    heads["digest"] = hashlib.sha256(json.dumps(heads["files"], sort_keys=True).encode()).hexdigest()
    (path / "digests.json").write_text(json.dumps(heads))


def _raises(kind: type[Exception], read: Callable[[Path], Any], path: Path) -> bool:
    try:
        read(path)
    except kind:
        return True
    return False
