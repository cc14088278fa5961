"""`rnfm data restore`: a map drawn on canonical voxels lies on the same anatomy in the source's own grid."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from rnfm.core.errors import ConfigError, DataError
from rnfm.core.ledger import Reason
from rnfm.volume import PrepareConfig, RestoreConfig, ScanFault, Volume, VolumeArchive, prepare, restore_map, save_nifti


@pytest.fixture
def setting(make_cohort: Callable, tmp_path: Path) -> tuple[VolumeArchive, RestoreConfig, nibabel.Nifti1Image]:
    """An archive at another spacing than its sources, a configuration, and the source mask of its first scan."""
    cohort = make_cohort(1)
    prepare(PrepareConfig(cohort=cohort.path, out=tmp_path / "volumes", spacing_mm=(2, 2, 2)))
    archive = VolumeArchive.open(tmp_path / "volumes")
    config = RestoreConfig(
        volumes=tmp_path / "volumes", scan=cohort.codes[0], map=tmp_path / "map.nii.gz", out=tmp_path / "back.nii.gz"
    )
    return archive, config, nibabel.load(cohort.masks[0])


def test_a_map_comes_back_to_its_anatomy(setting) -> None:
    archive, config, source = setting
    save_nifti(Volume((archive.mask(config.scan) > 0) * np.float32(0.5), archive.affine(config.scan)), config.map)
    result = restore_map(config)
    back = nibabel.load(config.out)
    assert back.shape == source.shape == result.shape
    np.testing.assert_allclose(back.affine, source.affine, atol=1e-4)
    assert result.summary().startswith(f"map of 40 x 44 x 40 voxels of 3 x 3 x 3 mm in {config.out}\nnext: ")
    a, b = back.get_fdata() > 0.25, source.get_fdata() > 0
    assert 2 * (a & b).sum() / (a.sum() + b.sum()) > 0.9
    assert np.abs(np.argwhere(a).mean(axis=0) - np.argwhere(b).mean(axis=0)).max() < 0.2


@pytest.mark.parametrize("rule", ["zscore", "percentile", "none"])
def test_without_a_map_the_scan_itself_comes_back_in_scanner_values(
    make_cohort: Callable, tmp_path: Path, rule: str
) -> None:
    cohort = make_cohort(1)
    prepare(
        PrepareConfig(
            cohort=cohort.path, out=tmp_path / "volumes", spacing_mm=(3, 3, 3), intensity={"rule": rule}, margin_mm=9
        )
    )
    config = RestoreConfig(volumes=tmp_path / "volumes", scan=cohort.codes[0], out=tmp_path / "back.nii.gz")
    restore_map(config)
    back, source = nibabel.load(config.out).get_fdata(), nibabel.load(cohort.images[0]).get_fdata()
    assert back.shape == source.shape
    where = (source > 360) & (source < 440)  # tissue: inside the window, and nothing that a rule clips
    np.testing.assert_allclose(back[where], source[where], atol=1.0)
    restore_map(config.model_copy(update={"is_mask": True, "out": tmp_path / "mask.nii.gz"}))
    mask = np.asarray(nibabel.load(tmp_path / "mask.nii.gz").dataobj)
    np.testing.assert_array_equal(mask, np.asarray(nibabel.load(cohort.masks[0]).dataobj))


def test_labels_are_not_mixed(setting) -> None:
    archive, config, _ = setting
    labels = (archive.mask(config.scan) * 40).astype(np.uint16)
    save_nifti(Volume(labels, archive.affine(config.scan)), config.map)
    restore_map(config.model_copy(update={"is_mask": True}))
    back = nibabel.load(config.out)
    assert set(np.unique(np.asarray(back.dataobj))) == {0, 40}
    assert back.get_data_dtype() == np.uint16


def test_what_is_refused(setting) -> None:
    archive, config, _ = setting
    with pytest.raises(ScanFault) as error:
        restore_map(config)
    assert error.value.reason is Reason.MISSING_FILE
    data = archive.image(config.scan)
    elsewhere = archive.affine(config.scan)
    elsewhere[0, 3] += 1e4
    save_nifti(Volume(data, elsewhere), config.map)
    with pytest.raises(DataError, match=f"nothing of it lies within scan {config.scan}"):
        restore_map(config)
    assert not config.out.exists()
    save_nifti(Volume(data, archive.affine(config.scan)), config.map)
    with pytest.raises(ConfigError, match="no scan of this code in the archive"):
        restore_map(config.model_copy(update={"scan": "S-FFFFFFFF"}))
    with pytest.raises(ConfigError, match="is not the name of a NIfTI file"):
        restore_map(config.model_copy(update={"out": config.out.with_suffix(".png")}))
    restore_map(config)
    with pytest.raises(ConfigError, match="exists already. Choose another --out, or pass --overwrite"):
        restore_map(config)
    restore_map(config.model_copy(update={"overwrite": True}))
