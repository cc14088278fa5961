"""Recipes for the tests of `prepare`: what a scan's files may do to the process that makes or reads them.

A worker must be able to import them, so the tests put this folder on sys.path (fixture `recipes`).
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Copy:
    """The files of a scan that exists, written anew; every call is noted in `diary` if that is given."""

    image: Path
    mask: Path | None = None
    diary: Path | None = None
    pause_s: float = 0.0

    def __call__(self, folder: Path) -> tuple[Path, Path | None]:
        if self.diary is not None:
            with open(self.diary, "a") as file:
                file.write(f"{self.image.name} {os.getpid()}\n")
        time.sleep(self.pause_s)
        copies = [Path(shutil.copy(path, folder)) for path in (self.image, self.mask) if path is not None]
        return copies[0], copies[1] if self.mask is not None else None


@dataclass(frozen=True)
class Dies(Copy):
    """Ends the process, the first `times` times that it is called."""

    times: int = 99
    how: str = "SIGKILL"

    def __call__(self, folder: Path) -> tuple[Path, Path | None]:
        assert self.diary is not None
        made = super().__call__(folder)
        if self.diary.read_text().count(f"{self.image.name} ") <= self.times:
            if self.how == "segfault":
                ctypes.string_at(0)
            if self.how == "exit":
                os._exit(7)
            os.kill(os.getpid(), getattr(signal, self.how))
        return made


@dataclass(frozen=True)
class Hangs(Copy):
    """Never ends, and has started a program that does not either; `diary` holds that program's process id."""

    def __call__(self, folder: Path) -> tuple[Path, Path | None]:
        assert self.diary is not None
        self.diary.write_text(str(subprocess.Popen(["sleep", "600"]).pid))
        time.sleep(600)
        raise AssertionError


@dataclass(frozen=True)
class Raises(Copy):
    """Fails as a program fails, not as a scan does."""

    error: str = "ZeroDivisionError"

    def __call__(self, folder: Path) -> tuple[Path, Path | None]:
        if self.error == "full":
            raise OSError(errno.ENOSPC, "No space left on device", str(self.image))
        if self.error == "denied":
            raise PermissionError(errno.EACCES, "Permission denied", str(self.image))
        if self.error == "local":

            class Local(Exception):
                pass

            raise Local(str(self.image))
        raise ZeroDivisionError("in a recipe")
