"""The bound on memory bites, is said as a fault of the scan, and leaves nothing behind."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rnfm.core.ledger import Reason
from rnfm.volume import ScanFault
from rnfm.volume.guard import limited, unlimited

linux = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="this system does not bound address space")
MIB = 1 << 20


def soft() -> int:
    return resource.getrlimit(resource.RLIMIT_AS)[0]


@linux
def test_what_takes_too_much_is_too_large() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(ScanFault, match="preparing it takes more than 256 MiB of memory") as error, limited(256 * MIB):
        np.ones(400 * MIB, np.uint8)
    assert error.value.reason is Reason.TOO_LARGE
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    with limited(1000 * MIB):
        np.ones(400 * MIB, np.uint8)  # the same within the bound


@linux
def test_itk_says_it_in_its_own_way() -> None:
    """In a process of its own: whatever ITK has allocated before would be used again."""
    code = (
        "import SimpleITK as sitk; from rnfm.volume.guard import limited\n"
        "try:\n"
        "    with limited(100 << 20): sitk.Image([1000, 1000, 400], sitk.sitkFloat32)\n"
        "except Exception as error: print(error.reason)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "too_large", done.stderr


@linux
def test_a_stricter_limit_stays_and_another_program_gets_none() -> None:
    with limited(4096 * MIB):
        outer = soft()
        with limited(8192 * MIB):
            assert soft() == outer
        with unlimited():
            assert soft() == resource.getrlimit(resource.RLIMIT_AS)[1]
        assert soft() == outer


def test_other_errors_pass_through() -> None:
    with pytest.raises(RuntimeError, match="no such filter"), limited():
        raise RuntimeError("no such filter")
    with pytest.raises(ZeroDivisionError), limited():
        raise ZeroDivisionError


def test_a_system_without_bounds_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnfm.volume.guard._resource", lambda: None)
    before = soft()
    with limited(1), unlimited():
        assert soft() == before
