"""`rnfm data overlap`: do two data sets share patients (by code) or scans (by what is in them)?

    patients   equal codes                                     true within one key table only
    exact      equal decoded voxels (sha256)                   under any name, in any file
    copy       one picture, score >= 0.82                      mirrored, resampled, cropped, turned, noisy, rescaled, stripped
    likely     score >= 0.6 and 0.15 above the next patient    another scan of the same head, or a heavily changed copy

Scans are compared where both sides are volumes (`rnfm data prepare` writes a likeness of each scan); other artefacts
(shards, foundations, classifiers) list the patients they saw in their lineage, and codes are all that can be compared.
Where the thresholds come from, what is found and what is missed: docs/decisions/0012-likeness.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rnfm.core import files
from rnfm.core.artifact import Artifact
from rnfm.core.config import Config, Field, positional
from rnfm.core.errors import ConfigError, DataError, IntegrityError

if TYPE_CHECKING:
    from rnfm.cohort.aligning import Likeness
    from rnfm.cohort.likeness import Likenesses

SHOWN = 10
COPY = 0.82
LIKELY, STANDS_OUT = 0.6, 0.15
AXES = ("right-left", "front-back", "up-down")


class OverlapConfig(Config):
    """Find patients and scans that two data sets share, or (the same folder twice) scans one data set holds twice."""

    first: Path = positional("cohort, volumes, shards or foundation folder")
    second: Path = positional("cohort, volumes, shards or foundation folder to compare it with")
    candidates: int = Field(
        5, ge=1, le=100, description="most similar scans of the other side that are laid over each scan of the smaller"
    )
    pairs: Path | None = Field(None, description="CSV file to write with every pair of scans found; none: no file")


@dataclass(frozen=True)
class Pair:
    """Two scans that are the same or seem to be. `mirrored`: axes along which the second had to be flipped."""

    first: str
    second: str
    kind: Literal["exact", "copy", "likely"]
    score: float
    mirrored: tuple[int, ...] = ()

    def __str__(self) -> str:
        flips = f", mirrored {' and '.join(AXES[axis] for axis in self.mirrored)}" if self.mirrored else ""
        return f"{self.first} = {self.second} ({self.kind}, {self.score:.2f}{flips})"


@dataclass(frozen=True)
class OverlapResult:
    """`found` is the number of shared patients plus pairs of scans; the command's exit code is 3 when it is not 0."""

    path: Path
    other: Path
    patients: tuple[str, ...]
    pairs: tuple[Pair, ...]
    compared: tuple[str, ...]
    remarks: tuple[str, ...]

    @property
    def found(self) -> int:
        return len(self.patients) + len(self.pairs)

    @property
    def exit_code(self) -> int:
        return DataError.exit_code if self.found else 0

    def summary(self) -> str:
        verdict = f"{self.found} overlaps found" if self.found else "no overlap found"
        lines = [f"overlap of {self.path} and {self.other}: {verdict} (compared: {', '.join(self.compared)})"]
        if self.patients:
            lines.append(f"shared patients, {len(self.patients)}: {_listed(self.patients)}")
        for kind, title in TITLES.items():
            alike = [str(pair) for pair in self.pairs if pair.kind == kind]
            lines += [f"{title}, {len(alike)}: {_listed(alike)}"] if alike else []
        lines += [f"warning: {remark}" for remark in self.remarks]
        advice = f"rnfm data split {self.path} --external {self.other} --out SPLIT"
        return "\n".join([*lines, "next: " + ("leave one of each pair, or its patient, out" if self.found else advice)])


TITLES = {
    "exact": "scans with equal voxels",
    "copy": "copies of one picture",
    "likely": "another scan of the same head, or a heavily changed copy (look at them)",
}


@dataclass(frozen=True)
class _Side:
    """What one artefact tells: patients seen; for volumes also patient and voxel hash of each scan, and likenesses."""

    artifact: Artifact
    patients: frozenset[str]
    patient_of: Mapping[str, str]
    sha256_of: Mapping[str, str]
    likenesses: Likenesses | None


def overlap(config: OverlapConfig) -> OverlapResult:
    """Compare patient codes, and scans if both are volumes. ConfigError, IntegrityError for the folders."""
    if config.pairs is not None and config.pairs.is_dir():
        raise ConfigError(config.pairs, "is a folder", "Give --pairs the name of a CSV file")
    one, two = _open(config.first), _open(config.second)
    within = one.artifact.digest == two.artifact.digest
    patients = () if within else tuple(sorted(one.patients & two.patients))
    pairs, compared, remarks = list[Pair](), [] if within else ["patient codes"], list[str]()
    if one.sha256_of and two.sha256_of:
        compared.append("voxel hashes")
        pairs += _equal_voxels(one, two, within)
        if one.likenesses and two.likenesses:
            compared.append("likenesses")
            pairs += _alike(one, two, config.candidates, within)
        else:
            remarks.append("changed copies were not sought: an archive has no likeness.parquet, prepare it again")
    else:
        remarks.append("scans were not compared: that needs two volumes folders (`rnfm data prepare`)")
    tables = [side.artifact.contract.get("key_table") for side in (one, two)]
    if None not in tables and tables[0] != tables[1]:
        remarks.append("two key tables were used, so equal patients have different codes: only scans can tell")
    result = OverlapResult(config.first, config.second, patients, tuple(pairs), tuple(compared), tuple(remarks))
    if config.pairs is not None:
        _write(config.pairs, pairs)
    return result


def judge(scores: Mapping[tuple[str, str], Likeness], one: Mapping[str, str], two: Mapping[str, str]) -> list[Pair]:
    """Pairs that are copies or likely; `one` and `two` give the patient of each scan.

    Heads of one population may all be rather alike (one atlas, one simulation), so a middling score counts only where it
    stands out: 0.15 above the best that either scan has with another patient.
    """
    by_scan: dict[tuple[int, str], list[tuple[str, float]]] = defaultdict(list)
    for (a, b), found in scores.items():
        by_scan[0, a].append((two[b], found.score))
        by_scan[1, b].append((one[a], found.score))
    pairs = []
    for (a, b), found in sorted(scores.items()):
        others = [score for patient, score in by_scan[0, a] if patient != two[b]]
        others += [score for patient, score in by_scan[1, b] if patient != one[a]]
        if found.score >= COPY:
            pairs.append(Pair(a, b, "copy", found.score, found.mirrored))
        elif found.score >= LIKELY and found.score >= max(others, default=-1.0) + STANDS_OUT:
            pairs.append(Pair(a, b, "likely", found.score, found.mirrored))
    return pairs


def _open(path: Path) -> _Side:
    from rnfm.cohort import table

    opened = Artifact.open(path)
    if opened.kind in ("cohort", "volumes"):
        frame = table.read(opened.file("cohort.parquet"))
        patient_of = dict(zip(frame["scan"], frame["patient"], strict=True))
        scans = _hashes(opened) if opened.kind == "volumes" else {}
        return _Side(opened, frozenset(patient_of.values()), patient_of, scans, _likenesses(opened))
    if not isinstance(opened.lineage.get("patients"), list):
        raise ConfigError(
            path, f"is a {opened.kind} and lists no patients", "Give a cohort, volumes, shards or foundation"
        )
    return _Side(opened, frozenset(opened.lineage["patients"]), {}, {}, None)


def _hashes(volumes: Artifact) -> dict[str, str]:
    """Scan code -> voxel hash."""
    import pyarrow.parquet as pq

    found = pq.read_table(volumes.file("scans.parquet"))
    if not {"scan", "voxels_sha256"} <= set(found.column_names):
        raise IntegrityError(volumes.path, "scans.parquet has no voxel hashes", "Make the volumes again")
    return dict(zip(found["scan"].to_pylist(), found["voxels_sha256"].to_pylist(), strict=True))


def _likenesses(opened: Artifact) -> Likenesses | None:
    from rnfm.cohort import likeness

    return likeness.Likenesses(opened.file(likeness.FILE)) if likeness.FILE in opened.files else None


def _equal_voxels(one: _Side, two: _Side, within: bool) -> list[Pair]:
    holders: dict[str, list[str]] = defaultdict(list)
    for scan, digest in two.sha256_of.items():
        holders[digest].append(scan)
    pairs = [(a, b) for a, digest in one.sha256_of.items() for b in holders[digest]]
    return [Pair(a, b, "exact", 1.0) for a, b in sorted(pairs) if not within or a < b]


def _alike(one: _Side, two: _Side, count: int, within: bool) -> list[Pair]:
    """Pairs of different patients that are no exact copies: of equal codes and equal hashes all has been said."""
    import numpy as np

    from rnfm.cohort import aligning, screening
    from rnfm.core.progress import track

    assert one.likenesses is not None
    assert two.likenesses is not None
    known = [
        np.array([[side.patient_of.get(scan, ""), side.sha256_of.get(scan, "")] for scan in scans])
        for side, scans in ((one, one.likenesses.scans), (two, two.likenesses.scans))
    ]
    skip = (known[0][:, None, 0] == known[1][None, :, 0]) | (known[0][:, None, 1] == known[1][None, :, 1])
    if within:
        skip |= np.tril(np.ones_like(skip))
    wanted = screening.candidates(one.likenesses.spectra, two.likenesses.spectra, count, skip)
    scores = {}
    for row, column in track(wanted, len(wanted), "overlap"):
        a, b = one.likenesses.scans[row], two.likenesses.scans[column]
        scores[a, b] = aligning.compare(one.likenesses.thumbnail(a), two.likenesses.thumbnail(b))
    return judge(scores, one.patient_of, two.patient_of)


def _write(path: Path, pairs: Sequence[Pair]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        f"{pair.first},{pair.second},{pair.kind},{pair.score:.4f},{' '.join(AXES[axis] for axis in pair.mirrored)}\n"
        for pair in pairs
    ]
    files.write_text(path, "first,second,kind,score,mirrored\n" + "".join(rows))


def _listed(items: Sequence[str]) -> str:
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return ", ".join(items[:SHOWN]) + more
