"""Pages: Jinja2 with escaping on, poured into one file that asks no host for anything.

`render` refuses to return a page that refers to anything outside itself, so no template can forget; the page also carries
a policy that tells the browser the same, and lets it run the template's own inline scripts only, named by their hashes.
Templates extend `page.html.j2`, which holds the style sheet.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
from functools import lru_cache
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"
NOTHING = "–"
_ATTRIBUTES = frozenset(
    ("src", "href", "srcset", "poster", "data", "action", "formaction", "background", "xlink:href", "manifest", "ping")
)
_URL = re.compile(r"""url\(\s*['"]?\s*([^'")]*)|@import\s+['"]([^'"]*)""", re.IGNORECASE)
_DESCRIPTOR = re.compile(r"[\d.]+[wxh],?")  # the sizes in a srcset
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_NO_SCRIPT = "script-src 'none'"  # as page.html.j2 has it


def render(template: str | Path, **facts: Any) -> str:
    """The page of `template`: a name in this room's templates, or a path to one elsewhere, which may extend ours.

    Every value is escaped. A fact that the template names and nobody gave raises jinja2.UndefinedError. Filters:
    `number(digits)` writes a dash for NaN and None, `p_value` writes '< 0.001', `percent` whole per cents.
    Raises ValueError if the page refers to anything outside itself: that is a fault of a template, not of a user.
    """
    path = Path(template)
    folder = path.parent if path.parent != Path() else TEMPLATES
    page = _allow_scripts(_environment(folder).get_template(path.name).render(**facts))
    outside = external_references(page)
    if outside:
        raise ValueError(f"{path.name} refers to {outside[0]!r} outside the page")
    return page


def external_references(html: str) -> list[str]:
    """Every address the page would fetch or lead to: not `#fragment`, not `data:`. Empty for a self-contained page."""
    finder = _Finder()
    finder.feed(html)
    finder.close()
    return [address for address in finder.found if address and not address.startswith(("#", "data:"))]


def _allow_scripts(page: str) -> str:
    """The page with its inline scripts named in its policy (CSP 3, 2.3.1); values are escaped, so none can be a script."""
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in _SCRIPT.findall(page)]
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return page.replace(_NO_SCRIPT, f"script-src {allowed}", 1) if hashes else page


def number(value: float | None, digits: int = 3) -> str:
    """`value` with a fixed number of decimals; a dash for None and NaN, a sign for infinities."""
    if value is None or math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:.{digits}f}".replace("-", "−")


def p_value(value: float | None) -> str:
    if value is None or math.isnan(value):
        return NOTHING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def percent(value: float | None) -> str:
    return NOTHING if value is None or math.isnan(value) else f"{100 * value:.0f} %"


@lru_cache(maxsize=8)
def _environment(folder: Path) -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([folder, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, p_value=p_value, percent=percent)
    return environment


class _Finder(HTMLParser):
    """Collects addresses from attributes, inline styles and style sheets; scripts with a `src` among them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_style = tag == "style"
        refresh = (dict(attrs).get("http-equiv") or "").lower() == "refresh"
        for name, value in attrs:
            text = (value or "").strip()
            if name == "srcset":
                self.found += [word.strip(",") for word in text.split() if not _DESCRIPTOR.fullmatch(word)]
            elif name in _ATTRIBUTES:
                self.found.append(text)
            elif name == "style":
                self._style(text)
            elif name == "content" and refresh:
                self.found.append(text)

    def handle_endtag(self, tag: str) -> None:
        self._in_style = self._in_style and tag != "style"

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self._style(data)

    def _style(self, text: str) -> None:
        self.found += [(url or imported).strip() for url, imported in _URL.findall(text)]
