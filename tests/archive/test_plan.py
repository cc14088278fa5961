"""The plan: subsets by role, keys, layout, sizes, refusals."""

from __future__ import annotations

from pathlib import Path

import pytest

from rnfm.archive import plan
from rnfm.archive.shard import ShardConfig, require_disk
from rnfm.core.errors import ConfigError, DataError


def config(**settings) -> ShardConfig:
    return ShardConfig(volumes=Path("v"), out=Path("o"), **{"crop": (16, 16, 16), "per_scan": 3, **settings})


def test_roles_become_subsets_and_external_is_left_out(make_volumes, make_split):
    volumes = make_volumes(8)
    split = make_split(volumes, ["train", "holdout", "external", "train"])
    made = plan.make(volumes.scans, split, config(), "v")
    assert made.bill.samples == {"train": 12, "val": 6}
    assert {sample.subset for sample in made.samples if sample.scan in ("S-00000002", "S-00000003")} == {"val"}
    assert not any(sample.scan in ("S-00000004", "S-00000005") for sample in made.samples)
    assert [sample.key for sample in made.samples] == sorted(sample.key for sample in made.samples)


def test_without_a_split_all_is_train(make_volumes):
    assert plan.make(make_volumes(4).scans, None, config(), "v").bill.samples == {"train": 12, "val": 0}


def test_shards_hold_one_subset_and_the_last_is_ragged(make_volumes, make_split):
    volumes = make_volumes(8)
    made = plan.make(volumes.scans, make_split(volumes, ["train", "holdout"] * 2), config(shard_mb=0.06), "v")
    layout = [(name, len(samples)) for name, samples in made.shards()]
    assert made.per_shard == 5
    assert layout == [
        ("train-00000", 5),
        ("train-00001", 5),
        ("train-00002", 2),
        ("val-00000", 5),
        ("val-00001", 5),
        ("val-00002", 2),
    ]
    assert made.bill.shards == 6


@pytest.mark.parametrize(
    ("total_gb", "shard_mb", "expected_mb"), [(1, None, 64), (100, None, 195.3125), (10_000, None, 1024), (1, 8, 8)]
)
def test_shard_size_rule(total_gb, shard_mb, expected_mb):
    assert plan.shard_bytes(int(total_gb * 1e9), shard_mb) == int(expected_mb * 1e6)


def test_refusals(make_volumes, make_split):
    volumes = make_volumes(4)
    short = make_split(volumes, ["train", "train"]).iloc[:1]
    with pytest.raises(DataError, match=r"1 of its 2 patients have no role in the split\. Split the cohort"):
        plan.make(volumes.scans, short, config(), "v")
    with pytest.raises(DataError, match="no scan of it is for training"):
        plan.make(volumes.scans, make_split(volumes, ["holdout", "external"]), config(), "v")
    volumes.scans.loc[0, "scan"] = "../etc/passwd"
    with pytest.raises(DataError, match="1 scan codes break the rule"):
        plan.make(volumes.scans, None, config(), "v")


def test_a_bill_beyond_the_disk_is_refused_before_anything_is_written(tmp_path, capsys):
    bill = plan.Bill({"train": 10, "val": 0}, 1, 10**18)
    with pytest.raises(ConfigError, match=r"needs 1000000000\.0 GB, the disk has .* GB free\. Free some space"):
        require_disk(bill, tmp_path / "not" / "there" / "yet")
    assert "bill: 10 train + 0 val sub-volumes, 1 shards" in capsys.readouterr().err
