"""What one worker takes at most, measured in a process of its own: three float32 volumes and 300 MB."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

CODE = """
import sys
from pathlib import Path
from rnfm.core.contract import InputContract
from rnfm.volume.production import Job, work
from rnfm.volume.sources import Scan
image, mask, folder = map(Path, sys.argv[1:4])
work(Job(Scan("S-0", "P-0", "A", image, mask, True, ()), None, InputContract(spacing_mm=(float(sys.argv[4]),) * 3), 4.0, folder, {}))
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(int(peak.split()[1]) / 1024)  # not ru_maxrss, which counts what the parent had when it made this process
"""


@pytest.mark.slow
@pytest.mark.parametrize("spacing_mm", [1.0, 0.5], ids=["coarser", "as it is"])
def test_three_volumes_and_300_mb(tmp_path: Path, spacing_mm: float) -> None:
    """Both ways through: smoothed and resampled, or only reordered (then the canonical volume is as large as the source)."""
    shape = (352, 352, 140)
    x, y, z = np.meshgrid(*((np.arange(n) - n / 2) * 0.5 for n in shape), indexing="ij", sparse=True)
    head = (x / 70) ** 2 + (y / 80) ** 2 + (z / 33) ** 2 < 1
    noise = np.random.default_rng(0).standard_normal(shape, np.float32)
    raw = (np.abs(noise) * 10 + 400 * head).astype(np.int16)
    lesion = (x**2 + y**2 + z**2 < 100).astype(np.uint8)
    affine = np.diag([-0.5, -0.5, 0.5, 1.0])
    for name, data in (("image.nii", raw), ("mask.nii", lesion)):
        nibabel.save(nibabel.Nifti1Image(data, affine), tmp_path / name)
    words = [tmp_path / "image.nii", tmp_path / "mask.nii", tmp_path / "done", spacing_mm]
    ran = subprocess.run([sys.executable, "-c", CODE, *map(str, words)], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    volume_mb = np.prod(shape) * 4 / 2**20
    print(f"peak {float(ran.stdout):.0f} MiB for a volume of {volume_mb:.0f} MiB at {spacing_mm} mm")
    assert float(ran.stdout) < 3 * volume_mb + 300
