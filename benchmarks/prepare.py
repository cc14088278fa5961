"""How fast are scans prepared? Our stage against nibabel, SimpleITK and zarr-python called by hand, and against MONAI's chain.

    python benchmarks/prepare.py [--quick]

All read the same .nii.gz scans and masks (made here: 240 x 240 x 155 at 1 mm; 512 x 512 x 160 at 0.48 x 0.48 x 1 mm, oblique):

    ours     one scan as `rnfm data prepare` does it: checked reading to the last byte, canonical grid with anti-aliasing and
             label-safe masks, foreground, intensity rule, cut, hash of the voxels, shards, synced and hashed on the disk
    peer     nibabel decode (float32) + SimpleITK resample to the same grid, one thread, mask by nearest neighbour, no
             anti-aliasing, no checks + the same zarr-python write (same shards, chunks, codec) of the whole grid
    monai    LoadImage + Orientation + Spacing of both files; nothing is written

Ratios are scans per CPU-second and per second of wall time over interleaved pairs, one process, one thread each. Then the
whole stage, from command to archive: with one worker against the peer in a process of its own, and with two against one.
"""

from __future__ import annotations

import os

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")
os.environ.update(dict.fromkeys(ONE_THREAD, "1"))  # before NumPy, ITK and torch are loaded; inherited by all processes

import gzip  # noqa: E402
import shutil  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
from collections.abc import Callable  # noqa: E402
from dataclasses import dataclass  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import nibabel  # noqa: E402
import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyarrow.parquet as parquet  # noqa: E402
import SimpleITK as sitk  # noqa: E402
import zarr  # noqa: E402
from _common import arguments, finish, interleaved, ratio  # noqa: E402
from scipy import ndimage  # noqa: E402
from zarr.codecs import ZstdCodec  # noqa: E402

from rnfm.core.artifact import publish  # noqa: E402
from rnfm.core.contract import InputContract  # noqa: E402
from rnfm.volume import PrepareConfig, prepare  # noqa: E402
from rnfm.volume.geometry import canonical_grid  # noqa: E402
from rnfm.volume.production import Job, work  # noqa: E402
from rnfm.volume.sources import Scan  # noqa: E402
from rnfm.volume.store import LEVEL, chunk_of  # noqa: E402

KINDS = {"iso_1mm": ((240, 240, 155), (1.0, 1.0, 1.0), 0.0), "fine": ((512, 512, 160), (0.48, 0.48, 1.0), 0.1)}
SPACING_MM = (1.0, 1.0, 1.0)
LPS_OF_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
assert sitk.ProcessObject.GetGlobalDefaultNumberOfThreads() == 1, "SimpleITK must not have more threads than we have"


@dataclass(frozen=True)
class Case:
    """A scan and its mask on the disk."""

    image: Path
    mask: Path


def make(folder: Path, kind: str, seed: int) -> Case:
    """A textured head in noisy air, with a bright lesion that the mask marks."""
    shape, spacing, tilt = KINDS[kind]
    noise = np.random.default_rng(seed)
    x, y, z = np.meshgrid(
        *((np.arange(n) - n / 2 + 0.5) * mm for n, mm in zip(shape, spacing, strict=True)), indexing="ij", sparse=True
    )
    tissue = ndimage.zoom(noise.normal(size=(20, 20, 20)).astype(np.float32), [n / 20 for n in shape], order=1)
    lesion = (x - 20) ** 2 + (y - 10) ** 2 + (z - 10) ** 2 < 100
    head = ((x / 75) ** 2 + (y / 90) ** 2 + (z / 70) ** 2 < 1) * (400 + 60 * tissue) * (1 + 0.8 * lesion)
    real, imaginary = (12 * noise.standard_normal(shape, np.float32) for _ in range(2))
    raw = np.hypot(head + real, imaginary).astype(np.int16)
    affine = np.diag([-spacing[0], -spacing[1], spacing[2], 1])
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]]
    affine = turn @ affine
    affine[:3, 3] = -affine[:3, :3] @ np.array(shape) / 2
    case = Case(folder / f"{kind}-{seed}.nii.gz", folder / f"{kind}-{seed}-mask.nii.gz")
    for path, data in ((case.image, raw), (case.mask, lesion.astype(np.uint8))):
        image = nibabel.Nifti1Image(data, affine)
        image.set_qform(affine, 1)
        path.write_bytes(gzip.compress(image.to_bytes(), 1))
    return case


def ours(case: Case, folder: Path) -> None:
    """One scan to a finished scan in the work folder, by the code that the workers run."""
    scan = Scan("S-00000000", "P-00000000", "A", case.image, case.mask, True, ())
    work(Job(scan, None, InputContract(spacing_mm=SPACING_MM), 4.0, folder / "scan", {}))
    shutil.rmtree(folder)


def peer(case: Case, folder: Path) -> None:
    """What a script by hand does, with the same libraries."""
    image = nibabel.load(case.image)
    shape, affine = canonical_grid(image.shape, image.affine, SPACING_MM)
    data = resampled(image.get_fdata(dtype=np.float32), image.affine, shape, affine, sitk.sitkLinear)
    mask = nibabel.load(case.mask)
    labels = resampled(
        np.asanyarray(mask.dataobj).astype(np.uint16), mask.affine, shape, affine, sitk.sitkNearestNeighbor
    )
    group = zarr.create_group(folder / "peer.zarr")
    for name, array in (("image", data.astype(np.float16)), ("mask", labels)):
        target = group.create_array(
            name,
            shape=(1, *shape),
            dtype=array.dtype,
            shards=(1, *(chunk_of(n) * -(-n // chunk_of(n)) for n in shape)),
            chunks=(1, *(chunk_of(n) for n in shape)),
            compressors=[ZstdCodec(level=LEVEL, checksum=True)],
            fill_value=0,
            config={"write_empty_chunks": True},
        )
        target[0] = array
    shutil.rmtree(folder)


def resampled(data: np.ndarray, affine: np.ndarray, shape: Any, out: np.ndarray, interpolator: int) -> np.ndarray:
    """`data` on the grid (shape, out), through SimpleITK's own geometry."""
    image = sitk.GetImageFromArray(data.T)
    image = with_geometry(image, affine)
    reference = with_geometry(sitk.Image(list(shape), image.GetPixelID()), out)
    result = sitk.Resample(image, reference, sitk.Transform(), interpolator, 0.0)
    return sitk.GetArrayFromImage(result).T


def with_geometry(image: sitk.Image, affine: np.ndarray) -> sitk.Image:
    lps = LPS_OF_RAS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    return image


def monai_chain() -> Callable[[Case], Any]:
    import torch
    from monai.transforms import Compose, LoadImaged, Orientationd, Spacingd

    torch.set_num_threads(1)
    both = ("image", "mask")
    chain = Compose(
        [
            LoadImaged(both, ensure_channel_first=True),
            Orientationd(both, axcodes="RAS"),
            Spacingd(both, pixdim=SPACING_MM, mode=("bilinear", "nearest")),
        ]
    )
    return lambda case: chain({"image": str(case.image), "mask": str(case.mask)})


def compare(cases: dict[str, Case], folder: Path, rounds: dict[str, int]) -> dict[str, Any]:
    """Ratios (peer's cost over ours) of one scan of each kind."""
    chain, figures = monai_chain(), {}
    for kind, case in cases.items():
        first = not figures  # has loaded what all kinds need
        times = interleaved(
            {
                "ours": lambda case=case: ours(case, fresh(folder)),
                "peer": lambda case=case: peer(case, fresh(folder)),
                "monai": lambda case=case: chain(case),
            },
            rounds[kind],
            warm_up=first,
        )
        cpu, wall = ({name: [pair[i] for pair in pairs] for name, pairs in times.items()} for i in (0, 1))
        figures[kind] = {
            "over_peer_cpu": ratio(cpu["peer"], cpu["ours"]),
            "over_peer_wall": ratio(wall["peer"], wall["ours"]),
            "over_monai_cpu": ratio(cpu["monai"], cpu["ours"]),
            "over_monai_wall": ratio(wall["monai"], wall["ours"]),
            "cpu_s_a_scan": {name: round(float(np.median(used)), 3) for name, used in cpu.items()},
        }
    return figures


def whole_stage(cases: list[Case], folder: Path, rounds: int) -> dict[str, Any]:
    """From command to archive, processes and their start-up counted."""
    cohort = publish_cohort(cases, folder)

    def run(workers: int) -> None:
        out = folder / "volumes"
        prepare(PrepareConfig(cohort=cohort, out=out, workers=workers))
        shutil.rmtree(out)

    def by_hand() -> None:
        words = [str(path) for case in cases for path in (case.image, case.mask)]
        subprocess.run([sys.executable, __file__, "--peer", str(folder / "by-hand"), *words], check=True)

    contenders = {"one": lambda: run(1), "two": lambda: run(2), "peer": by_hand}
    times = interleaved(contenders, rounds, warm_up=False)  # every run starts processes of its own
    wall = {name: [pair[1] for pair in pairs] for name, pairs in times.items()}
    cpu = {name: [pair[0] for pair in pairs] for name, pairs in times.items()}
    return {
        "stage_over_peer_wall": ratio(wall["peer"], wall["one"]),
        "stage_over_peer_cpu": ratio(cpu["peer"], cpu["one"]),
        "two_workers_over_one_wall": ratio(wall["one"], wall["two"]),
        "stage_s": {name: round(float(np.median(used)), 2) for name, used in wall.items()},
        "stage_scans": len(cases),
    }


def publish_cohort(cases: list[Case], folder: Path) -> Path:
    codes = [f"S-{i:08X}" for i in range(len(cases))]
    table = {
        "patient": codes, "scan": codes, "site": ["A"] * len(cases), "lesion": pa.array([None] * len(cases), pa.string()),
        "has_mask": [True] * len(cases), "mask_values": pa.array([[]] * len(cases), pa.list_(pa.int16())),
    }  # fmt: skip
    with publish(folder / "cohort", "cohort", 1) as draft:
        parquet.write_table(pa.table(table), draft.path / "cohort.parquet")
    rows = [f"made,scan,{code},{code},{case.image},{case.mask}" for code, case in zip(codes, cases, strict=True)]
    (folder / "cohort.keys.csv").write_text("\n".join(["namespace,kind,original,code,image,mask", *rows]) + "\n")
    return folder / "cohort"


def fresh(folder: Path) -> Path:
    path = folder / "scratch"
    path.mkdir()
    return path


def main() -> None:
    quick = arguments(__doc__.splitlines()[0]).quick
    zarr.config.set({"threading.max_workers": 1})
    rounds = dict.fromkeys(KINDS, 7) if not quick else {"iso_1mm": 2, "fine": 1}
    scans = {"iso_1mm": 12, "fine": 4} if not quick else {"iso_1mm": 2, "fine": 1}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cases = {kind: [make(folder, kind, seed) for seed in range(count)] for kind, count in scans.items()}
        figures = compare({kind: several[0] for kind, several in cases.items()}, folder, rounds)
        of_stage = cases["iso_1mm"] if quick else cases["iso_1mm"] + cases["fine"]
        stage = whole_stage(of_stage, folder, 1 if quick else 3)
    finish("prepare", stage | figures, "nibabel", "SimpleITK", "zarr", "monai", quick=quick)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        paths = [Path(word) for word in sys.argv[3:]]
        for image, mask in zip(paths[::2], paths[1::2], strict=True):
            Path(sys.argv[2]).mkdir()
            peer(Case(image, mask), Path(sys.argv[2]))
    else:
        main()
