"""Pages: escaped, self-contained, and refused if they are not."""

import jinja2
import pytest

from rnfm.viz.html import external_references, number, p_value, percent, render


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ('<img src="data:image/png;base64,AA"><a href="#top">up</a><a href="">same</a>', []),
        ('<img src="https://host/a.png">', ["https://host/a.png"]),
        ("<img src=//host/a.png>", ["//host/a.png"]),
        ('<img src="figures/a.png">', ["figures/a.png"]),
        ('<img srcset="data:,a 1x, b.png 2x">', ["b.png"]),
        ('<link rel="stylesheet" href="style.css">', ["style.css"]),
        ('<script src="x.js"></script>', ["x.js"]),
        ("<style>p { background: url( 'http://host/x' ) }</style>", ["http://host/x"]),
        ('<style>@import "more.css"; @font-face { src: url(data:font/woff2,AA) }</style>', ["more.css"]),
        ('<p style="background:url(#g)">url(http://text.is.not.style)</p>', []),
        ('<p style="background:url(x.png)">', ["x.png"]),
        ('<svg><use xlink:href="icons.svg#a"/></svg>', ["icons.svg#a"]),
        ('<form action="/send"><button formaction="/other"></form>', ["/send", "/other"]),
        ('<meta http-equiv="refresh" content="0; url=http://host">', ["0; url=http://host"]),
        ('<meta name="description" content="http://host">', []),
    ],
)
def test_external_references(page, found):
    assert external_references(page) == found


def write(tmp_path, body):
    template = tmp_path / "t.html.j2"
    template.write_text('{% extends "page.html.j2" %}{% block main %}' + body + "{% endblock %}")
    return template


def test_values_are_escaped(tmp_path):
    page = render(write(tmp_path, "<p>{{ name }}</p>"), title="A & B", name='<script src="http://evil"></script>')
    assert "<script" not in page
    assert "<title>A &amp; B</title>" in page
    assert external_references(page) == []


def test_a_template_that_leaves_the_page_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"^t\.html\.j2 refers to 'http://host/x\.png' outside the page$"):
        render(write(tmp_path, '<img src="{{ at }}">'), title="t", at="http://host/x.png")


def test_a_forgotten_fact_is_an_error(tmp_path):
    with pytest.raises(jinja2.UndefinedError, match="'name' is undefined"):
        render(write(tmp_path, "{{ name }}"), title="t")


def test_the_page_carries_a_policy_and_a_language(tmp_path):
    page = render(write(tmp_path, ""), title="t")
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in page
    assert '<html lang="en">' in page


def test_numbers_as_a_reader_wants_them():
    assert [number(x) for x in (0.12345, -1.0, None, float("nan"), float("inf"), -float("inf"))] == [
        "0.123", "−1.000", "–", "–", "∞", "−∞",
    ]  # fmt: skip
    assert [p_value(x) for x in (0.0004, 0.001, 0.25, float("nan"))] == ["< 0.001", "0.001", "0.250", "–"]
    assert [percent(x) for x in (0.876, 1.0, None)] == ["88 %", "100 %", "–"]


def test_the_policy_names_a_templates_own_scripts_and_no_others(tmp_path):
    """The hash is what a browser computes: base64 of the SHA-256 of all between the tags (here by openssl)."""
    page = render(write(tmp_path, "<script>alert(1)</script><p>{{ name }}</p>"), title="t", name="<script>x</script>")
    # printf 'alert(1)' | openssl dgst -sha256 -binary | base64
    assert "script-src 'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='\"" in page
    assert page.count("sha256-") == 1
    assert "script-src 'none'" in render(write(tmp_path, "<p>still</p>"), title="t")
