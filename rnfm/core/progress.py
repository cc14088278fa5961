"""Progress of long work: a bar on a terminal, a line now and then elsewhere. It writes to standard error only."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
LINE_EVERY_S = 15.0


def track(items: Iterable[T], total: int, label: str) -> Iterator[T]:
    """Yield `items` while showing how many of `total` are done, the rate and the time left."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import track as rich_track

        yield from rich_track(items, description=label, total=total, console=Console(stderr=True), transient=True)
        return
    start = last = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last >= LINE_EVERY_S:
            rate = done / (now - start)
            print(
                f"{label}: {done}/{total}, {rate:.1f}/s, {(total - done) / rate:.0f} s left",
                file=sys.stderr,
                flush=True,
            )
            last = now
