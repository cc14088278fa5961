"""Skull-stripping by a mask and by a program: a stand-in executable plays HD-BET and SynthStrip, well and badly."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from rnfm.core.contract import BrainRule, InputContract
from rnfm.core.errors import ConfigError
from rnfm.core.ledger import Reason
from rnfm.volume import PrepareConfig, RestoreConfig, ScanFault, VolumeArchive, load, prepare, prepare_one, restore_map
from rnfm.volume.brain import Command, SuppliedMask, findings_of, of_one_scan, parse_command, require_template

CONTRACT = InputContract(spacing_mm=(3.0, 3.0, 3.0), brain=BrainRule(rule="mask"))

# It knows nothing of this project: it reads with nibabel, keeps what is bright, and can be told to misbehave.
STAND_IN = f"""#!{sys.executable}
import sys, time, nibabel, numpy as np
mode, source, stripped, mask = (sys.argv[1:] + [""])[:4]
if mode == "fail": sys.exit("/home/somebody/model.pt cannot be opened: no such weights")
if mode == "hang": time.sleep(60)
scan = nibabel.load(source)
data = np.asarray(scan.dataobj)
brain = data > 200
if mode == "spy": open({{record!r}}, "w").write(" ".join([source, str(scan.header["descrip"]), str(scan.header["db_name"])]))
if mode == "shift": brain = brain[:-1]
nibabel.save(nibabel.Nifti1Image((data[:len(brain)] * brain).astype(np.float32), scan.affine), stripped)
if mask: nibabel.save(nibabel.Nifti1Image(brain.astype(np.uint8), scan.affine), mask)
"""


@pytest.fixture
def stand_in(tmp_path: Path) -> Callable[[str], str]:
    """The command template of the stand-in in a mode."""
    program = tmp_path / "my strip.py"
    program.write_text(STAND_IN.replace("{record!r}", repr(str(tmp_path / "record.txt"))))
    program.chmod(0o755)
    return lambda mode, more="": f"'{program}' {mode} {{input}} {{output}}{more}"


@pytest.fixture
def scan(tmp_path: Path, save, head_arrays) -> tuple[Path, Path]:
    """A scan whose skull is a bright shell outside the ball of brain, and its lesion mask; the file's header holds a name."""
    raw, inner = head_arrays()
    path, mask = save(tmp_path / "scan.nii.gz", raw), save(tmp_path / "mask.nii.gz", inner)
    image = nibabel.load(path)
    image.header["descrip"] = b"Mustermann"
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), image.affine, image.header), path)
    return path, mask


def ball() -> np.ndarray:
    x, y, z = np.indices((40, 44, 40)) - np.array([20, 22, 20]).reshape(3, 1, 1, 1)
    return x**2 + y**2 + z**2


def test_a_supplied_mask_blanks_all_else_and_is_the_foreground(scan, save, tmp_path: Path) -> None:
    brain = save(tmp_path / "brain.nii.gz", (ball() < 10**2).astype(np.uint8))
    done = prepare_one(*scan, CONTRACT, find_brain=SuppliedMask(brain))
    assert done.foreground_voxels == (ball() < 10**2).sum()
    assert (done.image != np.float32(done.background)).sum() == pytest.approx(done.foreground_voxels, rel=0.01)
    values = load(scan[0]).data[ball() < 10**2]
    low, high = np.percentile(values, (0.5, 99.5))
    assert done.intensity["mean"] == pytest.approx(values[(values >= low) & (values <= high)].mean(), rel=1e-5)
    assert [str(found.reason) for found in done.findings] == ["brain_implausible"]  # 113 ml


@pytest.mark.parametrize("more", ["", " {mask}"])
def test_a_program_gets_a_neutral_file_and_its_brain_is_used(scan, stand_in, tmp_path: Path, more: str) -> None:
    contract = CONTRACT.model_copy(update={"brain": BrainRule(rule="command", program="my strip.py")})
    done = prepare_one(*scan, contract, find_brain=Command(parse_command(stand_in("spy", more))))
    assert done.foreground_voxels == pytest.approx((ball() < 15**2).sum(), rel=0.02)
    given = (tmp_path / "record.txt").read_text()
    assert "Mustermann" not in given
    assert Path(given.split()[0]).name == "scan.nii.gz"
    assert not Path(given.split()[0]).exists()
    assert not Path(given.split()[0]).parent.exists()  # the scratch folder is gone


@pytest.mark.parametrize(
    ("mode", "sentence"),
    [
        ("fail", r"my strip\.py failed \(exit code 1\): cannot be opened: no such weights"),
        ("hang", r"my strip\.py did not end within 2 s"),
        ("shift", r"its brain mask has another size: 39 x 44 x 40 against 40 x 44 x 40 voxels"),
    ],
)
def test_a_program_that_fails_costs_the_scan(scan, stand_in, mode: str, sentence: str) -> None:
    began = time.monotonic()
    timeout_s = 2 if mode == "hang" else 60
    with pytest.raises(ScanFault, match=sentence) as error:
        prepare_one(*scan, CONTRACT, find_brain=Command(parse_command(stand_in(mode)), timeout_s=timeout_s))
    assert error.value.reason is Reason.BRAIN_FAILED
    assert "/home" not in error.value.detail
    assert time.monotonic() - began < 40


def test_a_program_that_writes_nothing(scan) -> None:
    with pytest.raises(ScanFault, match="true left no brain: the file is not there") as error:
        prepare_one(*scan, CONTRACT, find_brain=Command(("true", "{input}", "{output}")))
    assert error.value.reason is Reason.BRAIN_FAILED


def test_a_lesion_that_stripping_cuts_is_named() -> None:
    brain, mask = np.zeros((100, 100, 100), bool), np.zeros((100, 100, 100), np.uint16)
    brain[:, :, :90] = True
    mask[40:50, 40:50, 85:95] = 3
    assert [(str(f.reason), f.detail) for f in findings_of(brain, mask, 1.0)] == [
        ("lesion_outside_brain", "50% of the lesion mask lies outside the brain")
    ]
    assert findings_of(brain, mask * brain, 1.0) == []
    assert [f.detail for f in findings_of(brain, None, 0.1)] == ["the brain mask holds 90 ml"]


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("true {input}", r"has \{input\}; it needs \{input\} and at least one of \{output\} and \{mask\}"),
        ("true", "has no field; it needs"),
        ("true {input} {output} {patient}", r"has \{input\}, \{output\}, \{patient\}; it needs"),
        ("no-such-program {input} {output}", "no program 'no-such-program' is installed here"),
        ("true '{input} {output}", r"cannot be read \(No closing quotation\)"),
    ],
)
def test_templates_that_will_not_do(template: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        parse_command(template)


def test_the_brain_of_one_scan(tmp_path: Path) -> None:
    """What `rnfm predict` is given."""
    assert of_one_scan(None, None) is None
    assert of_one_scan(tmp_path / "brain.nii", None) == SuppliedMask(tmp_path / "brain.nii")
    assert of_one_scan(None, "true {input} {mask}") == Command(("true", "{input}", "{mask}"))
    with pytest.raises(ConfigError, match="brain_command: is given beside brain_mask"):
        of_one_scan(tmp_path / "brain.nii", "true {input} {mask}")


def test_a_template_must_name_one_file_a_scan() -> None:
    assert require_template("{folder}/{stem}_brain.nii.gz")
    for wrong in ("brain.nii.gz", "{folder}/brain.nii.gz", "{stem}_{patient}.nii", "{stem"):
        with pytest.raises(ConfigError, match="must name one file a scan by"):
            require_template(wrong)


def test_through_prepare_and_back(make_cohort: Callable, save, tmp_path: Path) -> None:
    """One brain mask is missing; the other scan is stripped, said so everywhere, and a map of it comes back to its grid."""
    cohort = make_cohort(2)
    stem = cohort.images[0].name.removesuffix(".nii.gz")
    save(tmp_path / "brains" / f"{stem}.nii.gz", (ball() < 12**2).astype(np.uint8))
    config = PrepareConfig(
        cohort=cohort.path,
        out=tmp_path / "volumes",
        spacing_mm=(2, 2, 2),
        brain="mask",
        brain_masks=str(tmp_path / "brains" / "{stem}.nii.gz"),
    )
    result = prepare(config)
    assert result.refused == {"missing_file": 1}
    archive = VolumeArchive.open(result.path)
    assert archive.contract.brain.rule == "mask"
    assert archive.refused[0].detail == "its brain mask: the file is not there"
    assert b"brains" not in b"".join(path.read_bytes() for path in result.path.rglob("*") if path.is_file())
    restore_map(RestoreConfig(volumes=result.path, scan=cohort.codes[0], out=tmp_path / "back.nii.gz"))
    back, source = nibabel.load(tmp_path / "back.nii.gz"), nibabel.load(cohort.images[0])
    assert back.shape == source.shape
    np.testing.assert_allclose(back.affine, source.affine, atol=1e-4)
    inside = ball() < 9**2
    there, here = back.get_fdata()[inside], source.get_fdata()[inside]
    assert np.corrcoef(there, here)[0, 1] > 0.6  # of noise, twice resampled
    assert there.mean() == pytest.approx(here.mean(), rel=0.02)
    clip = archive.scans["intensity_mean"][0] - 5 * archive.scans["intensity_sd"][0]
    assert back.get_fdata()[ball() > 15**2].max() == pytest.approx(clip, rel=1e-3)  # outside the brain nothing is left


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"brain": "mask"}, "brain: rule mask needs brain_masks"),
        ({"brain": "command"}, "brain: rule command needs brain_command"),
        ({"brain_masks": "{stem}.nii"}, "brain_masks: is given, but brain is none"),
        (
            {"brain": "mask", "brain_masks": "{stem}.nii", "brain_command": "x"},
            "brain_command: is given, but brain is mask",
        ),
    ],
)
def test_settings_that_contradict(make_cohort: Callable, more: dict, sentence: str) -> None:
    cohort = make_cohort(1)
    with pytest.raises(ConfigError, match=sentence):
        prepare(PrepareConfig(cohort=cohort.path, out=cohort.path.parent / "volumes", **more))


def test_a_contract_is_kept_or_refused(scan, save, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"blanks what lies outside the brain \(rule mask\), and no brain mask is given"
    ):
        prepare_one(*scan, CONTRACT)
    with pytest.raises(ConfigError, match="keeps the whole head, so no brain mask is used"):
        prepare_one(*scan, InputContract(), find_brain=SuppliedMask(tmp_path / "brain.nii"))
