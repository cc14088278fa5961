"""Images and masks of a tree by patterns of their paths: names only, no file is opened.

    Source          one form of image path, a pattern with the groups `case`, `patient` and perhaps `visit`
    +-- Mask        where its mask lies, a template of those groups; the first that exists is taken
        +-- Labels  which values are the lesion, and which others the data set documents
    Case            one scan: image, mask, labels, groups

A pattern is matched against a path without `.nii[.gz]` that begins with the source folder's own name, so that a data set
is recognised from its own top folder, from a folder above it and from one below it. Where several sources offer the same
case, the first that has a mask is taken, else the first.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from rnfm.cohort.source import once, stem, walk

Groups = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Mask values by meaning. `lesion` empty: every value > 0 is lesion. `other` empty: which others occur is unknown."""

    lesion: Mapping[int, str] = field(default_factory=dict)
    other: Mapping[int, str] = field(default_factory=dict)

    def describe(self) -> str:
        """'1 (necrotic core), 3 (enhancing tumour); not 2 (oedema)'."""
        lesion, other = (
            ", ".join(f"{value} ({word})" for value, word in values.items()) for values in (self.lesion, self.other)
        )
        return (lesion or "every value > 0") + (f"; not {other}" if other else "")

    def strays(self, values: Iterable[int]) -> list[int]:
        """Values that the data set does not document; none where it does not say which others occur."""
        return [value for value in values if value not in {*self.lesion, *self.other}] if self.other else []


BINARY = Labels()


@dataclass(frozen=True, kw_only=True)
class Mask:
    """`at`: path without suffix, as a template of the groups. `origin` tells kinds of masks apart in the summary."""

    at: str
    labels: Labels = BINARY
    origin: str = ""


@dataclass(frozen=True)
class Source:
    """`image`: pattern of the end of a path without suffix; `top`: of the folders before it, which are a group too.

    `top` takes as little as it can, so that a folder that `image` may begin with is not lost to it.
    """

    image: str
    masks: tuple[Mask, ...] = ()
    top: str = "(?:.*?/)??"

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(f"(?P<top>{self.top}){self.image}")


@dataclass(frozen=True)
class Case:
    """One scan's files. `kind` is the mask's declaration; `copies` counts the places where this case lies."""

    image: Path
    mask: Path | None
    kind: Mask | None
    groups: Groups
    copies: int = 1


def paths(root: Path) -> dict[str, Path]:
    """Path without `.nii[.gz]`, from the source folder's own name on -> file. `a.nii` wins over `a.nii.gz` beside it."""
    return once(("paths", root), lambda: _paths(root))


def count(names: Mapping[str, Path], sources: Sequence[Source]) -> int:
    """How many paths are images of one of the sources."""
    patterns = [source.pattern for source in sources]
    return sum(1 for name in names if any(pattern.fullmatch(name) for pattern in patterns))


def find(root: Path, sources: Sequence[Source]) -> dict[str, Case]:
    """Case -> its files, ordered by name with numbers by value: patient by patient, visit by visit."""
    names = paths(root)
    offers: dict[str, list[tuple[int, Case]]] = defaultdict(list)
    for name, file in names.items():
        for rank, source in enumerate(sources):
            match = source.pattern.fullmatch(name)
            if match:
                groups = {key: text or "" for key, text in match.groupdict().items()}
                offers[groups["case"]].append((rank, _case(names, file, source, groups)))
                break
    return {case: _preferred(offers[case]) for case in sorted(offers, key=_natural)}


def _paths(root: Path) -> dict[str, Path]:
    top = root.resolve().name
    found: dict[str, Path] = {}
    for file in walk(root):
        found.setdefault("/".join((top, *file.parent.relative_to(root).parts, stem(file))), file)
    return found


def _case(names: Mapping[str, Path], file: Path, source: Source, groups: Groups) -> Case:
    for kind in source.masks:
        mask = names.get(kind.at.format(**groups))
        if mask is not None:
            return Case(file, mask, kind, groups)
    return Case(file, None, None, groups)


def _preferred(offers: Sequence[tuple[int, Case]]) -> Case:
    best = min(offers, key=lambda offer: (offer[1].mask is None, offer[0]))
    # Two forms of one image are a choice; the same form at two places is a copy, and worth a word.
    copies = sum(1 for rank, _ in offers if rank == best[0])
    return Case(best[1].image, best[1].mask, best[1].kind, best[1].groups, copies)


def _natural(text: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", text)]
