"""Write the payload of a shard archive: cut each planned sub-volume and put it into its shard.

Samples are written in the order of keys, and keys begin with the scan, so each volume is decoded once (twice if a shard
ends inside a scan) and one volume is in memory at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from rnfm.archive import crops, manifest, plan
from rnfm.archive.manifest import Row
from rnfm.archive.samples import U8, json_bytes, npy_bytes, quantise
from rnfm.archive.subvolumes import ZarrWriter
from rnfm.archive.tar import Extent, TarWriter
from rnfm.core import keyed
from rnfm.core.contract import InputContract
from rnfm.core.progress import track

if TYPE_CHECKING:
    from rnfm.archive.shard import ShardConfig


NamedLesions = list[tuple[str, list[int]]]


class Volumes(Protocol):
    """What is needed of `rnfm.volume.VolumeArchive` (docs/pipeline.md, 3)."""

    @property
    def scans(self) -> Any: ...
    @property
    def cohort(self) -> Any: ...
    @property
    def contract(self) -> InputContract: ...
    def image(self, scan: str) -> np.ndarray: ...
    def mask(self, scan: str) -> np.ndarray: ...
    def affine(self, scan: str) -> np.ndarray: ...


@dataclass(frozen=True)
class Written:
    """The contract and the patients of what was written."""

    contract: dict[str, Any]
    patients: list[str]


@dataclass(frozen=True)
class Cut:
    """One sub-volume, encoded."""

    img: U8
    mask: U8 | None
    meta: dict[str, Any]


def write_shards(archive: Volumes, split_table: Any | None, config: ShardConfig, folder: Path) -> Written:
    """Write shards and manifest into `folder`. Raises ConfigError if the disk is too small, DataError for bad volumes."""
    from rnfm.archive.shard import require_disk

    chosen = plan.make(archive.scans, split_table, config, thing=config.volumes)
    require_disk(chosen.bill, config.out)
    scans = {row.scan: row for row in archive.scans.itertuples()}
    write = _write_tars if config.format == "tar" else _write_zarr
    rows = list(write(chosen, _Cutter(archive, scans, config), config, folder))
    manifest.write(folder / manifest.NAME, rows)
    contract = {
        "input": {**archive.contract.as_dict(), "crop": list(config.crop)},
        "format": config.format,
        "dtype": "u8",
        "samples": chosen.bill.samples,
    }
    return Written(contract, sorted({row.patient for row in rows}))


def _write_tars(chosen: plan.Plan, cutter: _Cutter, config: ShardConfig, folder: Path) -> Iterator[Row]:
    progress = iter(track(range(len(chosen.samples)), len(chosen.samples), "shard", "sub-volumes"))
    for name, samples in chosen.shards():
        with TarWriter(folder / f"{name}.tar") as tar:
            for sample in samples:
                next(progress)
                cut = cutter.cut(sample)
                members = {"img": npy_bytes(cut.img)}
                if cut.mask is not None:
                    members["mask"] = npy_bytes(cut.mask)
                members["meta"] = json_bytes(cut.meta)
                yield _row(sample, cut, f"{name}.tar", tar.add(sample.key, members))
    next(progress, None)


def _write_zarr(chosen: plan.Plan, cutter: _Cutter, config: ShardConfig, folder: Path) -> Iterator[Row]:
    progress = iter(track(range(len(chosen.samples)), len(chosen.samples), "shard", "sub-volumes"))
    groups: dict[str, list[tuple[str, plan.Planned]]] = {}
    for name, samples in chosen.shards():
        groups.setdefault(samples[0].subset, []).extend((name, sample) for sample in samples)
    for subset, members in groups.items():
        with ZarrWriter(folder, subset, samples=len(members), crop_vox=config.crop, per_shard=chosen.per_shard) as zarr:
            for name, sample in members:
                next(progress)
                cut = cutter.cut(sample)
                meta = json_bytes(cut.meta)
                extents = zarr.add(cut.img, cut.mask) | {"meta": Extent.of(0, meta)}
                yield _row(sample, cut, name, extents, meta.decode())
    next(progress, None)


def _row(sample: plan.Planned, cut: Cut, shard: str, extents: dict[str, Extent], meta: str = "") -> Row:
    return Row(
        key=sample.key,
        subset=sample.subset,
        shard=shard,
        patient=cut.meta["patient"],
        scan=sample.scan,
        lesion=cut.meta["lesion"],
        site=cut.meta["site"],
        origin_vox=cut.meta["origin_vox"],
        value_scale=cut.meta["scale"],
        value_offset=cut.meta["offset"],
        extents=extents,
        meta=meta,
    )


class _Cutter:
    """Cuts sub-volumes; holds what was learnt of one scan, the newest."""

    def __init__(self, archive: Volumes, scans: dict[str, Any], config: ShardConfig) -> None:
        self._archive, self._scans, self._config = archive, scans, config
        self._lesions = _named_lesions(archive.cohort)
        self._scan: _Scan | None = None

    def cut(self, sample: plan.Planned) -> Cut:
        """Cut sub-volume `k` of a scan; its place depends on (seed, scan, k) only."""
        if self._scan is None or self._scan.code != sample.scan:
            self._scan = None  # let go of the old volume before the next is decoded
            named = self._lesions.get(sample.scan, [])
            self._scan = _Scan.load(self._archive, self._scans[sample.scan], named)
        scan, config = self._scan, self._config
        generator = keyed.rng(config.seed, "crop", sample.scan, sample.k)
        lesion = scan.lesions[sample.k % len(scan.lesions)] if scan.lesions else None
        size, crop = scan.image.shape, config.crop
        if lesion is not None:
            start = crops.start_around_lesion(
                lesion, size_vox=size, crop_vox=crop, jitter=config.jitter, generator=generator
            )
        else:
            start = crops.start_in_foreground(scan.foreground, size_vox=size, crop_vox=crop, generator=generator)
        img, scale, offset = quantise(crops.cut(scan.image, start, crop, scan.background), sample.key)
        mask = None if scan.mask is None else crops.mask_codes(scan.mask, lesion, start, crop)
        meta = self._meta(sample, start, lesion) | {"scale": scale, "offset": offset}
        return Cut(img, mask, meta)

    def _meta(self, sample: plan.Planned, start: crops.Vox3, lesion: crops.Lesion | None) -> dict[str, Any]:
        row, contract = self._scans[sample.scan], self._archive.contract
        affine = crops.crop_affine(self._archive.affine(sample.scan), start)
        return {
            "key": sample.key,
            "subset": sample.subset,
            "patient": row.patient,
            "scan": sample.scan,
            "site": row.site if isinstance(row.site, str) else None,
            "lesion": lesion.code if lesion is not None else None,
            "origin_vox": list(start),
            "affine": [float(value) for value in affine.ravel()],
            "spacing_mm": list(contract.spacing_mm),
            "channels": list(contract.channels),
        }


@dataclass(frozen=True)
class _Scan:
    """One decoded volume and where its crops may lie."""

    code: str
    image: np.ndarray
    mask: np.ndarray | None
    lesions: list[crops.Lesion]
    foreground: np.ndarray
    background: float

    @classmethod
    def load(cls, archive: Volumes, row: Any, named: NamedLesions) -> _Scan:
        image = archive.image(row.scan)
        mask = archive.mask(row.scan) if row.has_mask else None
        lesions = [] if mask is None else crops.lesions_of(mask, named)
        background = background_value(row, archive.contract)
        inside = np.flatnonzero(crops.foreground(image, background)) if not lesions else np.empty(0, np.intp)
        return cls(row.scan, image, mask, lesions, inside, background)


def background_value(row: Any, contract: InputContract) -> float:
    """What the intensity rule makes of a raw 0 in this scan (a row of `scans` with its `intensity_<parameter>`)."""
    from rnfm.volume.intensity import apply_intensity

    prefix = "intensity_"
    parameters = {name.removeprefix(prefix): getattr(row, name) for name in row._fields if name.startswith(prefix)}
    return float(apply_intensity(np.zeros(1), parameters, contract.intensity)[0])


def _named_lesions(cohort: Any) -> dict[str, NamedLesions]:
    """(code, mask values) of the lesions that the cohort names in each scan, in the cohort's order."""
    named: dict[str, NamedLesions] = {}
    for row in cohort[cohort["lesion"].notna()].itertuples():
        named.setdefault(row.scan, []).append((row.lesion, [int(value) for value in row.mask_values]))
    return named
