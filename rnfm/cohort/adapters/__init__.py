"""Layouts that `rnfm data index` knows: one module each, found by one line here.

`choose` asks every adapter how well a tree fits, from names only and with one walk of the tree for all of them.

    1           the tree says itself what it is: a BIDS description, a published spreadsheet, a table of documented columns
    0.5 ...     scans under the names of this layout
    0.4 ...     something of it, but no scan under its names
    0           nothing of it

From 0.5 a layout is taken. Several of `NAMED` mean several data sets in one folder, and that is refused, since all but
one would be left out in silence; only a tree that says itself what it is (1) settles it. `FORMATS` say nothing about where
scans come from, so they are asked only where no named layout fits, and any folder of NIfTI images (`folder`) only where
none has even something of it. A refusal names the nearest layout and why.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from rnfm.cohort.records import Adapter, Match
from rnfm.cohort.source import walked_once
from rnfm.core.errors import ConfigError

# One line a layout: the module's name, which is also the word for --layout.
NAMED = (
    "molab",
    "brats_mets",
    "pretreat",
    "brats_gli",
    "ucsf_bmsr",
    "stanford",
    "nyumets",
    "yale",
    "upenn_gbm",
    "ucsf_pdgm",
    "lumiere",
    "proteas",
    "bids",
    "csv",
    "brain_tr_gammaknife",
)
FORMATS = (
    "dicom",
    "folder",
)
LAYOUTS = (*NAMED, *FORMATS)
ADAPTERS: dict[str, Adapter] = {name: cast(Adapter, import_module(f"{__name__}.{name}")) for name in LAYOUTS}
SELF_EVIDENT, ENOUGH, SOMETHING = 1.0, 0.5, 0.4

if TYPE_CHECKING:
    LayoutWord = str
else:
    LayoutWord = Literal[("auto", *LAYOUTS)]


def choose(root: Path, layout: str = "auto") -> tuple[Adapter, Match]:
    """The adapter for `root`: the one named, or the one that fits. ConfigError if none or several do."""
    with walked_once():
        scores = {name: adapter.matches(root) for name, adapter in ADAPTERS.items()}
    if layout == "auto":
        layout = _fitting(scores)
    elif scores[layout].score == 0:
        raise _refusal(f"is not in the {layout} layout", scores, instead=layout)
    return ADAPTERS[layout], scores[layout]


def _fitting(scores: dict[str, Match]) -> str:
    fitting = [name for name in NAMED if scores[name].score >= ENOUGH]
    evident = [name for name in fitting if scores[name].score >= SELF_EVIDENT]
    if len(fitting) == 1 or len(evident) == 1:
        return (evident or fitting)[0]
    if fitting:
        raise ConfigError(
            "source folder",
            f"fits {len(fitting)} layouts: {'; '.join(f'{name} ({scores[name].why})' for name in fitting)}",
            "Give the folder of one data set, or the --layout to read; the scans of the others are then left out",
        )
    hinted = any(scores[name].score >= SOMETHING for name in NAMED)
    for name in FORMATS:
        if scores[name].score >= ENOUGH and not (hinted and name == FORMATS[-1]):
            return name
    raise _refusal(f"is in none of the {len(LAYOUTS)} known layouts", scores, instead=FORMATS[-1])


def _refusal(cause: str, scores: dict[str, Match], *, instead: str) -> ConfigError:
    """The nearest layout and why; formats are near to everything, so one is named only where nothing else is."""
    near = max(NAMED, key=lambda name: scores[name].score)
    if scores[near].score == 0:
        near = max(FORMATS, key=lambda name: scores[name].score)
    found = f"; nearest is {near}: {scores[near].why}" if scores[near].score else f": {scores[instead].why}"
    mend = "Give the data set's own top folder, or another --layout (docs/layouts.md)"
    return ConfigError("source folder", f"{cause}{found}", mend)
