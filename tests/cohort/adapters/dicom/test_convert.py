"""Real conversions: where a bright voxel lands, what is taken up again, what a failure says, and that nothing half-done stays."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from rnfm.cohort.adapters.dicom import convert as dicom_convert
from rnfm.cohort.adapters.dicom.convert import Converted, Drawn, convert, open_store
from rnfm.cohort.adapters.dicom.headers import Series, read_tree
from rnfm.cohort.records import Fault
from rnfm.core.errors import ConfigError
from rnfm.core.ledger import Reason

BRIGHT = (15, 6, 4)
UNIT = 1 / np.sqrt(0.94)
ORIENTATIONS = {
    "axial": {"across": (1, 0, 0), "down": (0, 1, 0)},
    "axial, slices from above": {"across": (-1, 0, 0), "down": (0, 1, 0)},
    "sagittal": {"across": (0, 1, 0), "down": (0, 0, -1)},
    "coronal": {"across": (1, 0, 0), "down": (0, 0, -1)},
    "oblique": {"across": (0.36, 0.48, -0.8), "down": (-0.8, 0.6, 0.0)},
    "oblique, anisotropic": {
        "across": (0.9 * UNIT, 0.3 * UNIT, 0.2 * UNIT), "down": (-0.3162277660, 0.9486832981, 0.0), "pixel_mm": (3.1, 4.7),
        "gap_mm": 6.5,
    },
}  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return open_store(tmp_path / "converted")


def _only(root: Path) -> Series:
    (series,) = read_tree(root).series
    return series


def _value_at(file: Path, ras_mm: np.ndarray) -> float:
    image: Any = nibabel.load(file)
    vox = np.linalg.inv(image.affine) @ [*ras_mm, 1]
    assert np.abs(vox - np.round(vox)).max() < 0.02  # the place is a voxel's centre
    return float(image.get_fdata()[tuple(np.round(vox[:3]).astype(int))])


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_a_bright_voxel_is_where_its_header_says(tmp_path: Path, store: Path, dicom_files, blob, name: str) -> None:
    facts = dicom_files.series(tmp_path / "in", blob(bright=BRIGHT), **ORIENTATIONS[name])
    done = convert(_only(tmp_path / "in"), None, store)
    assert isinstance(done, Converted)
    ras_mm = dicom_files.lps(facts, BRIGHT) * (-1, -1, 1)
    assert _value_at(done.image, ras_mm) == 4000
    assert sorted(nibabel.load(done.image).shape) == [16, 20, 24]


def test_an_enhanced_multi_frame_file(tmp_path: Path, store: Path, dicom_files, blob) -> None:
    facts = dicom_files.enhanced(tmp_path / "in/e.dcm", blob(bright=BRIGHT), **ORIENTATIONS["oblique"])
    done = convert(_only(tmp_path / "in"), None, store)
    assert isinstance(done, Converted)
    assert _value_at(done.image, dicom_files.lps(facts, BRIGHT) * (-1, -1, 1)) == 4000


@pytest.mark.parametrize("name", ["axial, slices from above", "oblique, anisotropic"])
def test_a_ball_region_lies_on_the_converted_grid(tmp_path: Path, store: Path, dicom_files, blob, name: str) -> None:
    given = {"pixel_mm": (1.2, 1.2), "gap_mm": 1.5, **ORIENTATIONS[name]}
    given |= {"pixel_mm": (1.1, 1.4), "gap_mm": 1.8} if "anisotropic" in name else {}
    facts = dicom_files.series(tmp_path / "in", blob((40, 36, 30)), **given)
    dicom_files.structure(tmp_path / "in/rs.dcm", facts, {"met": dicom_files.ball(facts, (18.4, 17.7, 13.2), 11.0)})
    tree = read_tree(tmp_path / "in")
    done = convert(tree.series[0], Drawn(structure=tree.structures[0], values={1: 3}), store)
    assert isinstance(done, Converted)
    assert done.mask is not None
    image, mask = nibabel.load(done.image), nibabel.load(done.mask)
    np.testing.assert_array_equal(image.affine, mask.affine)
    voxels = np.asarray(mask.dataobj)
    assert set(np.unique(voxels)) == {0, 3}
    volume_ml = (voxels == 3).sum() * abs(np.linalg.det(mask.affine[:3, :3])) / 1000
    assert volume_ml == pytest.approx(4 / 3 * np.pi * 1.1**3, rel=0.02)
    assert done.volumes_ml == {3: pytest.approx(volume_ml)}
    centre = mask.affine[:3, :3] @ np.argwhere(voxels).mean(axis=0) + mask.affine[:3, 3]
    assert np.linalg.norm(centre - dicom_files.lps(facts, (18.4, 17.7, 13.2)) * (-1, -1, 1)) < 0.2


def test_a_thin_sagittal_series_is_not_turned_so_that_its_slices_stay_the_third_axis(
    tmp_path: Path, store: Path, dicom_files, blob
) -> None:
    """dcm2niix turns such series to axial unless it is told not to, and contours would no longer lie in slices."""
    facts = dicom_files.series(
        tmp_path / "in", blob((64, 64, 60)), pixel_mm=(3.0, 3.0), gap_mm=3.0, **ORIENTATIONS["sagittal"]
    )
    dicom_files.structure(tmp_path / "in/rs.dcm", facts, {"met": dicom_files.ball(facts, (30, 31, 28), 12.0)})
    tree = read_tree(tmp_path / "in")
    done = convert(tree.series[0], Drawn(structure=tree.structures[0], values={1: 1}), store)
    assert isinstance(done, Converted)
    assert nibabel.load(done.image).shape == (64, 64, 60)


def test_headers_and_sidecar_hold_nothing_but_geometry_and_physics(
    tmp_path: Path, store: Path, dicom_files, blob
) -> None:
    dicom_files.series(tmp_path / "HANSEN/19290417", blob())
    done = convert(_only(tmp_path / "HANSEN"), None, store)
    assert isinstance(done, Converted)
    header: Any = nibabel.load(done.image).header
    assert [bytes(header[name]).strip(b"\0") for name in ("descrip", "aux_file", "intent_name", "db_name")] == [b""] * 4
    assert len(header.extensions) == 0
    sidecar = json.loads((done.image.parent / "image.json").read_text())
    assert sidecar["Manufacturer"] == "Siemens"
    assert sidecar["MagneticFieldStrength"] == 3
    assert set(sidecar) <= set(dicom_convert.SIDECAR)


def test_the_store_is_closed_to_others_and_its_names_are_numbers(
    tmp_path: Path, store: Path, dicom_files, blob
) -> None:
    dicom_files.series(tmp_path / "in", blob())
    convert(_only(tmp_path / "in"), None, store)
    assert stat.S_IMODE(store.stat().st_mode) == 0o700
    assert stat.S_IMODE((store / ".salt").stat().st_mode) == 0o600
    (folder,) = (entry for entry in store.iterdir() if not entry.name.startswith("."))
    assert len(bytes.fromhex(folder.name)) == 8
    assert sorted(file.name for file in folder.iterdir()) == [
        "config.json", "digests.json", "image.json", "image.nii.gz", "lineage.json",
    ]  # fmt: skip


def test_a_store_that_others_can_read_or_inside_an_artefact_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    with pytest.raises(ConfigError, match="others can look into this folder. Run chmod 700 on it"):
        open_store(tmp_path / "open")
    (tmp_path / "cohort").mkdir()
    (tmp_path / "cohort/digests.json").write_text("{}")
    with pytest.raises(ConfigError, match="lies inside an artefact, and artefacts are shared"):
        open_store(tmp_path / "cohort/converted")


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry a time dcm2niix is run."""
    runs: list[int] = []
    real = dicom_convert._run

    def run(series: Series, work: Path) -> Path:
        runs.append(1)
        return real(series, work)

    monkeypatch.setattr(dicom_convert, "_run", run)
    return runs


def test_a_conversion_is_taken_up_again_wherever_its_files_lie(
    tmp_path: Path, store: Path, dicom_files, blob, counted
) -> None:
    dicom_files.series(tmp_path / "in", blob())
    first = convert(_only(tmp_path / "in"), None, store)
    (tmp_path / "in").rename(tmp_path / "moved")
    assert convert(_only(tmp_path / "moved"), None, store) == first
    assert len(counted) == 1


def test_changed_pixels_or_a_damaged_conversion_are_converted_again(
    tmp_path: Path, store: Path, dicom_files, blob, counted
) -> None:
    dicom_files.series(tmp_path / "in", blob())
    done = convert(_only(tmp_path / "in"), None, store)
    assert isinstance(done, Converted)
    data = bytearray(done.image.read_bytes())
    data[len(data) // 2] ^= 1
    done.image.write_bytes(bytes(data))
    convert(_only(tmp_path / "in"), None, store)
    dicom_files.series(tmp_path / "in", blob() + 1)
    again = convert(_only(tmp_path / "in"), None, store)
    assert isinstance(again, Converted)
    assert len(counted) == 3
    assert again.image == done.image  # the key table's path stays true
    assert nibabel.load(again.image).get_fdata().max() == 4001


def test_a_killed_conversion_leaves_nothing_that_is_taken(
    tmp_path: Path, store: Path, dicom_files, blob, monkeypatch
) -> None:
    dicom_files.series(tmp_path / "in", blob())
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(dicom_convert.files, "write_json", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        convert(_only(tmp_path / "in"), None, store)
    assert not [entry for entry in store.iterdir() if not entry.name.startswith(".")]
    assert isinstance(convert(_only(tmp_path / "in"), None, store), Converted)


def test_missing_slices_are_refused_before_anything_runs(
    tmp_path: Path, store: Path, dicom_files, blob, counted
) -> None:
    dicom_files.series(tmp_path / "in", blob(), skip=(7,))
    assert convert(_only(tmp_path / "in"), None, store) == Fault(
        Reason.CONVERSION_FAILED, "slices 5.00 to 10.00 mm apart, so some are missing or uneven"
    )
    assert counted == []


def _stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """A program in dcm2niix's place; `out` is the folder it is told to write to."""
    program = tmp_path / "stand_in"
    program.write_text(f"#!{sys.executable}\nimport os, sys, time\nout = sys.argv[sys.argv.index('-o') + 1]\n{body}\n")
    program.chmod(0o700)
    monkeypatch.setattr("dcm2niix.bin", os.fspath(program))


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("print('HANSEN^GRETE'); sys.exit(3)", "dcm2niix ended with code 3 and wrote no image"),
        ("time.sleep(60)", "dcm2niix took longer than 1 s"),
        ("os.kill(os.getpid(), 9)", "dcm2niix ended with code -9 and wrote no image"),
        ("bytearray(40 << 30)", "dcm2niix ended with code 1 and wrote no image"),
        (
            "[open(f'{out}/{n}.nii', 'w') for n in ('image', 'image_Eq_1')]",
            "slices of uneven spacing, which the converter would have re-spaced",
        ),
        ("[open(f'{out}/{n}.nii', 'w') for n in ('image', 'imagea')]", "2 images in one series"),
        (
            "[open(f'{out}/{n}.nii', 'w') for n in ('image', 'image_Tilt_1')]",
            "a tilted gantry, which the converter would have resampled",
        ),
    ],
)
def test_each_failure_of_the_converter_is_one_phrase(
    tmp_path: Path, store: Path, dicom_files, blob, monkeypatch, capfd, body: str, why: str
) -> None:
    dicom_files.series(tmp_path / "in", blob())
    monkeypatch.setattr(dicom_convert, "TIMEOUT_S", 1.0 if "sleep" in body else 30.0)
    _stand_in(tmp_path, monkeypatch, body)
    assert convert(_only(tmp_path / "in"), None, store) == Fault(Reason.CONVERSION_FAILED, why)
    assert "HANSEN" not in "".join(capfd.readouterr())
    assert not [entry for entry in store.iterdir() if not entry.name.startswith(".")]


def test_an_image_that_lies_elsewhere_than_the_headers_say_is_refused(
    tmp_path: Path, store: Path, dicom_files, blob, monkeypatch
) -> None:
    dicom_files.series(tmp_path / "in", blob())
    _stand_in(
        tmp_path,
        monkeypatch,
        "import nibabel, numpy\n"
        "nibabel.save(nibabel.Nifti1Image(numpy.ones((24, 20, 16), 'i2'), numpy.diag([4, 4, 5, 1.0])), out + '/image.nii')",
    )
    fault = convert(_only(tmp_path / "in"), None, store)
    assert isinstance(fault, Fault)
    assert fault.detail == "the converted image does not lie where the headers of its slices put it"


@pytest.mark.parametrize(
    ("shift_mm", "detail"),
    [(2.0, "16 of 16 contours lie in no slice of the image"), (25.0, "5 of 16 contours lie in no slice of the image")],
)
def test_contours_that_do_not_fit_the_slices_refuse_the_scan(
    tmp_path: Path, store: Path, dicom_files, blob, shift_mm: float, detail: str
) -> None:
    facts = dicom_files.series(tmp_path / "in", blob())
    contours = [points + (0, 0, shift_mm) for points in dicom_files.ball(facts, (12, 10, 8), 500.0)]
    dicom_files.structure(tmp_path / "in/rs.dcm", facts, {"met": contours})
    tree = read_tree(tmp_path / "in")
    fault = convert(tree.series[0], Drawn(structure=tree.structures[0], values={1: 1}), store)
    assert fault == Fault(Reason.MASK_GEOMETRY, detail)
