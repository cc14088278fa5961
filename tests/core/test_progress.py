"""Progress: the exact lines of a log under a clock of our own, a bar on a real terminal, silence where it would only disturb."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnfm.core.progress import Pace, duration, number, track

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Clock:
    """A clock that moves only when somebody works."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s

    def work(self, seconds: list[float]) -> Iterator[int]:
        """Items that take so long to make."""
        for item, spent in enumerate(seconds):
            self.now_s += spent
            yield item


def lines_of(capsys: pytest.CaptureFixture[str], seconds: list[float], unit: str = "scans") -> list[str]:
    clock = Clock()
    assert list(track(clock.work(seconds), len(seconds), "prepare", unit, clock)) == list(range(len(seconds)))
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


def test_a_log_gets_a_line_every_quarter_minute_and_one_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    assert lines_of(capsys, [5.0] * 8) == [
        "prepare: 3/8, 0.2 scans/s, 25 s left",
        "prepare: 6/8, 0.2 scans/s, 10 s left",
        "prepare: 8 scans in 40 s, 0.2 scans/s",
    ]


def test_one_long_item_has_its_last_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert lines_of(capsys, [90.0]) == ["prepare: 1 scans in 1 min 30 s, 0.011 scans/s"]


def test_short_work_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert lines_of(capsys, [0.1] * 100) == []
    assert lines_of(capsys, []) == []


def test_the_unit_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert lines_of(capsys, [20.0, 1.0], "sub-volumes") == [
        "prepare: 1/2, 0.05 sub-volumes/s, 20 s left",
        "prepare: 2 sub-volumes in 21 s, 0.095 sub-volumes/s",
    ]


def test_what_a_resume_finds_done_does_not_promise_an_early_end(capsys: pytest.CaptureFixture[str]) -> None:
    """500 scans in a second, then one every 2 s: a minute later the rate is the true one."""
    said = lines_of(capsys, [0.002] * 500 + [2.0] * 500)
    assert said[0] == "prepare: 508/1000, 30 scans/s, 16 s left"  # the first line cannot know better
    later = [re.search(r"([\d.]+) scans/s, (.*) left", line).groups() for line in said[5:-1]]  # type: ignore[union-attr]
    assert {rate for rate, _ in later} == {"0.5"}
    assert later[0][1] == "15 min 04 s"  # at 97 s, 548 are done


def test_work_inside_tracked_work_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    for _ in track(range(2), 2, "outer", "things", clock):
        assert list(track(clock.work([20.0, 20.0]), 2, "inner", "things", clock)) == [0, 1]
    assert capsys.readouterr().err.splitlines() == [
        "outer: 1/2, 0.025 things/s, 40 s left",
        "outer: 2 things in 1 min 20 s, 0.025 things/s",
    ]


def test_after_an_error_the_next_work_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()

    def broken() -> Iterator[int]:
        yield 0
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        list(track(broken(), 2, "broken", "scans", clock))
    for _ in track(iter(range(9)), 9, "left", "scans", clock):
        break  # a consumer that goes away
    assert lines_of(capsys, [16.0, 16.0])[-1] == "prepare: 2 scans in 32 s, 0.062 scans/s"


@given(st.lists(st.floats(0, 50), min_size=1, max_size=80))
def test_a_pace_is_never_negative_and_never_ends_early(seconds: list[float]) -> None:
    pace, now = Pace(len(seconds), 0.0), 0.0
    for done, spent in enumerate(seconds, 1):
        now += spent
        pace.update(now, done)
        assert pace.rate(now) >= 0
        # Whatever the window, the rate is that of some stretch of the work that ends now.
        stretches = [(done - k, now - sum(seconds[:k])) for k in range(done)]
        assert pace.rate(now) == 0 or any(pace.rate(now) == pytest.approx(n / s) for n, s in stretches if s > 0)


@pytest.mark.parametrize(
    ("say", "table"),
    [
        (number, {0.0: "0", 0.0423: "0.042", 0.5: "0.5", 4.06: "4.1", 12.3: "12", 3456.0: "3456"}),
        (duration, {0.4: "0 s", 59.6: "1 min 00 s", 119.0: "1 min 59 s", 3599.7: "1 h 00 min", 93725.0: "26 h 02 min"}),
    ],
)
def test_numbers_and_durations(say: Callable[[float], str], table: dict[float, str]) -> None:
    assert {value: say(value) for value in table} == table


BAR = """
import time
from rnfm.core.progress import track
for i in track(range(30), 30, "simulate"):
    time.sleep(0.02)
print("the result")
"""


def test_a_terminal_gets_a_bar_that_is_gone_at_the_end() -> None:
    """A real second process whose standard error is a real terminal; its standard output is not touched."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", BAR],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "120"},
    ) as process:
        os.close(theirs)
        shown = b""
        while chunk := _read(ours):
            shown += chunk
        assert process.stdout is not None
        assert process.stdout.read() == b"the result\n"
    os.close(ours)
    assert process.returncode == 0
    text = ESCAPE.sub("", shown.decode())
    assert re.search(r"simulate +[━╸╺ ]+ +\d+/30 +[\d.]+ scans/s, \d+ s left", text)
    assert b"\x1b[2K" in shown.rsplit(b"simulate", 1)[1]  # the line is erased after it was last drawn


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # Linux says EIO when the other end of a terminal is closed
        return b""
