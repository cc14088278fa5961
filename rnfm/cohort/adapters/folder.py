"""Any folder of NIfTI files: images by a glob, masks by a glob, a folder or their names. No labels.

    scans/btp01_tp1.nii.gz            patient btp01, time point tp1
    scans/btp01_tp1_mask.nii.gz       its mask: the same name and one of the words in MASK_WORDS
    masks/btp01_tp1.nii.gz            or, with --masks masks, the same file name in a folder of its own

Patient = what stands before the first `_` of the file's name; if the images lie in several subfolders, of the first
subfolder's name instead. Time points of a patient are ordered by their names, numbers by value. The summary states how
many patients this makes, so that a wrong guess is seen.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from rnfm.cohort.records import Match, Options, Reading, ScanRecord
from rnfm.cohort.source import is_nifti, stem, walk
from rnfm.core.errors import ConfigError

NAME = "folder"
MASK_WORDS = ("mask", "msk", "seg", "segmentation", "label", "labels", "lesion", "tumor", "tumour", "roi")
MASK_FOLDERS = {"mask", "masks", "seg", "segs", "segmentation", "segmentations", "label", "labels", "labelstr"}
IMAGE_WORDS = ("img", "image", "t1c", "t1ce", "t1gd", "t1post", "ct1")
OTHER_SEQUENCES = {"t1n", "t1pre", "t2", "t2w", "t2f", "t2synth", "flair", "dwi", "adc", "swi", "pre", "bold", "asl"}
_MASK_END = re.compile(rf"(?:^|[-_. ])(?:{'|'.join(MASK_WORDS)})$", re.IGNORECASE)
_ENDS = re.compile(rf"(?:^|[-_. ])(?:{'|'.join((*MASK_WORDS, *IMAGE_WORDS))})$", re.IGNORECASE)


def matches(root: Path) -> Match:
    images = [file for file in walk(root) if not _looks_like_mask(file, root)]
    if not images:
        return Match(0.0, "there is no NIfTI image (.nii or .nii.gz) in it")
    others = _other_sequences(images)
    if others:
        return Match(0.4, f"there are {len(images)} NIfTI images, but of several sequences ({others})")
    return Match(0.5, f"there are {len(images)} NIfTI images in no other known layout")


def namespace(root: Path) -> str:
    """A constant: a folder's own name may be a person's. Give --namespace for a second data set in one key table."""
    return "folder"


def read(root: Path, options: Options) -> Reading:
    masks = _mask_files(root, options)
    taken = set(masks)
    images = (
        [file for file in _glob(root, options.image_glob, "image_glob") if file not in taken]
        if options.image_glob
        else [file for file in walk(root) if file not in taken and not _looks_like_mask(file, root)]
    )
    others = _other_sequences(images)
    if others:
        raise ConfigError(
            "source folder",
            f"its images are of several sequences ({others}), and only contrast-enhanced T1 is wanted",
            "Give --image-glob for the T1CE files, such as '**/*t1c.nii.gz'",
        )
    owners = _pair(images, masks, root, same_name=options.masks is not None)
    patients = _patients(images, root)
    scans = []
    for order, image in enumerate(sorted(images, key=lambda file: _natural(file.relative_to(root).as_posix()))):
        name = image.relative_to(root).with_name(stem(image)).as_posix()
        scans.append(ScanRecord(patient=patients[image], scan=name, image=image, mask=owners.get(image), order=order))
    return Reading(tuple(scans), notes=tuple(_notes(scans, len(masks), len(owners))))


def _mask_files(root: Path, options: Options) -> list[Path]:
    if options.masks is not None:
        if not options.masks.is_dir():
            raise ConfigError("masks", "no such folder", "Give --masks the folder that holds the mask files")
        return walk(options.masks)
    if options.mask_glob:
        return _glob(root, options.mask_glob, "mask_glob")
    return [file for file in walk(root) if _looks_like_mask(file, root)]


def _glob(root: Path, pattern: str, key: str) -> list[Path]:
    if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
        raise ConfigError(key, "must be a pattern inside the source folder", "Write it as in '**/*_t1c.nii.gz'")
    found = sorted(file for file in root.glob(pattern) if is_nifti(file) and file.is_file())
    if not found:
        raise ConfigError(key, "matches no NIfTI file in the source folder", "Check the pattern, quotes around it")
    return found


def _looks_like_mask(file: Path, root: Path) -> bool:
    inner = file.relative_to(root).parent.parts
    return bool(_MASK_END.search(stem(file))) or any(part.lower() in MASK_FOLDERS for part in inner)


def _pair(images: Sequence[Path], masks: Sequence[Path], root: Path, *, same_name: bool) -> dict[Path, Path]:
    """Image -> mask. A mask beside its image wins over one elsewhere; a name that fits several images fits none."""
    key = stem if same_name else _core
    near = {(mask.parent, key(mask)): mask for mask in reversed(masks)}
    count = Counter(key(image) for image in images)
    far: dict[str, list[Path]] = defaultdict(list)
    for mask in masks:
        far[key(mask)].append(mask)
    owners = {}
    for image in images:
        name = key(image)
        if (image.parent, name) in near:
            owners[image] = near[image.parent, name]
        elif name and count[name] == 1 and len(far[name]) == 1:
            owners[image] = far[name][0]
    return owners


def _core(file: Path) -> str:
    """The name without trailing words such as `_mask` or `_t1c`; empty for a file called just that."""
    name = stem(file)
    while (shorter := _ENDS.sub("", name)) != name:
        name = shorter
    return name.lower()


def _patients(images: Sequence[Path], root: Path) -> dict[Path, str]:
    tops = {image.relative_to(root).parts[0] for image in images}
    # images/ beside masks/ is no patient folder: go down while all images share one folder.
    while len(tops) == 1 and images and images[0].relative_to(root).parts[1:]:
        root = root / tops.pop()
        tops = {image.relative_to(root).parts[0] for image in images}
    return {image: _leading(image, root) for image in images}


def _leading(image: Path, root: Path) -> str:
    parts = image.relative_to(root).parts
    name = parts[0] if len(parts) > 1 else stem(image)
    return name.split("_")[0] or name


def _other_sequences(images: Sequence[Path]) -> str:
    """Sequences other than T1CE that file names end in, when there are at least two kinds of ending."""
    ends = {re.split(r"[-_. ]", stem(image).lower())[-1] for image in images}
    return ", ".join(sorted(ends & OTHER_SEQUENCES)) if len(ends) > 1 else ""


def _natural(text: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", text)]


def _notes(scans: Sequence[ScanRecord], masks: int, paired: int) -> list[str]:
    patients = len({scan.patient for scan in scans})
    notes = [
        f"Patients are told apart by what stands before the first `_` of a name: {len(scans)} scans, {patients} patients."
    ]
    if masks > paired:
        notes.append(f"{masks - paired} mask files belong to no image and were left aside.")
    if 0 < paired < len(scans):
        notes.append(f"{len(scans) - paired} images have no mask file.")
    return notes
