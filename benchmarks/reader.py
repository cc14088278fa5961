"""How fast do samples become batches? Our stream against WebDataset's own pipeline on the same tar shards.

    python benchmarks/reader.py [--quick]

All give the same float32 batches (B, 1, 96, 96, 96) of the same u8 samples, from a warm page cache:

    stream               two threads of this process; CRC-32 of every member checked; the global order
    webdataset           its iterator in this process: the least CPU it can use; no checksum
    webdataset_workers   the same in two worker processes under torch's DataLoader: as many cores as we use
    read                 our verified read alone, without the cast: u8 members
    memcpy               a plain copy of as many u8 bytes: the ceiling of any reader on this machine

Ratios are samples per CPU-second (threads and children counted) and per second of wall time, over interleaved rounds.
"""

from __future__ import annotations

import json
import tempfile
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _common import arguments, finish, interleaved, ratio

import rnfm.archive
from rnfm.archive.samples import dequantise, npy_header
from rnfm.archive.shard import KIND, VERSION, ShardConfig
from rnfm.archive.tar import ShardFiles
from rnfm.archive.write import write_shards
from rnfm.core import artifact
from rnfm.core.contract import InputContract

CROP, BATCH, PER_SCAN, WORKERS = (96, 96, 96), 16, 8, 2
EPOCHS = 2  # a timed round: long enough that starting up does not count


class NoiseVolumes:
    """Volumes of noise, as many as asked for: their content does not change a reader's work."""

    contract = InputContract()
    cohort = pd.DataFrame({"scan": [], "lesion": [], "mask_values": []})

    def __init__(self, count: int) -> None:
        codes = [f"S-{i:08X}" for i in range(count)]
        self.scans = pd.DataFrame({"scan": codes, "patient": codes, "site": "x", "has_mask": False})
        self.scans["intensity_mean"], self.scans["intensity_sd"] = 100.0, 50.0

    def image(self, scan: str) -> np.ndarray:
        return np.random.default_rng(int(scan[2:], 16)).normal(size=(112, 112, 112)).astype(np.float32)

    def mask(self, scan: str) -> np.ndarray:
        raise AssertionError("has_mask is False for every scan, so nobody may ask for one")

    def affine(self, scan: str) -> np.ndarray:
        return np.eye(4)


def write(folder: Path, samples: int) -> Path:
    """A published archive of `samples` noise crops in 64 MB shards."""
    config = ShardConfig(volumes=Path("noise"), out=folder, crop=CROP, per_scan=PER_SCAN)
    with artifact.publish(folder, KIND, VERSION) as draft:
        written = write_shards(NoiseVolumes(samples // PER_SCAN), None, config, draft.path)
        draft.contract.update(written.contract)
        draft.lineage["patients"] = written.patients
    return folder


def stream(archive: Any) -> int:
    """Some epochs of our stream; returns the samples seen."""
    state = archive.first_state(seed=0, global_batch=BATCH)
    with archive.stream(state) as batches:
        return sum(len(batch.image_BCDHW) for batch in islice(batches, EPOCHS * (len(archive) // BATCH)))


def webdataset_pipeline(shards: list[str]) -> Any:
    """WebDataset with the same arithmetic as ours and no decoder of its own, which would be slower."""
    import webdataset

    header = len(npy_header(CROP))

    def decode(sample: dict[str, Any]) -> np.ndarray:
        meta = json.loads(sample["meta.json"])
        codes = np.frombuffer(sample["img.npy"], np.uint8, offset=header).reshape(1, *CROP)
        return dequantise(codes, meta["scale"], meta["offset"])

    dataset = webdataset.WebDataset(shards, shardshuffle=False, nodesplitter=None, empty_check=False)
    return dataset.map(decode).batched(BATCH, collation_fn=np.stack)


def webdataset_here(shards: list[str]) -> int:
    return sum(len(batch) for _ in range(EPOCHS) for batch in webdataset_pipeline(shards))


def webdataset_workers(shards: list[str]) -> int:
    import torch

    loader = torch.utils.data.DataLoader(
        webdataset_pipeline(shards), batch_size=None, num_workers=WORKERS, prefetch_factor=2, persistent_workers=True
    )
    return sum(len(batch) for _ in range(EPOCHS) for batch in loader)


def read(archive: Any) -> int:
    files, shards = ShardFiles(archive.path), archive.manifest.columns["shard"]
    for i in list(range(len(archive))) * EPOCHS:
        files.read(str(shards[i]), archive.manifest.extent(i, "img"), key=archive.key(i), member="img")
    return EPOCHS * len(archive)


def require_same_samples(archive: Any, shards: list[str]) -> None:
    """The peers must do the same work: the same sum over all voxels, to float32 rounding."""
    ours = sum(float(sample.image.sum(dtype=np.float64)) for sample in archive)
    theirs = sum(float(batch.sum(dtype=np.float64)) for batch in webdataset_pipeline(shards))
    if abs(ours - theirs) > 1e-6 * len(archive) * np.prod(CROP):
        raise SystemExit(f"the readers disagree: {ours} and {theirs}")


def main() -> None:
    quick = arguments(__doc__.splitlines()[0]).quick
    samples, rounds = (96, 5) if quick else (384, 15)
    with tempfile.TemporaryDirectory() as folder:
        archive = rnfm.archive.open(write(Path(folder) / "archive", samples))
        shards = [str(path) for path in sorted(archive.path.glob("*.tar"))]
        require_same_samples(archive, shards)
        source = np.random.default_rng(0).integers(0, 256, (samples, int(np.prod(CROP))), dtype=np.uint8)
        target = np.zeros_like(source)
        times = interleaved(
            {
                "stream": lambda: stream(archive),
                "webdataset": lambda: webdataset_here(shards),
                "webdataset_workers": lambda: webdataset_workers(shards),
                "read": lambda: read(archive),
                "memcpy": lambda: [np.copyto(target, source) for _ in range(EPOCHS)],
            },
            rounds,
        )
    cpu = {name: [pair[0] for pair in pairs] for name, pairs in times.items()}
    wall = {name: [pair[1] for pair in pairs] for name, pairs in times.items()}
    figures = {
        "stream_over_webdataset_cpu": ratio(cpu["webdataset"], cpu["stream"]),
        "stream_over_webdataset_wall": ratio(wall["webdataset"], wall["stream"]),
        "stream_over_webdataset_workers_cpu": ratio(cpu["webdataset_workers"], cpu["stream"]),
        "stream_over_webdataset_workers_wall": ratio(wall["webdataset_workers"], wall["stream"]),
        "stream_over_memcpy_cpu": ratio(cpu["memcpy"], cpu["stream"]),
        "read_verified_over_memcpy_cpu": ratio(cpu["memcpy"], cpu["read"]),
        "samples_per_cpu_s": {name: round(EPOCHS * samples / float(np.median(used))) for name, used in cpu.items()},
        "samples_per_s": {name: round(EPOCHS * samples / float(np.median(used))) for name, used in wall.items()},
        "samples": samples,
        "epochs_a_round": EPOCHS,
        "crop_vox": list(CROP),
        "batch": BATCH,
    }
    finish("reader", figures, "numpy", "webdataset", "torch", quick=quick)


if __name__ == "__main__":
    main()
