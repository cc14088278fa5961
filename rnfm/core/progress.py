"""Progress of long work: a bar on a terminal, a line now and then elsewhere. It writes to standard error only.

    prepare ━━━━━━━━━━╸━━━━━━━━━  512/1000  4.1 scans/s, 1 min 59 s left            a terminal: one line, gone at the end
    prepare: 512/1000, 4.1 scans/s, 1 min 59 s left                                 a log: one line every 15 s, then
    prepare: 1000 scans in 4 min 08 s, 4.0 scans/s                                  the last, unless it was soon over

The rate is that of the last minute, not of the whole: after a resume, hundreds of scans are done in the first second, and
an average over all would promise an end that never comes. Work inside tracked work is silent: the outer bar counts it.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
LINE_EVERY_S = 15.0
WINDOW_S = 60.0
_SHOWING = threading.Lock()  # held by the one piece of work that is shown


class Pace:
    """How fast work goes, from how much was done when. Times are seconds of one monotonic clock."""

    def __init__(self, total: int, start_s: float, window_s: float = WINDOW_S) -> None:
        self.total, self.start_s, self.window_s, self.done = total, start_s, window_s, 0
        self._seen: deque[tuple[float, int]] = deque([(start_s, 0)])

    def update(self, now_s: float, done: int) -> None:
        """`done` items in all are done by now."""
        self.done = done
        # A tenth of the window is fine enough, and keeps the memory of a million items at some ten pairs.
        if now_s - self._seen[-1][0] >= self.window_s / 10:
            self._seen.append((now_s, done))
        while len(self._seen) > 1 and self._seen[1][0] <= now_s - self.window_s:
            self._seen.popleft()

    def rate(self, now_s: float) -> float:
        """Items a second over the last window; 0 while nothing is done or no time has passed."""
        since_s, before = self._seen[0]
        return (self.done - before) / (now_s - since_s) if now_s > since_s else 0.0

    def words(self, now_s: float, unit: str) -> str:
        """'4.1 scans/s, 1 min 59 s left'; without a rate there is no end to foretell."""
        rate = self.rate(now_s)
        if rate <= 0:
            return f"{number(0)} {unit}/s"
        return f"{number(rate)} {unit}/s, {duration((self.total - self.done) / rate)} left"


def track(
    items: Iterable[T], total: int, label: str, unit: str = "scans", clock: Callable[[], float] = time.monotonic
) -> Iterator[T]:
    """Yield `items` while showing how many of `total` are done, their rate, and the time left.

    An item counts as done when the next one is asked for; so this may stand around the work or around its results.
    """
    if not _SHOWING.acquire(blocking=False):
        yield from items
        return
    try:
        show = _bar if sys.stderr.isatty() else _lines
        yield from show(items, Pace(total, clock()), label, unit, clock)
    finally:
        _SHOWING.release()


def _lines(items: Iterable[T], pace: Pace, label: str, unit: str, clock: Callable[[], float]) -> Iterator[T]:
    last = pace.start_s
    for done, item in enumerate(items, 1):
        yield item
        now = clock()
        pace.update(now, done)
        if now - last >= LINE_EVERY_S and done < pace.total:
            print(f"{label}: {done}/{pace.total}, {pace.words(now, unit)}", file=sys.stderr, flush=True)
            last = now
    took = clock() - pace.start_s
    if took >= LINE_EVERY_S:
        rate = number(pace.done / took if took > 0 else 0.0)
        print(f"{label}: {pace.done} {unit} in {duration(took)}, {rate} {unit}/s", file=sys.stderr, flush=True)


def _bar(items: Iterable[T], pace: Pace, label: str, unit: str, clock: Callable[[], float]) -> Iterator[T]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[words]}")
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=pace.total, words="")
        for done, item in enumerate(items, 1):
            yield item
            now = clock()
            pace.update(now, done)
            progress.update(task, completed=done, words=pace.words(now, unit))


def number(value: float) -> str:
    """Two digits, without an exponent.

    >>> [number(x) for x in (0.0, 0.0423, 4.06, 12.3, 3456.0)]
    ['0', '0.042', '4.1', '12', '3456']
    """
    if value >= 10 or value == 0:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def duration(seconds: float) -> str:
    """In the two largest units.

    >>> [duration(x) for x in (0.4, 59.4, 119.0, 3600 * 26 + 125)]
    ['0 s', '59 s', '1 min 59 s', '26 h 02 min']
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
