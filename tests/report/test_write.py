"""The report: what stands on the page, what it refuses, and what a browser without a network makes of it."""

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from rnfm.core.artifact import Artifact
from rnfm.core.errors import ConfigError, DataError
from rnfm.report import EvaluateConfig, ReportConfig, evaluate, write_report
from rnfm.viz import external_references

from .conftest import rows, write_attention, write_foundation, write_predictions, write_run

CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
NOTE = "Lesions are <simulated>."


class Outline(HTMLParser):
    """Headings, tables and images as a screen reader meets them."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.alts, self.levels, self.ids, self.links = [], [], [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags.append(tag)
        self.ids += [values["id"]] if "id" in values else []
        if tag == "img":
            self.alts.append(values.get("alt"))
        if re.fullmatch(r"h\d", tag):
            self.levels.append(int(tag[1]))
        if tag == "a":
            self.links.append(values["href"])


@pytest.fixture(scope="module")
def full(study, tmp_path_factory):
    """A report of everything: four methods, a foundation, attention, a run; read only."""
    tmp_path = tmp_path_factory.mktemp("full")
    evaluation = evaluate(
        EvaluateConfig(predictions=study["predictions"], out=tmp_path / "evaluation", bootstrap=200)
    ).path
    frame = rows("ssl_vit")
    attention = write_attention(tmp_path / "attention", frame[frame["split"] == "external"])
    config = ReportConfig(
        evaluation=evaluation,
        predictions=study["predictions"],
        foundation=study["foundation"].path,
        attention=[attention],
        run=write_run(tmp_path / "run"),
        note=NOTE,
        gallery=3,
        out=tmp_path / "report",
    )
    return config, write_report(config)


def small(tmp_path, *frames, **settings):
    """A report of hand-made predictions only."""
    paths = [write_predictions(tmp_path / f"p{n}", frame) for n, frame in enumerate(frames)]
    evaluation = evaluate(EvaluateConfig(predictions=paths, out=tmp_path / "e", bootstrap=100)).path
    return write_report(ReportConfig(evaluation=evaluation, out=tmp_path / "report", **settings))


def test_the_page_holds_every_section_and_nothing_from_outside(full):
    _, result = full
    page = result.page.read_text()
    assert external_references(page) == []
    assert "Lesions are &lt;simulated&gt;." in page
    for said in (
        "SSL ViT reaches an AUC of",
        "External centre (B)<small>28 lesions, 9 RN</small>",
        "<h3>SSL ViT</h3>",
        "It does not beat the blurred-input predictor (0.250).",
        "None of the test patients, 15 (hold-out), 19 (external centre), is among the 2 patients",
        "Masked autoencoding on T1CE &lt;b&gt;sub-volumes&lt;/b&gt;.",
        "<dt>Objective</dt><dd>mae</dd>",
        "spacing 1 × 1 × 1 mm",
    ):
        assert said in page, said
    assert not result.leak


def test_the_page_can_be_read_without_eyes(full):
    outline = Outline(full[1].page.read_text())
    assert outline.levels[0] == 1
    assert outline.levels.count(1) == 1
    assert all(deeper - level <= 1 for level, deeper in zip(outline.levels, outline.levels[1:], strict=False))
    assert outline.tags.count("table") == outline.tags.count("caption") == 4
    assert all(alt and len(alt) > 20 for alt in outline.alts)
    assert {link.removeprefix("#") for link in outline.links} <= set(outline.ids)
    assert len(set(outline.ids)) == len(outline.ids)
    assert {"main", "header", "footer", "nav"} <= set(outline.tags)


def test_every_figure_is_a_file_too(full):
    names = sorted(path.name for path in (full[1].path / "figures").iterdir())
    assert len([name for name in names if name.startswith("attention-P-B")]) == 3
    assert [name for name in names if not name.startswith("attention")] == [
        "calibration-external.png", "calibration-holdout.png", "forest.png", "roc-external.png", "roc-holdout.png", "training.png",
    ]  # fmt: skip
    assert full[1].page.read_text().count("<img") == len(names)


def test_a_second_run_does_nothing_and_another_title_needs_overwrite(full, tmp_path):
    shutil.copytree(full[1].path, tmp_path / "report")
    config = full[0].model_copy(update={"out": tmp_path / "report"})
    digest = Artifact.open(config.out, kind="report").digest
    first = write_report(config)
    assert (full[1].fresh, first.fresh) == (True, False)
    with pytest.raises(ConfigError, match="exists already, made with other settings or inputs"):
        write_report(config.model_copy(update={"title": "Other"}))
    assert Artifact.open(first.path).digest == digest
    write_report(config.model_copy(update={"overwrite": True, "title": "Other"}))
    assert "<h1>Other</h1>" in first.page.read_text()


def test_a_leak_is_red_and_named(tmp_path):
    frame = rows("ssl_vit")
    leaked = write_foundation(tmp_path / "f", [frame["patient"].iloc[0], "P-POOL0001"])
    result = small(tmp_path, frame, foundation=leaked.path)
    page = result.page.read_text()
    assert result.leak
    assert "LEAK: the foundation saw test patients, see the report" in result.summary()
    assert 'class="box alert" role="alert"' in page
    assert "1 of 15 (hold-out)" in page
    assert "<code>P-A0000000</code>" in page


def test_a_foundation_that_is_not_behind_the_predictions_is_said(tmp_path):
    result = small(tmp_path, rows("ssl_vit"), foundation=write_foundation(tmp_path / "f").path)
    assert any("lineage of the judged predictions names no foundation" in warning for warning in result.warnings)


def test_other_predictions_than_those_judged_are_said(tmp_path):
    stranger = write_predictions(tmp_path / "stranger", rows("volume_only"))
    result = small(tmp_path, rows("ssl_vit"), predictions=[stranger])
    assert "1 of the predictions given are not those that were judged: judge them again." in result.warnings


@pytest.mark.parametrize(
    ("frames", "said"),
    [
        ([rows("ssl_vit", counts={"holdout": (2, 3, "A"), "external": (0, 5, "B")})], "all 5 lesions have label 0"),
        ([rows("ssl_vit", counts={"external": (1, 1, "B")})], "External centre: 2 lesions, 1 of label 1"),
        ([rows("volume_only"), rows("radiomics_l2")], "The reference method has no result to report"),
        ([rows("ssl_vit"), rows("x", counts={"external": (4, 0, "B")})], "compared on the 4 lesions both judged"),
    ],
    ids=["one class", "two lesions", "no reference", "one class of one method"],
)
def test_small_and_odd_evaluations_make_a_page_that_says_so(tmp_path, frames, said):
    page = small(tmp_path, *frames).page.read_text()
    assert said in page
    assert not re.search(r"\bnan\b|None", re.sub(r'src="data:[^"]*"', "", page))
    assert external_references(page) == []


def test_wrong_inputs_are_sentences(tmp_path, study):
    evaluation = evaluate(EvaluateConfig(predictions=study["predictions"], out=tmp_path / "e", bootstrap=100)).path
    out = tmp_path / "report"
    with pytest.raises(ConfigError, match=r"ssl_vit: is of kind predictions, not evaluation\."):
        write_report(ReportConfig(evaluation=study["predictions"][0], out=out))
    with pytest.raises(
        ConfigError, match=r"e: is no run folder \(no metrics\.jsonl\)\. Give the folder that rnfm pretrain wrote\."
    ):
        write_report(ReportConfig(evaluation=evaluation, run=evaluation, out=out))
    lesion = rows("ssl_vit")["lesion"].iloc[0]
    broken = write_attention(tmp_path / "attention", rows("ssl_vit").iloc[:1], drop=f"{lesion}_map")
    with pytest.raises(DataError, match=rf"attention: slices\.npz has no '{lesion}_map'\. Run rnfm finetune again\."):
        write_report(ReportConfig(evaluation=evaluation, attention=[broken], out=out))
    assert not out.exists()
    assert not list(tmp_path.glob(".tmp-*"))


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (make test-deps)")
def test_a_browser_asks_nobody_for_anything_and_breaks_no_picture(full):
    from playwright.sync_api import sync_playwright

    asked, said = [], []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        context = browser.new_context(offline=True, viewport={"width": 1200, "height": 900})
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.goto(Path(full[1].page).absolute().as_uri())
        broken = page.evaluate("[...document.images].filter(i => !i.complete || !i.naturalWidth).length")
        too_wide = page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
        page.set_viewport_size({"width": 380, "height": 800})
        too_wide_on_a_phone = page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
        assert len(page.pdf(format="A4")) > 10_000
        browser.close()
    assert [url for url in asked if not url.startswith("data:")] == [full[1].page.absolute().as_uri()]
    assert (said, broken, too_wide, too_wide_on_a_phone) == ([], 0, False, False)
