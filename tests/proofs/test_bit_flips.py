"""Proof: single-bit flips in compressed scans and masks; none is read in silence.

*Silent*: the file is accepted, and shape, affine, scaling or any decoded voxel differs from what was written. A flip that is
accepted and changes none of these (it fell on gzip's name, time or system byte) is harmless, and is counted. nibabel reads
the same files beside us. `make prove` runs 200 flips of a scan and 200 of a mask; `make test` has a twin in tests/volume.
"""

from __future__ import annotations

import gzip
import os
import warnings
from collections import Counter
from pathlib import Path

import nibabel
import numpy as np
import pytest

from rnfm.core.files import write_json
from rnfm.volume import ScanFault, load, load_mask

FLIPS = int(os.environ.get("RNFM_PROOF_TRIALS", "200"))
RESULT = Path(__file__).with_suffix(".json")
SEED = 24
AFFINE = np.array([[-1.0, 0.1, 0, 60], [0.1, 1, 0, -70], [0, 0, 1.2, -30], [0, 0, 0, 1]])


def contents() -> dict[str, bytes]:
    """A scaled int16 scan, noisy as MRI is, and a sparse mask of two labels."""
    noise = np.random.default_rng(SEED)
    scan = nibabel.Nifti1Image(noise.normal(300, 60, (48, 48, 32)).astype(np.int16), AFFINE)
    scan.header.set_slope_inter(0.25, -10)
    labels = np.zeros((48, 48, 32), np.uint8)
    labels[10:20, 12:20, 8:14], labels[30:33, 30:35, 20:22] = 1, 2
    mask = nibabel.Nifti1Image(labels, AFFINE)
    return {"scan": gzip.compress(scan.to_bytes(), mtime=0), "mask": gzip.compress(mask.to_bytes(), mtime=0)}


@pytest.mark.timeout(1200)
def test_no_single_bit_flip_is_silent(tmp_path: Path) -> None:
    found = {}
    for name, sound in contents().items():
        read = load if name == "scan" else load_mask
        found[name] = count(tmp_path / f"{name}.nii.gz", sound, read)
    write_json(RESULT, {"seed": SEED, "flips_each": FLIPS, **found})
    print(f"\n{'':6s} flips  silent  refused  harmless | silent in nibabel")
    for name, counts in found.items():
        print(
            f"{name:6s} {FLIPS:5d} {counts['silent']:7d} {counts['refused']:8d} {counts['harmless']:9d} | {counts['nibabel_silent']}"
        )
    assert all(counts["silent"] == 0 for counts in found.values())
    assert all(counts["refused"] > 0.9 * FLIPS for counts in found.values()), (
        "most flips hit nothing: they prove nothing"
    )


def count(file: Path, sound: bytes, read) -> dict[str, object]:
    file.write_bytes(sound)
    written = read(file)
    outcomes, reasons, nibabel_silent = Counter(), Counter(), 0
    for bit in np.random.default_rng(SEED).choice(len(sound) * 8, FLIPS, replace=False):
        damaged = bytearray(sound)
        damaged[bit // 8] ^= 1 << (bit % 8)
        file.write_bytes(damaged)
        try:
            volume = read(file)
            same = np.array_equal(volume.data, written.data) and np.array_equal(volume.affine, written.affine)
            outcomes["harmless" if same else "silent"] += 1
        except ScanFault as fault:
            outcomes["refused"] += 1
            reasons[str(fault.reason)] += 1
        nibabel_silent += is_silent_in_nibabel(file, written)
    return {
        **{name: outcomes[name] for name in ("silent", "refused", "harmless")},
        "reasons": dict(reasons),
        "nibabel_silent": nibabel_silent,
    }


def is_silent_in_nibabel(file: Path, written) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = nibabel.load(file)
            data = image.get_fdata(dtype=np.float32)
    except Exception:  # it noticed, in whatever way
        return False
    return not (np.array_equal(data, written.data.astype(np.float32)) and np.allclose(image.affine, written.affine))
