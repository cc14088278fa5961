"""Skull-stripping: a brain mask on the scan's own grid, supplied with the scan or found by another program.

    BrainSource --at(image, code)--> SuppliedMask(path)      one file a scan, its name made from a template
                                     Command(words, ...)     HD-BET, SynthStrip, ...: one run a scan
    both: (source volume) -> brain mask, uint16, on the source's grid, checked as lesion masks are

The other program sees a scratch folder with `scan.nii.gz` (voxels and grid, no header of the source's, no name) and is run
without a shell. Its template has {input}, {output} (the stripped scan) and, where the program writes one, {mask}:

    hd-bet -i {input} -o {output} -device cpu
    mri_synthstrip -i {input} -o {output} -m {mask}

Without {mask} the brain is where {output} is not 0, with its holes filled. The weights of HD-BET and SynthStrip were not
available to us: the interface is tested with a stand-in program, and their own options above with nothing.
"""

from __future__ import annotations

import shlex
import shutil
import string
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from rnfm.core.errors import ConfigError
from rnfm.core.ledger import Reason
from rnfm.volume import guard
from rnfm.volume.faults import ScanFault, said_of
from rnfm.volume.findings import Finding
from rnfm.volume.grids import Volume
from rnfm.volume.reading import load_mask, read_image
from rnfm.volume.writing import save_nifti

FindBrain = Callable[[Volume], Volume]
BRAIN_ML = (600.0, 2200.0)  # adult brains with ventricles: 1,000 to 1,700 ml; a third of slack for children and slabs
CUT = 0.02  # share of a lesion that may lie outside the brain before a person should look
MASK_FIELDS, COMMAND_FIELDS = {"folder", "stem", "code"}, {"input", "output", "mask"}


@dataclass(frozen=True)
class BrainSource:
    """Where brain masks come from: exactly one of a template for file names and the words of a command."""

    masks: str | None = None
    command: tuple[str, ...] = ()
    timeout_s: float = 1800.0

    def at(self, image: Path, code: str) -> FindBrain:
        """The source for one scan, whose file is `image`."""
        if self.masks is None:
            return Command(self.command, self.timeout_s)
        stem = image.name.removesuffix(".gz").removesuffix(".nii")
        return SuppliedMask(Path(self.masks.format(folder=image.parent, stem=stem, code=code)))


@dataclass(frozen=True)
class SuppliedMask:
    """A brain mask in a file: every value above 0 is brain."""

    path: Path

    def __call__(self, source: Volume) -> Volume:
        try:
            return load_mask(self.path, source.shape)
        except ScanFault as fault:
            reason = fault.reason if fault.reason is Reason.MISSING_FILE else Reason.BRAIN_FAILED
            raise ScanFault(reason, said_of("its brain mask", fault.detail)) from None


@dataclass(frozen=True)
class Command:
    """A program that finds the brain; `words` is its command line with {input}, {output} and perhaps {mask}."""

    words: tuple[str, ...]
    timeout_s: float = 1800.0

    def __call__(self, source: Volume) -> Volume:
        with tempfile.TemporaryDirectory(prefix="rnfm-brain-") as scratch:
            files = {name: Path(scratch) / f"{file}.nii.gz" for name, file in _FILES.items()}
            save_nifti(source, files["input"])
            _run([_filled(word, files) for word in self.words], Path(scratch), self.timeout_s)
            return self._result(files)

    def _result(self, files: dict[str, Path]) -> Volume:
        try:
            if any("{mask}" in word for word in self.words):
                return load_mask(files["mask"])
            stripped = read_image(files["output"])[0]
        except ScanFault as fault:
            raise ScanFault(Reason.BRAIN_FAILED, f"{_name(self.words)} left no brain: {fault.detail}") from None
        return Volume(ndimage.binary_fill_holes(stripped.data != 0).astype(np.uint16), stripped.affine)


_FILES = {"input": "scan", "output": "stripped", "mask": "mask"}


def source_of(rule: str, masks: str | None, command: str | None, timeout_s: float) -> BrainSource:
    """The source that a configuration names. Raises ConfigError where rule and settings contradict, or a setting will not do."""
    needed = {"mask": "brain_masks", "command": "brain_command"}.get(rule)
    given = {name for name, value in (("brain_masks", masks), ("brain_command", command)) if value is not None}
    if given - {needed}:
        name = min(given - {needed})
        raise ConfigError(
            name, f"is given, but brain is {rule}", "Leave it out, or choose the brain rule that it belongs to"
        )
    if needed not in given:
        raise ConfigError("brain", f"rule {rule} needs {needed}", f"Give --{str(needed).replace('_', '-')}")
    if masks is not None:
        return BrainSource(masks=require_template(masks), timeout_s=timeout_s)
    return BrainSource(command=parse_command(command or ""), timeout_s=timeout_s)


def of_one_scan(mask: Path | None, command: str | None) -> FindBrain | None:
    """The brain of one scan from its mask or a command, None from neither. Raises ConfigError for both, or as `parse_command`."""
    if mask is not None and command is not None:
        raise ConfigError("brain_command", "is given beside brain_mask", "Give one of the two")
    if mask is not None:
        return SuppliedMask(mask)
    return None if command is None else Command(parse_command(command))


def parse_command(template: str) -> tuple[str, ...]:
    """The words of a command template. Raises ConfigError for one without its fields, or whose program is not there."""
    try:
        words = tuple(shlex.split(template))
        fields = {field for word in words for _, field, _, _ in string.Formatter().parse(word) if field is not None}
    except ValueError as error:
        raise ConfigError("brain_command", f"cannot be read ({error})", "Quote it as in a shell") from None
    if "input" not in fields or not fields & {"output", "mask"} or fields - COMMAND_FIELDS:
        said = ", ".join(f"{{{field}}}" for field in sorted(fields)) or "no field"
        cause = f"has {said}; it needs {{input}} and at least one of {{output}} and {{mask}}"
        raise ConfigError("brain_command", cause, "Write it as 'mri_synthstrip -i {input} -o {output} -m {mask}'")
    if shutil.which(words[0]) is None:
        raise ConfigError("brain_command", f"no program {words[0]!r} is installed here", "Install it or give its path")
    return words


def require_template(template: str) -> str:
    """A template for brain masks. Raises ConfigError for unknown fields, or one that names the same file for every scan."""
    try:
        fields = {field for _, field, _, _ in string.Formatter().parse(template) if field is not None}
    except ValueError:
        fields = {"?"}
    if fields - MASK_FIELDS or not fields & {"stem", "code"}:
        cause = f"{template!r} must name one file a scan by {{stem}} or {{code}}, and may use {{folder}}"
        raise ConfigError("brain_masks", cause, "Write it as '{folder}/{stem}_brain.nii.gz' or 'brains/{code}.nii.gz'")
    return template


def findings_of(brain: np.ndarray, mask: np.ndarray | None, voxel_mm3: float) -> list[Finding]:
    """BRAIN_IMPLAUSIBLE by its volume; LESION_OUTSIDE_BRAIN where stripping took away part of a lesion."""
    found, volume_ml = [], float(brain.sum()) * voxel_mm3 / 1000
    if not BRAIN_ML[0] <= volume_ml <= BRAIN_ML[1]:
        found.append(Finding(Reason.BRAIN_IMPLAUSIBLE, f"the brain mask holds {volume_ml:.0f} ml"))
    if mask is not None and (mask > 0).any():
        outside = float(((mask > 0) & ~brain).sum() / (mask > 0).sum())
        if outside > CUT:
            found.append(
                Finding(Reason.LESION_OUTSIDE_BRAIN, f"{outside:.0%} of the lesion mask lies outside the brain")
            )
    return found


def _filled(word: str, files: dict[str, Path]) -> str:
    return word.format(**{name: str(path) for name, path in files.items()})


def _name(words: Sequence[str]) -> str:
    return Path(words[0]).name


def _run(words: list[str], scratch: Path, timeout_s: float) -> None:
    """Run to the end, or end it. What it says goes to a file that goes with the scratch folder."""
    log = scratch / "log.txt"
    with open(log, "wb") as sink, guard.unlimited():
        try:
            # In our process group: whoever ends this worker ends the program too.
            code = subprocess.run(
                words, cwd=scratch, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, timeout=timeout_s
            ).returncode
        except subprocess.TimeoutExpired:
            raise ScanFault(Reason.BRAIN_FAILED, f"{_name(words)} did not end within {timeout_s:g} s") from None
        except OSError as error:
            raise ScanFault(Reason.BRAIN_FAILED, f"{_name(words)} cannot be started ({error.strerror})") from None
    if code:
        raise ScanFault(Reason.BRAIN_FAILED, f"{_name(words)} failed (exit code {code}){_last_words(log)}")


def _last_words(log: Path) -> str:
    """The last line that it said, without paths (they would name folders of this machine)."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    said = " ".join(word for word in (lines[-1].split() if lines else []) if "/" not in word)[:160]
    return f": {said}" if said else ""
