"""Files around a BIDS image: JSON sidecars by inheritance, and lesion masks among several derivative folders.

    T1w.json  <  sub-01/sub-01_T1w.json  <  sub-01/anat/sub-01_ce-gad_T1w.json        the nearer file wins, key by key
    derivatives/NAME/sub-01/[ses-2/]anat/sub-01_..._{mask,dseg}.nii.gz
    derivatives/NAME/[.../]..._dseg.tsv                                                columns index, name

A sidecar belongs to an image if its suffix is the image's and the image has all of its entities (BIDS, 'The Inheritance
Principle'). Masks: brain and tissue masks are passed over, and so are masks in another space than the image's own. Of the
rest, one that says 'lesion' comes before one that says nothing, and then the one that shares more entities with the image.
A `dseg` with a table of its labels counts by the labels that name a lesion; one whose table names none is no lesion mask.
"""

from __future__ import annotations

import csv
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnfm.cohort import scanner
from rnfm.cohort.source import stem, walk

LARGEST_SIDECAR_BYTES = 1 << 22
NO_LESION = {"brain", "head", "skull", "wm", "gm", "csf", "foreground", "ventricles", "cavity", "edema", "oedema"}
LESION = re.compile(r"lesion|tumou?r|metasta|\bmets?\b|enhanc|necro|\bgtv\b|\bet\b|\bnetc?\b|\bncr\b|\broi\b")
OWN_SPACES = {"", "orig", "individual", "scanner", "native", "subject", "T1w", "T1wce", "T1ce"}
_ENTITY = re.compile(r"(?:^|_)([a-z]+)-([A-Za-z0-9+]+)")


@dataclass(frozen=True)
class Mask:
    """A mask file and the values that are lesion in it; none: every value above 0."""

    file: Path
    values: tuple[int, ...] = ()


def entities(file: Path) -> dict[str, str]:
    """{'sub': '01', 'ce': 'gad'} of sub-01_ce-gad_T1w.nii.gz."""
    return dict(_ENTITY.findall(file.name))


def scanner_of(image: Path, root: Path) -> tuple[str | None, float | None, bool]:
    """Maker, field strength [T], and whether a sidecar holds a field strength that no scanner has, or cannot be read."""
    facts: dict[str, Any] = {}
    is_odd = False
    for file in sidecars(image, root):
        try:
            text = file.read_text(encoding="utf-8-sig") if file.stat().st_size <= LARGEST_SIDECAR_BYTES else ""
            facts |= json.loads(text)
        except (OSError, ValueError, TypeError):
            is_odd = True
    tesla = facts.get("MagneticFieldStrength")
    strength = scanner.field_strength_t(tesla) if tesla is not None else None
    return scanner.vendor(facts.get("Manufacturer")), strength, is_odd or (tesla is not None and strength is None)


def sidecars(image: Path, root: Path) -> list[Path]:
    """The JSON files that hold for an image, the farthest first."""
    suffix = stem(image).rsplit("_", 1)[-1]
    return _inherited(image, root, f"{suffix}.json")


def _inherited(image: Path, root: Path, ending: str) -> list[Path]:
    ours = entities(image).items()
    folders = [folder for folder in (image.parent, *image.parent.parents) if folder == root or root in folder.parents]
    found: list[Path] = []
    for folder in reversed(folders):
        here = [file for file in folder.glob(f"*{ending}") if re.fullmatch(rf"(?:.*_)?{re.escape(ending)}", file.name)]
        fitting = [file for file in here if entities(file).items() <= ours]
        found += sorted(fitting, key=lambda file: (len(entities(file)), file.name))
    return found


def lesion_masks(root: Path) -> tuple[dict[tuple[str, str], list[Path]], int]:
    """(subject, session) -> files that may be its lesion mask; and how many were left out for being in another space."""
    masks: dict[tuple[str, str], list[Path]] = defaultdict(list)
    elsewhere = 0
    for file in walk(root / "derivatives"):
        found = entities(file)
        words = {found.get("desc", "").lower(), found.get("label", "").lower()}
        if not stem(file).endswith(("_mask", "_dseg")) or "sub" not in found or words & NO_LESION:
            continue
        if found.get("space", "") not in OWN_SPACES:
            elsewhere += 1
        else:
            masks[found["sub"], found.get("ses", "")].append(file)
    return masks, elsewhere


def choose_mask(image: Path, files: Sequence[Path], root: Path) -> tuple[Mask | None, bool]:
    """The mask of an image; and whether another derivative folder holds one that fits as well."""
    ranked: list[tuple[tuple[int, ...], Path, tuple[int, ...]]] = []
    for file in files:
        values = _lesion_values(file, root)
        ours, theirs = entities(image), entities(file)
        if values is not None and ours.get("run", theirs.get("run")) == theirs.get("run", ours.get("run")):
            says_lesion = bool(LESION.search(f"{theirs.get('desc', '')} {theirs.get('label', '')}".lower()))
            rank = (not (says_lesion or values), -len(ours.items() & theirs.items()))
            ranked.append(((*map(int, rank),), file, values))
    if not ranked:
        return None, False
    ranked.sort(key=lambda item: (item[0], item[1].as_posix()))
    best = ranked[0]
    rivals = [
        file
        for rank, file, _ in ranked[1:]
        if rank == best[0] and _derivative(file, root) != _derivative(best[1], root)
    ]
    return Mask(best[1], best[2]), bool(rivals)


def _derivative(file: Path, root: Path) -> str:
    return file.relative_to(root / "derivatives").parts[0]


def _lesion_values(file: Path, root: Path) -> tuple[int, ...] | None:
    """Label values that name a lesion; () where no table says (all of them); None where a table names no lesion."""
    if not stem(file).endswith("_dseg"):
        return ()
    tables = _inherited(file, root / "derivatives", "dseg.tsv")
    names = _label_names(tables[-1]) if tables else {}
    if not names:
        return ()
    return tuple(sorted(value for value, name in names.items() if value > 0 and _is_lesion(name))) or None


def _is_lesion(name: str) -> bool:
    words = re.sub(r"[^a-z0-9]+", " ", name.lower())
    return bool(LESION.search(words)) and not set(words.split()) & {"edema", "oedema"}


def _label_names(file: Path) -> Mapping[int, str]:
    """index -> name; empty for a file that is no such table."""
    try:
        rows: Iterable[dict[str, str]] = csv.DictReader(
            file.read_text(encoding="utf-8-sig").splitlines(), delimiter="\t"
        )
        return {int(row["index"]): row["name"] or "" for row in rows}
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, ValueError, TypeError):
        return {}
