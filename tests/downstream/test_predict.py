"""`rnfm predict` on NIfTI files: the probability of the fine-tuning run, a map in the scan's grid, and every refusal."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest

from rnfm.core import ConfigError, DataError, InputContract
from rnfm.downstream import FinetuneConfig, PredictConfig, finetune, predict, predictions
from rnfm.volume import prepare_one

from .conftest import write_split, write_volumes

AFFINE = np.array([[0.0, 0, 2, -40], [-2, 0, 0, 40], [0, 2, 0, -30], [0, 0, 0, 1]])  # axes P, S, R; 2 mm


def write(path, data, affine=AFFINE):
    nibabel.Nifti1Image(data, affine).to_filename(path)
    return path


def head(random, label):
    """A head-like scan (36 x 34 x 35 voxels of 2 mm): a ball of tissue with one enhancing ball, hollow for label 1."""
    shape = (36, 34, 35)
    away = np.linalg.norm(np.indices(shape) - 17.0, axis=0)
    image = random.normal(20, 3, shape).clip(0)
    image[away < 15] += 380
    centre = 17 + random.integers(-4, 5, 3)
    distance = np.linalg.norm(np.indices(shape) - centre[:, None, None, None], axis=0)
    image[distance < 4] += 400
    if label:
        image[distance < 2.4] -= 550
    return image.astype(np.float32), (distance < 4).astype(np.uint8)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> SimpleNamespace:
    """Sixteen scans on disk, prepared one by one as `rnfm data prepare` does, and a classifier of them."""
    root, random = tmp_path_factory.mktemp("predict"), np.random.default_rng(0)
    contract, scans = InputContract(spacing_mm=(2, 2, 2)), []
    for i in range(16):
        label = (i // 2) % 2
        image, mask = head(random, label)
        write(root / f"{i}.nii.gz", image), write(root / f"{i}_mask.nii.gz", mask)
        prepared = prepare_one(root / f"{i}.nii.gz", root / f"{i}_mask.nii.gz", contract)
        of_scan = {
            "affine": prepared.affine.ravel().tolist(),
            "source_affine": prepared.source_affine.ravel().tolist(),
            "source_shape_vox": list(prepared.source_shape),
            **{f"intensity_{name}": value for name, value in prepared.intensity.items()},
        }
        scans.append(
            {
                "patient": f"P-A{i:07d}",
                "site": "A",
                "label": label,
                "image": prepared.image.astype(np.float16),
                "mask": prepared.mask,
                "mask_values": [],
                "of_scan": of_scan,
            }
        )
    volumes = write_volumes(root / "volumes", scans, contract=contract)
    roles = [(s["patient"], "A", "holdout" if i % 8 in (3, 5) else "train") for i, s in enumerate(scans)]
    settings = FinetuneConfig(
        volumes=[volumes],
        split=write_split(root / "split", roles),
        out=root / "run",
        crop=16,
        epochs=20,
        lr=3e-3,
        threads=1,
        device="cpu",
        protocols=["holdout"],
        tracking={"enabled": False},
    )
    result = finetune(settings)
    return SimpleNamespace(root=root, classifier=result.classifier, rows=predictions.read(result.predictions))


def config(trained, number=3, **changes) -> PredictConfig:
    given = {
        "scan": trained.root / f"{number}.nii.gz",
        "mask": trained.root / f"{number}_mask.nii.gz",
        "classifier": trained.classifier,
    }
    return PredictConfig(**given | changes)


def test_a_scan_of_the_hold_out_gets_the_probability_that_the_run_filed_for_it(trained):
    filed = trained.rows.set_index("lesion")["probability"]
    assert len(filed) == 4
    for lesion, probability in filed.items():
        assert predict(config(trained, int(lesion[3:10]))).probability == pytest.approx(probability, abs=1e-6)


def test_both_classes_fall_on_their_side_of_the_threshold(trained):
    assert predict(config(trained, 3)).finding == "radiation necrosis"
    assert predict(config(trained, 5)).finding == "tumour progression"


def test_the_map_lies_on_the_scan_and_brightest_in_the_lesion(trained, tmp_path):
    result = predict(config(trained, out=tmp_path / "p"))
    image, mask = nibabel.load(result.map), nibabel.load(trained.root / "3_mask.nii.gz")
    assert image.shape == mask.shape
    np.testing.assert_allclose(image.affine, mask.affine, atol=1e-5)
    attended, inside = image.get_fdata(), mask.get_fdata() > 0
    assert attended[inside].mean() > 2 * attended[~inside].mean()
    written = json.loads(result.path.read_text())
    assert written["probability"] == result.probability
    assert "research use only" in written["notice"]
    assert "For research use only" in result.summary()
    with pytest.raises(ConfigError, match="exists already"):
        predict(config(trained, out=tmp_path / "p"))
    assert predict(config(trained, out=tmp_path / "p", overwrite=True)).probability == result.probability


def test_it_answers_in_time(trained):
    start = time.process_time()
    predict(config(trained))
    assert time.process_time() - start < 10


def refusal(trained, kind=DataError, **changes) -> str:
    with pytest.raises(kind) as caught:
        predict(config(trained, **changes))
    return str(caught.value)


def test_masks_that_do_not_say_which_lesion_are_refused(trained, tmp_path):
    mask = nibabel.load(trained.root / "3_mask.nii.gz").get_fdata().astype(np.uint8)
    empty = write(tmp_path / "empty.nii.gz", mask * 0)
    assert "its mask" in refusal(trained, mask=empty)
    assert "Check that the disk is mounted" in refusal(trained, mask=tmp_path / "none.nii.gz")
    other = write(tmp_path / "other.nii.gz", mask[:-2])
    assert "its mask has another size" in refusal(trained, mask=other)
    two = mask.copy()
    two[5:8, 16:19, 16:19] = 2
    path = write(tmp_path / "two.nii.gz", two)
    assert refusal(trained, mask=path) == (
        f"{path}: holds 2 separate lesions (mask values [1, 2]). "
        "Say which with --lesion VALUE, or give a mask of one lesion."
    )
    assert "has no voxel of value 7 (it has [1, 2])" in refusal(trained, mask=path, lesion=7)
    chosen = predict(config(trained, mask=path, lesion=1))
    assert chosen.probability == pytest.approx(predict(config(trained)).probability, abs=1e-6)


def test_a_scan_that_does_not_look_like_t1ce_of_a_head_is_refused_unless_forced(trained, tmp_path):
    image = nibabel.load(trained.root / "3.nii.gz").get_fdata().astype(np.float32)
    mask = nibabel.load(trained.root / "3_mask.nii.gz").get_fdata() > 0
    plain = image.copy()
    plain[mask] = 400
    path = write(tmp_path / "plain.nii.gz", plain)
    said = refusal(trained, scan=path)
    assert said.startswith(f"{path}: does not look like a contrast-enhanced T1 scan of a head (no_contrast: ")
    assert said.endswith("Give another scan, or pass --force if a person has checked this one.")
    assert any("no_contrast" in line for line in predict(config(trained, scan=path, force=True)).warnings)
    tiny = AFFINE.copy()
    tiny[:3, :3] /= 4
    small, small_mask = (
        write(tmp_path / "s.nii.gz", image, tiny),
        write(tmp_path / "m.nii.gz", mask.astype(np.uint8), tiny),
    )
    assert "spacing_implausible" in refusal(trained, scan=small, mask=small_mask)


def test_a_scan_without_orientation_is_refused(trained, tmp_path):
    image = nibabel.load(trained.root / "3.nii.gz")
    bare = nibabel.Nifti1Image(image.get_fdata().astype(np.float32), None)
    bare.header.set_sform(None, code=0)
    bare.header.set_qform(None, code=0)
    bare.to_filename(tmp_path / "bare.nii.gz")
    assert "Convert it again from DICOM" in refusal(trained, scan=tmp_path / "bare.nii.gz")


def test_a_lesion_unlike_those_it_learned_from_is_warned_about(trained, tmp_path):
    image, mask = nibabel.load(trained.root / "3.nii.gz"), nibabel.load(trained.root / "3_mask.nii.gz")
    data = mask.get_fdata().astype(np.uint8)
    from scipy import ndimage

    whole = write(tmp_path / "whole.nii.gz", (image.get_fdata() > 100).astype(np.uint8))
    said = refusal(trained, mask=whole)
    assert said.startswith(f"{whole}: its ")
    assert said.endswith("Give the mask of one lesion, or pass --force if it is one.")
    eroded = write(tmp_path / "eroded.nii.gz", ndimage.binary_erosion(data, iterations=2).astype(np.uint8))
    assert image.shape == data.shape
    [warning] = [line for line in predict(config(trained, mask=eroded, force=True)).warnings if "mm3" in line]
    assert "lie outside the" in warning


def test_the_run_folder_stands_for_its_classifier(trained):
    assert predict(config(trained, classifier=trained.classifier.parent)) == predict(config(trained))


def test_a_folder_that_is_no_classifier_is_refused_before_the_scan_is_read(trained, tmp_path):
    said = refusal(trained, ConfigError, classifier=trained.root / "volumes", scan=tmp_path / "none.nii.gz")
    assert "is of kind volumes, not classifier" in said


@pytest.mark.realdata
@pytest.mark.skipif(
    "RNFM_REAL_DATA" not in os.environ, reason="RNFM_REAL_DATA does not name the folder with the real scans"
)
def test_real_scans_get_a_map_on_their_own_grid_or_a_refusal_that_names_what_their_headers_claim(trained, tmp_path):
    real = Path(os.environ["RNFM_REAL_DATA"])
    for name in ("btp01_tp1", "qin01_tp1"):
        files = {"scan": real / "t1c" / f"{name}.nii.gz", "mask": real / "masks" / f"{name}.nii.gz"}
        try:
            result = predict(config(trained, **files, out=tmp_path / name, force=False))
        except DataError as error:
            assert "does not look like" in str(error) or "lie outside" in str(error) or "separate lesions" in str(error)
            result = predict(config(trained, **files, lesion=1, out=tmp_path / name, force=True))
            assert result.warnings
        assert 0 < result.probability < 1
        source, written = nibabel.load(files["scan"]), nibabel.load(result.map)
        assert written.shape == source.shape[:3]
        np.testing.assert_allclose(written.affine, source.affine, atol=1e-3)
