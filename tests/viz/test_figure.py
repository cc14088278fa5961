"""From figure to page: PNG bytes that are the same each time, and nothing left behind in matplotlib."""

import base64
import subprocess
import sys

import matplotlib
import numpy as np

from rnfm import viz
from rnfm.viz import figure


def draw():
    return viz.curve_figure({"loss": (np.arange(50), np.linspace(1, 0.2, 50))})


def test_the_same_figure_gives_the_same_bytes():
    one, two = viz.figure_png(draw()), viz.figure_png(draw())
    assert one == two
    assert one.startswith(b"\x89PNG\r\n\x1a\n")


def test_data_uri_holds_the_bytes():
    png = viz.figure_png(draw())
    head, body = viz.data_uri(png).split(",", 1)
    assert head == "data:image/png;base64"
    assert base64.b64decode(body) == png


def test_a_page_shows_type_at_the_size_it_was_drawn():
    png = viz.figure_png(figure.new_figure(5.0, 1.0))
    assert int.from_bytes(png[16:20], "big") == 5 * figure.DPI
    assert viz.width_px(png) == 5 * 96


def test_the_callers_settings_survive():
    before = dict(matplotlib.rcParams)
    viz.figure_png(draw())
    assert dict(matplotlib.rcParams) == before


def test_importing_the_room_imports_no_matplotlib_and_no_pyplot_ever():
    code = (
        "import sys, rnfm.viz; assert 'matplotlib' not in sys.modules and 'jinja2' not in sys.modules\n"
        "rnfm.viz.figure_png(rnfm.viz.montage([])); assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
