"""The page: what stands on it and in which order, words that cannot become markup, and what a real browser makes of 1,000 scans."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnfm.core.contract import BiasRule, BrainRule, InputContract
from rnfm.core.ledger import Entry, Reason
from rnfm.viz.html import external_references
from rnfm.viz.planes import three_planes
from rnfm.volume.intensities import Intensities
from rnfm.volume.look import Lesions, Look
from rnfm.volume.page import BYTES_A_PIXEL, page_of, side_of

CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
OPEN_WITHIN_S = 3.0
NOISE = np.random.default_rng(0)


def a_look(number: int = 1, *, side_px: int = 64, values: int = 1, site: str | None = "A", masked: bool = True) -> Look:
    """A head of noise with a row of `values` lesions in it."""
    x, y, z = np.indices((40, 48, 40)) - np.array([20, 24, 20]).reshape(3, 1, 1, 1)
    image = ((x**2 + y**2 + z**2 < 18**2) * NOISE.normal(3, 0.5, x.shape)).astype(np.float32)
    mask = np.zeros(image.shape, np.uint16)
    for value in range(values):
        mask[5 + 5 * (value % 6) : 8 + 5 * (value % 6), 6 + 5 * (value // 6) : 9 + 5 * (value // 6), 18:22] = value + 1
    volumes = {value + 1: 0.1 * (value + 1) for value in range(values)}
    rising = np.linspace(-2, 3, 129)
    return Look(
        scan=f"S-{number:08X}",
        patient=f"P-{number // 2:08X}",
        site=site,
        source_axes="LPS",
        source_shape_vox=(256, 256, 150 + number % 50),
        source_spacing_mm=(0.9375, 0.9375, 1.0 + number % 3),
        shape_vox=(160, 192, 160),
        head_ml=1500.0,
        lesions=Lesions(volumes, values) if masked else None,
        planes=three_planes(image, mask if masked else None, (1, 1, 1), side_px=side_px),
        intensities=Intensities(400 + 100 * rising, rising),
    )


def page(seen: Sequence[Look], refused: Sequence[Entry] = (), findings: Sequence[Entry] = (), **contract: Any) -> str:
    return page_of(
        seen, refused=refused, findings=findings, contract=InputContract(**contract), digest="0123456789abcdef"
    )


def refusal(code: str, detail: str = "it ends early", reason: Reason = Reason.CORRUPT) -> Entry:
    return Entry(code, "prepare", reason, detail)


def finding(code: str, detail: str = "slices of 5 mm", reason: Reason = Reason.ANISOTROPIC) -> Entry:
    return Entry(code, "prepare", reason, detail)


class Cells(HTMLParser):
    """The rows of every table as lists of texts, and the tiles' codes: read by Python's own parser."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.tiles: list[str] = []
        self._inside = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        facts = dict(attrs)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self._inside = True
        elif (facts.get("class") or "").startswith("tile "):
            self.tiles.append(str(facts["id"]))

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.tables[-1][-1][-1] += data.strip()


def test_refused_come_first_then_findings_then_the_rest_in_order() -> None:
    html = page(
        [a_look(1), a_look(2), a_look(3, masked=False), a_look(4)],
        [refusal("S-0000000B"), refusal("S-0000000A", reason=Reason.MASK_GEOMETRY)],
        [finding("S-00000003"), finding("S-00000003", reason=Reason.BLANK_SLICES), finding("S-00000004")],
    )
    cells = Cells(html)
    reasons, sites, scans = cells.tables
    assert cells.tiles == [f"S-0000000{i}" for i in (3, 4, 1, 2)]
    assert [row[0] for row in scans[1:]] == [f"S-0000000{i}" for i in "BA3412"]
    assert reasons[1:] == [
        ["corrupt", "refused", "1"],
        ["mask geometry", "refused", "1"],
        ["anisotropic", "used", "2"],
        ["blank slices", "used", "1"],
    ]
    assert sites[1] == ["A", "3", "4", "3", "2", "450450 to 450", "0.5000.500 to 0.500"]
    assert scans[1][10] == "corrupt: it ends early"
    assert scans[1][1:10] == ["–"] * 9
    assert scans[3][7:] == ["1500", "–", "–", "anisotropic: slices of 5 mmblank slices: slices of 5 mm"]
    assert scans[5][1:] == [
        "P-00000000", "A", "LPS", "256 × 256 × 151", "0.938 × 0.938 × 2", "160 × 192 × 160", "1500", "0.10", "1", "–",
    ]  # fmt: skip
    assert "4 scans of 3 patients: 2 with findings, 2 more refused." in html


def test_the_head_says_what_was_done() -> None:
    done = {"brain": BrainRule(rule="command", program="hd-bet"), "bias": BiasRule(rule="n4")}
    assert "1 × 1 × 1 mm; brains by hd-bet; bias correction n4; intensity rule zscore;" in page([a_look()], **done)
    assert "1 × 1 × 1 mm; whole heads; no bias correction; intensity rule zscore;" in page([a_look()])


def test_a_mask_of_many_values_is_named_by_size_and_coloured_by_value() -> None:
    html = page([a_look(values=30)])
    row = Cells(html).tables[-1][1]
    assert row[8] == "46.50" + "".join(f"{v}: {v / 10:.2f}" for v in range(30, 22, -1)) + "and 22 more"
    assert row[9] == "30"
    for value in (30, 24):  # rank 29 and 23 of 30: colours 5 and 5
        assert f'<small><span class="swatch o5"></span>{value}: ' in html
    classes = set(re.findall(r'<path class="(o\d)"', html))
    assert classes <= {f"o{colour}" for colour in range(6)}
    assert len(classes) > 1


@pytest.mark.parametrize(
    ("seen", "refused", "said"),
    [
        ([], [refusal("S-0000000A")], ["0 scans of 0 patients", "There is no scan to measure."]),
        ([a_look()], [], ["1 scan of 1 patient:", "Nothing was refused, and no scan has a finding."]),
        ([a_look(masked=False), a_look(2, masked=False)], [], ["without a mask (2)", "A, no mask"]),
        ([a_look(site=None)], [], ["unknown, 0.10 ml"]),
    ],
    ids=["all refused", "one scan", "no masks", "no site"],
)
def test_small_and_odd_archives_make_a_page(seen: list[Look], refused: list[Entry], said: list[str]) -> None:
    html = page(seen, refused)
    for words in said:
        assert words in html
    assert external_references(html) == []
    assert not re.search(r"\bnan\b|None", re.sub(r'src="data:[^"]*"|<script>.*</script>', "", html, flags=re.DOTALL))


def test_words_are_escaped() -> None:
    html = page([a_look(site="<b>A</b>")], [refusal("S-0000000A", "<script>alert(1)</script>")])
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<b>A</b>" not in html


def test_more_scans_get_smaller_pictures() -> None:
    sides = [side_of(n, 24) for n in (1, 100, 1000, 2000, 5000, 10**6)]
    assert sides == sorted(sides, reverse=True)
    assert (sides[0], sides[-1]) == (288, 64)
    for scans in (500, 1000, 5000):
        assert scans * 3 * side_of(scans, 24) ** 2 * BYTES_A_PIXEL * 4 / 3 <= 24e6
    assert side_of(1000, 60) > side_of(1000, 24) > side_of(1000, 6)


# ---- in a browser


@pytest.fixture(scope="module")
def thousand(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,000 scans of 5 sites: 24 different pictures under distinct codes, each as large as a real one; 12 more refused."""
    side_px = side_of(1000, 24)
    drawn = [a_look(side_px=side_px, values=1 + i % 4, masked=i % 8 != 0) for i in range(24)]
    seen = [
        replace(
            drawn[i % 24],
            scan=f"S-{i:08X}",
            patient=f"P-{i // 3:08X}",
            site=f"site {i % 5}",
            head_ml=1000.0 + (i * 7919) % 1000,
        )
        for i in range(1000)
    ]
    refused = [refusal(f"S-{i:08X}") for i in range(5000, 5012)]
    findings = [finding(f"S-{i:08X}") for i in range(0, 1000, 25)]
    path = tmp_path_factory.mktemp("thousand") / "qc.html"
    path.write_text(page(seen, refused, findings))
    return path


@contextmanager
def browsing(path: Path, **context: Any) -> Iterator[tuple[Any, list[str]]]:
    """A page without a network, and a list that gets every request that is not for data, and every word of the console."""
    from playwright.sync_api import sync_playwright

    heard: list[str] = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        opened = browser.new_context(offline=True, viewport={"width": 1300, "height": 900}, **context).new_page()
        opened.on("request", lambda r: None if r.url.startswith(("data:", path.as_uri())) else heard.append(r.url))
        opened.on("console", lambda message: heard.append(message.text))
        opened.on("pageerror", lambda error: heard.append(str(error)))
        yield opened, heard
        browser.close()


browser_test = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (make test-deps)")
# Of the tiles in the window: how many there are, and how many of their pictures are decoded. Tiles, because asking where a
# picture is makes the browser lay out what it had put off.
IN_SIGHT = """async () => {
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const inside = [...document.querySelectorAll(".tile")].filter((tile) => {
    const box = tile.getBoundingClientRect();
    return box.bottom > 0 && box.top < innerHeight;
  }).map((tile) => tile.querySelector("img"));
  await Promise.all(inside.map((image) => image.decode()));
  return [inside.length, inside.filter((image) => image.complete && image.naturalWidth).length];
}"""
LAID_OUT = (
    "[...document.querySelectorAll('.tile img')].filter(i => i.checkVisibility({contentVisibilityAuto: true})).length"
)


def open_once(path: Path) -> tuple[float, float]:
    """Until the pictures in the window are decoded: seconds by the clock, and seconds that the page's process worked."""
    with browsing(path) as (opened, heard):
        meter = opened.context.new_cdp_session(opened)
        meter.send("Performance.enable")
        start = time.perf_counter()
        opened.goto(path.as_uri() + "#pictures")
        inside, whole = opened.evaluate(IN_SIGHT)
        took = time.perf_counter() - start
        metrics = {one["name"]: one["value"] for one in meter.send("Performance.getMetrics")["metrics"]}
        assert inside == whole > 10
        assert heard == []
    return took, metrics["ProcessTime"]


@pytest.mark.browser
@browser_test
def test_a_thousand_scans_open_within_three_seconds(thousand: Path) -> None:
    """By the clock, best of three; on a machine that is busy with something else, by the work that the page costs."""
    assert 10e6 < thousand.stat().st_size < 32e6  # as large as real pictures make it
    tries = [open_once(thousand)]
    while min(tries)[0] >= OPEN_WITHIN_S and len(tries) < 3:
        tries.append(open_once(thousand))
    took, worked = min(tries)
    said = f"{thousand.stat().st_size / 1e6:.1f} MB: pictures after {took:.2f} s, {worked:.2f} s of work"
    print(said)
    assert worked < OPEN_WITHIN_S, said
    assert took < OPEN_WITHIN_S or os.getloadavg()[0] > (os.cpu_count() or 1), said


@pytest.mark.browser
@browser_test
def test_pictures_appear_when_scrolled_to_and_are_whole(thousand: Path) -> None:
    with browsing(thousand) as (opened, heard):
        opened.goto(thousand.as_uri())
        assert opened.evaluate(LAID_OUT) < 200  # the browser has not even laid out the others
        for place in (200, 500, 1000):
            opened.locator(".tile").nth(place - 1).scroll_into_view_if_needed()
            inside, whole = opened.evaluate(IN_SIGHT)
            assert inside == whole >= 10
        assert heard == []


@pytest.mark.browser
@browser_test
def test_filters_sorting_and_the_large_view(thousand: Path) -> None:
    with browsing(thousand) as (opened, heard):
        opened.goto(thousand.as_uri())
        count, tiles, rows = opened.locator("#count"), ".tile:not([hidden])", ".scans tbody tr:not([hidden])"
        assert count.inner_text() == "1012 of 1012 scans"
        opened.select_option("#what", "anisotropic")
        opened.select_option("#site", "site 0")
        assert (opened.locator(tiles).count(), opened.locator(rows).count()) == (40, 40)
        opened.fill("#find", "P-00000008 aniso")  # patients hold three scans: 24, 25, 26; every 25th has a finding
        assert count.inner_text() == "1 of 1012 scans"
        opened.get_by_role("link", name="corrupt", exact=True).click()
        assert (opened.locator(tiles).count(), opened.locator(rows).count()) == (0, 12)
        assert opened.locator(".none").is_visible()

        opened.fill("#find", "")
        opened.select_option("#what", "")
        head = opened.locator(".scans thead th", has_text="Head")
        for order, expected in (("ascending", ["1000", "1001"]), ("descending", ["1999", "1998"])):
            head.get_by_role("button").click()
            assert head.get_attribute("aria-sort") == order
            shown = opened.locator(rows).evaluate_all("rows => rows.map(row => [row.cells[7].textContent, row.id])")
            assert [text for text, _ in shown[:2]] == expected
            assert [text for text, _ in shown[-12:]] == ["–"] * 12  # refused scans have no head
            assert opened.locator(".tile").first.get_attribute("id") == shown[0][1].removeprefix("row-")

        first = opened.locator(".tile").first
        first.focus()
        opened.keyboard.press("Enter")
        view = opened.get_by_role("dialog")
        assert view.get_by_role("img").get_attribute("alt").startswith(first.get_attribute("id"))
        assert "Spacing (source, mm)" in view.inner_text()
        opened.keyboard.press("ArrowRight")
        assert view.locator("#view-code").inner_text() == opened.locator(".tile").nth(1).get_attribute("id")
        opened.keyboard.press("o")
        assert not opened.locator("#outlines").is_checked()
        assert opened.locator(".tile svg").first.evaluate("svg => getComputedStyle(svg).display") == "none"
        opened.keyboard.press("Escape")
        assert not view.is_visible()
        assert opened.evaluate("document.activeElement.id") == opened.locator(".tile").nth(1).get_attribute("id")
        assert heard == []


@pytest.mark.browser
@browser_test
def test_what_everybody_can_read(tmp_path: Path) -> None:
    """Names for pictures, heads for columns, labels for fields; no sideways scrolling; paper; no JavaScript."""
    path = tmp_path / "qc.html"
    seen = [a_look(i, values=1 + 3 * (i % 2), masked=i != 3) for i in range(12)]
    path.write_text(page(seen, [refusal("S-0000000F")], [finding("S-00000003")]))
    with browsing(path) as (opened, heard):
        opened.goto(path.as_uri())
        alts = opened.locator("img").evaluate_all("images => images.map(image => image.alt)")
        assert len(alts) == 13
        assert all(len(alt) > 20 for alt in alts)
        assert all(opened.locator("table").evaluate_all("all => all.map(t => t.tHead.rows[0].cells[0].scope == 'col')"))
        assert all(opened.locator("tbody tr").evaluate_all("rows => rows.map(row => row.cells[0].scope == 'row')"))
        fields = "[...document.querySelectorAll('input, select')].every(field => field.labels.length)"
        assert opened.evaluate(fields)
        assert opened.evaluate(
            "[...document.querySelectorAll('[id]')].length == new Set([...document.querySelectorAll('[id]')].map(e => e.id)).size"
        )
        levels = opened.locator("h1, h2, h3").evaluate_all("all => all.map(head => Number(head.tagName[1]))")
        assert all(after <= before + 1 for before, after in pairwise(levels))
        for width in (1300, 700, 380):
            opened.set_viewport_size({"width": width, "height": 800})
            assert not opened.evaluate("document.documentElement.scrollWidth > innerWidth"), width
        assert len(opened.pdf(format="A4")) > 30_000  # with the pictures
        assert heard == []
    with browsing(path, java_script_enabled=False) as (opened, _):
        opened.goto(path.as_uri())
        assert opened.locator(".scans tbody tr").count() == 13
        assert opened.locator(".scans tbody tr").first.is_visible()
        assert opened.locator(".tile").last.is_visible()
        assert not opened.locator("form.bar").is_visible()
