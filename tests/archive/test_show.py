"""`rnfm data show`: the lines, one sample, its picture."""

from __future__ import annotations

import pytest

from rnfm.archive.show import ShowConfig, show
from rnfm.core import artifact
from rnfm.core.errors import ConfigError


def test_what_is_in_an_archive(any_archive):
    text = show(ShowConfig(path=any_archive)).summary()
    assert "shards, format 1" in text
    assert "samples.train: 10" in text
    assert "input.crop: [16, 16, 16]" in text
    assert "patients: 2" in text
    assert "samples by site: 10 north, 10 south" in text
    assert "samples around a named lesion: 5" in text


def test_one_sample_and_its_picture(tar_archive, tmp_path):
    from PIL import Image

    png = tmp_path / "sample.png"
    text = show(ShowConfig(path=tar_archive, sample=0, png=png)).summary()
    assert "sample 0: S-00000000-0000, shard train-00000.tar" in text
    assert "lesion: S-00000000-L1" in text
    with Image.open(png) as picture:
        assert picture.format == "PNG"
        assert len(set(picture.convert("L").getdata())) > 20


def test_refusals(tar_archive, tmp_path):
    with pytest.raises(ConfigError, match=r"sample: 20 of 20 samples\. Give 0 to 19\."):
        show(ShowConfig(path=tar_archive, sample=20))
    with artifact.publish(tmp_path / "split", "split", 1):
        pass
    with pytest.raises(ConfigError, match="a split artefact holds no samples"):
        show(ShowConfig(path=tmp_path / "split", sample=0))
