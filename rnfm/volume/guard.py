"""A bound on the memory that one scan may take, so that a hostile file costs that scan and nothing else.

What stands between a file and the run, from the outside in:

    the process    `prepare` does every scan in a worker process (rnfm.volume.workers): it may crash, hang or be killed, and
                   then costs the scan that it held (crashed, timed_out); `scan_seconds` is the limit in time
    the memory     `limited`, here: the worker's address space (RLIMIT_AS) while it holds a scan; beyond it, TOO_LARGE
    the header     rnfm.volume.reading: what it claims is judged before anything is allocated (2^28 voxels, 1 GiB, ratio)
    the grid       rnfm.volume.geometry: a canonical grid of more than 2^28 voxels is never made

The two innermost refuse every bomb that we know how to make at a cost of kilobytes; the two outermost are there for those that
we do not know. `limited` costs two system calls a scan. Where the system has no RLIMIT_AS (macOS accepts and ignores it,
Windows has none) it does nothing, and the worker process alone keeps the run alive.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rnfm.core.ledger import Reason
from rnfm.volume.faults import ScanFault

WORK_BYTES = 6 << 30  # the largest scan as stored and as float32, its largest canonical grid, N4's copies of that


@contextlib.contextmanager
def limited(extra_bytes: int = WORK_BYTES) -> Iterator[None]:
    """Within, this process may take `extra_bytes` of address space more than now; what needs more raises ScanFault (TOO_LARGE).

    The limit holds for the whole process, so it is for a process that does one scan at a time. A stricter limit that stands
    already is kept.
    """
    before = _lower(extra_bytes)
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # ITK says it in a RuntimeError
        if isinstance(error, RuntimeError) and not _is_about_memory(error):
            raise
        raise ScanFault(Reason.TOO_LARGE, f"preparing it takes more than {_size(extra_bytes)} of memory") from None
    finally:
        if before is not None:
            _set(before)


@contextlib.contextmanager
def unlimited() -> Iterator[None]:
    """Within, the soft limit is lifted: another program started here has its own needs, and would inherit ours."""
    resource = _resource()
    if resource is None:
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    _set((before[1], before[1]))
    try:
        yield
    finally:
        _set(before)


def _lower(extra_bytes: int) -> tuple[int, int] | None:
    """The limits (soft, hard) before, or None where there is nothing to bound with."""
    resource, taken = _resource(), _taken()
    if resource is None or taken is None:
        return None
    before: tuple[int, int] = resource.getrlimit(resource.RLIMIT_AS)
    bounds = [taken + extra_bytes, *(bound for bound in before if bound != resource.RLIM_INFINITY)]
    _set((min(bounds), before[1]))
    return before


def _set(limits: tuple[int, int]) -> None:
    resource = _resource()
    resource.setrlimit(resource.RLIMIT_AS, limits)


def _taken() -> int | None:
    """Bytes of this process's address space; None where the system does not say (anything but Linux)."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def _resource() -> Any:
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource


def _is_about_memory(error: RuntimeError) -> bool:
    said = str(error).lower()
    return "bad_alloc" in said or "memory" in said


def _size(count: int) -> str:
    return f"{count / 2**30:.3g} GiB" if count >= 1 << 30 else f"{count / 2**20:.0f} MiB"
