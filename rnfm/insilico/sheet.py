"""Excel files whose bytes depend on their cells only: openpyxl stamps the time into two places, which are set back."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from typing import Any

LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip archive can hold
STAMP = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def write(path: Path, title: str, rows: list[list[Any]]) -> None:
    """Write one sheet, row by row; None leaves a cell out."""
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    page = book.create_sheet(title)
    for row in rows:
        page.append(row)
    raw = io.BytesIO()
    book.save(raw)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_timeless(raw))


def _timeless(raw: io.BytesIO) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(raw) as source, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            data = source.read(name)
            if name == "docProps/core.xml":
                data = STAMP.sub(b"1980-01-01T00:00:00Z", data)
            target.writestr(zipfile.ZipInfo(name, LONG_AGO), data, zipfile.ZIP_DEFLATED)
    return out.getvalue()
