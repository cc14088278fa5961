"""One DICOM series (and its structure set) -> one published folder with `image.nii.gz` and perhaps `mask.nii.gz`.

    converted/                     mode 0700, beside the key table: these are still a patient's pictures
    +-- .salt                      names folders below, so that they can be computed from no identity
    +-- 3f9a61c20b77e1d4/          an artefact of kind `conversion`: there whole, or not there
        +-- image.nii.gz           a fresh header: size, type, affine, nothing else
        +-- mask.nii.gz            on the same grid
        +-- image.json             what `SIDECAR` allows of dcm2niix's anonymised sidecar

dcm2niix runs in a process of its own, under limits of time, memory and file size, on links with numbers for names, and
with its user settings ignored. What it says is dropped, since it quotes headers. It may split a series, or add an image
of re-spaced (`_Eq`) or untilted (`_Tilt`) slices: anything but exactly one image is a failure, and so is an image that
does not lie where the headers put it. A conversion is taken up again if the bytes of its sources are the same.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import resource
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnfm.cohort.adapters.dicom import rtstruct
from rnfm.cohort.adapters.dicom.grid import Grid, same_place
from rnfm.cohort.adapters.dicom.headers import Series, StructureSet
from rnfm.cohort.records import Fault
from rnfm.core import artifact, files
from rnfm.core.artifact import Artifact
from rnfm.core.errors import ConfigError
from rnfm.core.ledger import Reason

KIND, VERSION = "conversion", 1
METHOD = 1  # raised when the same series gives other voxels
# -x i: neither crop nor rotate, so that slices stay the third axis; -g i: the user's own defaults are not asked.
OPTIONS = (
    "-g", "i", "-b", "y", "-ba", "y", "-z", "n", "-x", "i", "-m", "2", "-i", "n", "-p", "y", "-l", "o", "-d", "1",
    "-w", "1", "-f", "image",
)  # fmt: skip
TIMEOUT_S = 300.0
MEMORY_BYTES = 8 << 30
SIDECAR = (
    "Modality", "Manufacturer", "MagneticFieldStrength", "MRAcquisitionType", "ScanningSequence",
    "SequenceVariant", "EchoTime", "RepetitionTime", "InversionTime", "FlipAngle", "SliceThickness",
    "SpacingBetweenSlices", "ConversionSoftware", "ConversionSoftwareVersion",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A structure set to paint: region number -> mask value."""

    structure: StructureSet
    values: Mapping[int, int]


@dataclass(frozen=True, kw_only=True)
class Converted:
    """Where the files are, and what painting met (all empty without a structure set)."""

    image: Path
    mask: Path | None
    volumes_ml: Mapping[int, float]
    overlap_vox: int = 0
    gaps: tuple[int, ...] = ()

    @property
    def empty(self) -> tuple[int, ...]:
        """Values of regions that cover no voxel centre."""
        return tuple(sorted(value for value, ml in self.volumes_ml.items() if ml == 0))


class _Refused(Exception):
    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.detail)
        self.fault = fault


def open_store(path: Path | None) -> Path:
    """The folder for conversions, made with mode 0700. ConfigError if it is missing, shared, or inside an artefact."""
    if path is None:
        raise ConfigError("converted", "is not given", "Name the folder that converted DICOM series are written to")
    path = path.resolve()
    if any((folder / "digests.json").is_file() for folder in (path, *path.parents)):
        raise ConfigError(path, "lies inside an artefact, and artefacts are shared", "Give --converted another folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)
    if path.stat().st_mode & 0o077:
        raise ConfigError(path, "others can look into this folder", "Run chmod 700 on it, or give another --converted")
    with files.locked(path / ".lock"):
        if not (path / ".salt").is_file():
            files.write_text(path / ".salt", secrets.token_hex(32), mode=0o600)
    return path


def convert(series: Series, drawn: Drawn | None, store: Path) -> Converted | Fault:
    """Convert, or take up what stands. The Fault is CONVERSION_FAILED, or MASK_GEOMETRY, MASK_UNREADABLE for contours."""
    if isinstance(series.grid, str):
        return Fault(Reason.CONVERSION_FAILED, series.grid)
    target = store / _name(store, series)
    settings = _content_hash(series, drawn)
    with files.locked(store / ".lock"):
        standing = artifact.current(target, KIND, settings, {})
        if standing is not None and not standing.verify(deep=True):
            return _opened(standing)
        shutil.rmtree(target, ignore_errors=True)  # made by us, of other bytes or damaged since
        try:
            with artifact.publish(target, KIND, VERSION, lineage={"config_hash": settings, "inputs": {}}) as draft:
                affine, shape_vox = _image(series, series.grid, draft.path)
                if drawn is not None:
                    draft.contract |= _mask(drawn, affine, shape_vox, draft.path / "mask.nii.gz")
        except _Refused as refused:
            return refused.fault
    return _opened(Artifact.open(target, KIND, VERSION))


def _opened(conversion: Artifact) -> Converted:
    mask = conversion.path / "mask.nii.gz"
    facts = conversion.contract
    return Converted(
        image=conversion.file("image.nii.gz"),
        mask=mask if mask.name in conversion.files else None,
        volumes_ml={int(value): ml for value, ml in facts.get("volumes_ml", {}).items()},
        overlap_vox=facts.get("overlap_vox", 0),
        gaps=tuple(facts.get("gaps", ())),
    )


def _image(series: Series, grid: Grid, folder: Path) -> tuple[Any, tuple[int, int, int]]:
    """Write image.nii.gz and image.json; returns affine and shape."""
    import nibabel
    import numpy as np

    work = folder / "work"
    try:
        raw = _run(series, work)
        image: Any = nibabel.load(raw)
        if len(image.shape) != 3 or not same_place(grid, image.affine, image.shape):
            raise _Refused(_failed("the converted image does not lie where the headers of its slices put it"))
        _save(folder / "image.nii.gz", np.asanyarray(image.dataobj.get_unscaled()), image.affine, image.dataobj)
        sidecar = raw.with_suffix(".json")
        known = json.loads(sidecar.read_text()) if sidecar.is_file() else {}
        files.write_json(folder / "image.json", {name: known[name] for name in SIDECAR if name in known})
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return image.affine, image.shape


def _run(series: Series, work: Path) -> Path:
    """dcm2niix on links with neutral names; the one uncompressed NIfTI it wrote."""
    from dcm2niix import bin as program

    source, out = work / "in", work / "out"
    source.mkdir(parents=True)
    out.mkdir()
    for number, file in enumerate(series.files):
        (source / f"{number:06d}.dcm").symlink_to(file.resolve())
    try:
        done = subprocess.run(
            [str(program), *OPTIONS, "-o", str(out), str(source)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"HOME": str(work), "PATH": os.defpath, "LC_ALL": "C"},
            timeout=TIMEOUT_S,
            preexec_fn=_limit,
        )
    except subprocess.TimeoutExpired:
        raise _Refused(_failed(f"dcm2niix took longer than {TIMEOUT_S:g} s")) from None
    except OSError as error:
        raise _Refused(_failed(f"dcm2niix cannot be started ({type(error).__name__})")) from None
    names = sorted(file.name for file in out.glob("*.nii"))
    if done.returncode != 0 or names != ["image.nii"]:
        raise _Refused(_failed(_what_went_wrong(done.returncode, names)))
    return out / "image.nii"


def _what_went_wrong(code: int, names: list[str]) -> str:
    if any("_Eq" in name for name in names):
        return "slices of uneven spacing, which the converter would have re-spaced"
    if any("_Tilt" in name for name in names):
        return "a tilted gantry, which the converter would have resampled"
    if len(names) > 1:
        return f"{len(names)} images in one series"
    return f"dcm2niix ended with code {code}" + ("" if names else " and wrote no image")


def _limit() -> None:
    """In the child: no more memory or file than a large head scan can need, and no core dump with pictures in it."""
    for what, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, MEMORY_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(what)
        limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (limit, limit))


def _mask(drawn: Drawn, affine: Any, shape_vox: tuple[int, int, int], file: Path) -> dict[str, Any]:
    """Write the mask; returns what painting met, for the contract."""
    regions = rtstruct.read_regions(drawn.structure.file, sorted(drawn.values))
    if regions is None:
        raise _Refused(Fault(Reason.MASK_UNREADABLE, "the structure set's contours cannot be read"))
    painted = rtstruct.paint(regions, drawn.values, affine, shape_vox)
    if painted.stray:
        detail = f"{painted.stray} of {painted.contours} contours lie in no slice of the image"
        raise _Refused(Fault(Reason.MASK_GEOMETRY, detail))
    _save(file, painted.mask, affine)
    return {"volumes_ml": painted.volumes_ml, "overlap_vox": painted.overlap_vox, "gaps": list(painted.gaps)}


def _save(file: Path, voxels: Any, affine: Any, scaled: Any = None) -> None:
    """A NIfTI file with a header of its own: nothing of the converter's (times, comments) is copied."""
    import nibabel

    image = nibabel.Nifti1Image(voxels, affine)
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    if scaled is not None:
        image.header.set_slope_inter(scaled.slope, scaled.inter)
    nibabel.save(image, file)


def _failed(detail: str) -> Fault:
    return Fault(Reason.CONVERSION_FAILED, detail)


def _name(store: Path, series: Series) -> str:
    key = bytes.fromhex((store / ".salt").read_text().strip())
    words = "\0".join((series.patient, series.study, series.uid))
    return hmac.new(key, words.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:16]


def _content_hash(series: Series, drawn: Drawn | None) -> str:
    """Over the bytes of all sources, whatever the files are called, and what is to be painted."""
    from dcm2niix import __version__ as converter

    contents = sorted(files.sha256(file) for file in series.files)
    painting = [files.sha256(drawn.structure.file), sorted(drawn.values.items())] if drawn else None
    return hashlib.sha256(json.dumps([METHOD, converter, contents, painting]).encode()).hexdigest()
