"""The quality page: from looks at the scans and the archive's ledgers to one HTML file. Pure functions.

    counts by reason | intensity by site       what looks wrong, and whether the rule made the sites alike
    sites                                      a row each
    pictures                                   a tile a scan, lazily drawn by the browser; a click enlarges it
    table                                      a row a scan, the refused ones too; sorted and filtered in the page

Order everywhere: refused, then scans with findings, then the rest, each in the order of the cohort. Without JavaScript the page is
whole but for filters, sorting and enlarging.
"""

from __future__ import annotations

import base64
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rnfm.core.contract import InputContract
from rnfm.core.ledger import Entry
from rnfm.viz.figure import data_uri, figure_png, width_px
from rnfm.viz.html import NOTHING, render
from rnfm.viz.ridges import ridge_figure
from rnfm.volume.intensities import MOST_SITES, panels
from rnfm.volume.look import Lesions, Look

TEMPLATE = Path(__file__).parent / "templates" / "qc.html.j2"
SIDES_PX = range(64, 289, 32)
BYTES_A_PIXEL = 0.14  # of our grey JPEG; 0.06 in 16 real scans with few slices, 0.13 in whole heads
COLOURS = 6  # of outlines, in qc.css
MOST_VALUES = 8  # mask values named in one cell; a mask with more says how many more
UNKNOWN_SITE = "unknown"


@dataclass(frozen=True)
class Shown:
    """A line of the page: a scan of the archive with its look, or a refused one without."""

    code: str
    look: Look | None
    said: Sequence[Entry]

    @property
    def status(self) -> str:
        return "refused" if self.look is None else "findings" if self.said else "fine"


def side_of(scans: int, picture_mb: float) -> int:
    """Side of one plane [pixel] so that the pictures of that many scans take about `picture_mb` of the page.

    >>> [side_of(n, 24) for n in (16, 1000, 4000)]
    [288, 192, 96]
    """
    budget = picture_mb * 1e6 * 3 / 4 / max(scans, 1)  # base64 takes four bytes for three
    fits = [side for side in SIDES_PX if 3 * side * side * BYTES_A_PIXEL <= budget]
    return max(fits, default=SIDES_PX[0])


def page_of(
    seen: Iterable[Look],
    *,
    refused: Sequence[Entry],
    findings: Sequence[Entry],
    contract: InputContract,
    digest: str,
) -> str:
    """The page as HTML text: of the looks at an archive's scans, its two ledgers, its contract and its digest."""
    lines = _in_order(seen, refused, findings)
    looks = [one.look for one in lines if one.look is not None]
    return render(
        TEMPLATE,
        title="Quality of the canonical volumes",
        lines=[_line(one) for one in lines],
        counts=Counter(one.status for one in lines),
        scans=len(looks),
        patients=len({look.patient for look in looks}),
        without_mask=sum(look.lesions is None for look in looks),
        reasons=_reasons(lines),
        sites=_sites(lines),
        figure=_figure(lines),
        spacing=_x(contract.spacing_mm, ".3g"),
        made=_made(contract),
        digest=digest[:12],
    )


def _made(contract: InputContract) -> str:
    """What was done to the voxels, in words."""
    brain = {
        "none": "whole heads",
        "mask": "brains by supplied masks",
        "command": f"brains by {contract.brain.program}",
    }
    bias = "no bias correction" if contract.bias.rule == "none" else f"bias correction {contract.bias.rule}"
    return f"{brain[contract.brain.rule]}; {bias}; intensity rule {contract.intensity.rule}"


def _in_order(seen: Iterable[Look], refused: Sequence[Entry], findings: Sequence[Entry]) -> list[Shown]:
    said: dict[str, list[Entry]] = {}
    for entry in findings:
        said.setdefault(entry.code, []).append(entry)
    lines = [Shown(entry.code, None, [entry]) for entry in refused]
    lines += [Shown(look.scan, look, said.get(look.scan, [])) for look in seen]
    rank = {"refused": 0, "findings": 1, "fine": 2}
    return sorted(lines, key=lambda one: rank[one.status])  # stable: within each part, the order of the cohort


def _line(one: Shown) -> dict[str, Any]:
    """All that the page says of one scan, as words; the numbers beside them (`..._sort`) are for sorting."""
    said = [{"reason": str(e.reason), "words": _words(str(e.reason)), "detail": e.detail} for e in one.said]
    what = [one.status, *dict.fromkeys(item["reason"] for item in said)]
    line: dict[str, Any] = {"code": one.code, "status": one.status, "said": said, "look": None}
    if one.look is None:
        return line | {"what": " ".join(what), "site": None}
    look, lesions = one.look, one.look.lesions
    return line | {
        "what": " ".join(what if lesions is not None else [*what, "no-mask"]),
        "site": look.site or UNKNOWN_SITE,
        "look": {
            "patient": look.patient,
            "axes": look.source_axes,
            "size": _x(look.source_shape_vox, "d"),
            "size_sort": math.prod(look.source_shape_vox),
            "spacing": _x(look.source_spacing_mm, ".3g"),
            "spacing_sort": f"{max(look.source_spacing_mm):.4g}",
            "canonical": _x(look.shape_vox, "d"),
            "canonical_sort": math.prod(look.shape_vox),
            "head": f"{look.head_ml:.0f}",
            "lesion": None if lesions is None else f"{sum(lesions.volume_ml.values()):.2f}",
            "parts": None if lesions is None else lesions.parts,
            "values": [] if lesions is None else _values(lesions),
            "more": 0 if lesions is None else max(0, len(lesions.volume_ml) - MOST_VALUES),
            "side": look.planes.side_px,
            "picture": "data:image/jpeg;base64," + base64.b64encode(look.planes.jpeg).decode(),
            "outlines": [(_colour(value, lesions), path) for value, path in look.planes.outlines.items()],
        },
    }


def _values(lesions: Lesions) -> list[dict[str, Any]]:
    """Mask values, the largest lesions first, for a mask that has several."""
    if len(lesions.volume_ml) < 2:
        return []
    ranked = sorted(lesions.volume_ml.items(), key=lambda item: -item[1])[:MOST_VALUES]
    return [{"value": value, "ml": f"{ml:.2f}", "colour": _colour(value, lesions)} for value, ml in ranked]


def _colour(value: int, lesions: Lesions | None) -> int:
    """Number of the outline's colour: by the rank of the value among the mask's own."""
    return 0 if lesions is None else sorted(lesions.volume_ml).index(value) % COLOURS


def _reasons(lines: Sequence[Shown]) -> list[dict[str, Any]]:
    """Scans by reason, refusals first, then by how many."""
    counts: Counter[tuple[bool, str]] = Counter()
    for one in lines:
        counts.update({(one.look is not None, str(entry.reason)) for entry in one.said})
    ranked = sorted(counts.items(), key=lambda item: (item[0][0], -item[1], item[0][1]))
    return [
        {"reason": reason, "words": _words(reason), "used": used, "scans": count} for (used, reason), count in ranked
    ]


def _sites(lines: Sequence[Shown]) -> list[dict[str, Any]]:
    """A row a site, the largest first. Intensities are medians of scans' medians, with the 10th and 90th percentile."""
    rows = []
    for site, mine in _by_site(lines).items():
        looks = [one.look for one in mine if one.look is not None]
        rows.append(
            {
                "site": site,
                "scans": len(looks),
                "patients": len({look.patient for look in looks}),
                "masks": sum(look.lesions is not None for look in looks),
                "findings": sum(bool(one.said) for one in mine),
                "intensities": [
                    _spread([float(np.median(look.intensities.before)) for look in looks]),
                    _spread([float(np.median(look.intensities.after)) for look in looks]),
                ],
            }
        )
    return rows


def _figure(lines: Sequence[Shown]) -> dict[str, Any] | None:
    """The intensity figure; None without a scan."""
    sites = list(_by_site(lines).items())[:MOST_SITES]
    if not sites:
        return None
    intensities = {site: [one.look.intensities for one in mine if one.look is not None] for site, mine in sites}
    names = [f"{site if len(site) <= 16 else site[:15] + '…'} ({len(scans)})" for site, scans in intensities.items()]
    png = figure_png(ridge_figure(names, panels(intensities)))
    return {"uri": data_uri(png), "width": width_px(png), "shown": len(sites)}


def _by_site(lines: Sequence[Shown]) -> dict[str, list[Shown]]:
    groups: dict[str, list[Shown]] = {}
    for one in lines:
        if one.look is not None:
            groups.setdefault(one.look.site or UNKNOWN_SITE, []).append(one)
    return dict(sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])))


def _spread(values: Sequence[float]) -> dict[str, str]:
    """10th, 50th and 90th percentile with three digits for the largest of them, and a true minus."""
    low, middle, high = (float(value) for value in np.percentile(values, (10, 50, 90)))
    largest = max(abs(low), abs(high), 1e-9)
    decimals = min(max(2 - math.floor(math.log10(largest)), 0), 9)
    text = {"low": low, "middle": middle, "high": high}
    return {name: f"{value:.{decimals}f}".replace("-", "−") for name, value in text.items()}


def _words(reason: str) -> str:
    return reason.replace("_", " ")


def _x(numbers: Any, form: str) -> str:
    return " × ".join(format(number, form) for number in numbers) or NOTHING
