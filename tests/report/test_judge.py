"""Tables from pooled predictions, held against the statistics room cell by cell."""

import math

import numpy as np
import pandas as pd
import pytest

from rnfm import stats
from rnfm.report import judge

from .conftest import COUNTS, rows

SETTINGS = {"threshold": 0.5, "level": 0.95, "interval": "logit", "bootstrap": 200, "seed": 0}


def pool(*frames):
    return pd.concat(frames, ignore_index=True).drop(columns=["fold", "seed"])


def test_metrics_are_the_statistics_of_each_cell():
    pooled = pool(rows("ssl_vit"), rows("volume_only", gain=0.2))
    table = judge.metrics(pooled, reference="ssl_vit", **SETTINGS)
    assert tuple(table.columns) == (
        "method", "split", "site", "n", "n_pos", "auc", "auc_low", "auc_high", "boot_low", "boot_high",
        "brier", "sensitivity", "specificity",
    )  # fmt: skip
    assert list(zip(table["method"], table["split"], strict=True)) == [
        (m, s) for m in ("ssl_vit", "volume_only") for s in ("holdout", "external")
    ]
    row = table.iloc[1]
    cell = pooled[(pooled["method"] == "ssl_vit") & (pooled["split"] == "external")]
    y, p = cell["label"].to_numpy(), cell["probability"].to_numpy()
    assert (row["n"], row["n_pos"]) == (28, 9)
    interval = stats.auc_ci(y, p, method="logit", groups=cell["patient"])
    assert (row["auc"], row["auc_low"], row["auc_high"]) == pytest.approx(interval)
    assert row["boot_low"] == pytest.approx(stats.auc_ci(y, p, method="bootstrap", groups=cell["patient"], n=200)[1])
    assert row["sensitivity"] == np.mean(p[y == 1] >= 0.5)
    assert row["specificity"] == np.mean(p[y == 0] < 0.5)
    assert row["brier"] == pytest.approx(np.mean((p - y) ** 2))


def test_patients_are_clusters():
    pooled = pool(rows("ssl_vit"))
    alone = pooled.assign(patient=pooled["lesion"])
    width = [
        np.diff(judge.metrics(frame, reference="ssl_vit", **SETTINGS)[["auc_low", "auc_high"]].to_numpy()).ravel()
        for frame in (pooled, alone)
    ]
    assert not np.allclose(width[0], width[1])


def test_sites_stand_apart_only_where_a_split_has_several():
    frame = rows("ssl_vit")
    frame.loc[frame["split"] == "external", "site"] = ["B", "C"] * 14
    table = judge.metrics(pool(frame), reference="ssl_vit", **SETTINGS)
    assert table["site"].tolist() == ["all", "all", "B", "C"]
    assert table["n"].tolist() == [22, 28, 14, 14]


def test_one_class_gives_what_it_can():
    pooled = pool(rows("ssl_vit", counts={"holdout": (0, 6, "A"), "external": (1, 4, "B")}))
    holdout, external = judge.rows(judge.metrics(pooled, reference="ssl_vit", **SETTINGS))
    assert math.isnan(holdout.auc)
    assert math.isnan(holdout.sensitivity)
    assert holdout.brier >= 0
    assert 0 <= holdout.specificity <= 1
    assert external.auc_low < external.auc < external.auc_high or external.auc in (0, 1)
    assert math.isnan(external.boot_low)  # one positive lesion cannot be resampled
    assert judge.curves(pooled, reference="ssl_vit", threshold=0.5)["roc"][0]["split"] == "external"


def test_comparisons_are_paired_on_common_lesions_and_corrected_within_a_split():
    fewer = {"holdout": (7, 15, "A"), "external": (9, 17, "B")}
    pooled = pool(rows("ssl_vit", gain=2), rows("other"), rows("volume_only", gain=0.1, counts=fewer))
    table = judge.comparisons(pooled, "ssl_vit")
    assert tuple(table.columns) == ("split", "method_a", "method_b", "n", "auc_a", "auc_b", "z", "p", "p_holm")
    assert table["n"].tolist() == [22, 22, 28, 26]
    assert set(table["method_a"]) == {"ssl_vit"}
    a, b = (
        pooled[(pooled["split"] == "external") & (pooled["method"] == m)].set_index("lesion")
        for m in ("ssl_vit", "volume_only")
    )
    a = a.loc[b.index]
    wanted = stats.delong_test(a["label"], a["probability"], b["probability"], groups=a["patient"])
    assert tuple(table.iloc[3][["z", "p"]]) == pytest.approx(wanted)
    for split in COUNTS:
        part = table[table["split"] == split]
        assert part["p_holm"].tolist() == pytest.approx(stats.holm(part["p"]).tolist())


def test_nothing_to_compare_is_an_empty_table_with_its_columns():
    for pooled, reference in ((pool(rows("ssl_vit")), "ssl_vit"), (pool(rows("a"), rows("b")), "ssl_vit")):
        table = judge.comparisons(pooled, reference)
        assert table.empty
        assert tuple(table.columns) == judge.COMPARISONS


def test_curves_hold_the_points_of_the_roc_and_its_operating_point():
    pooled = pool(rows("ssl_vit"))
    found = judge.curves(pooled, reference="ssl_vit", threshold=0.5)
    roc = found["roc"][0]
    assert np.trapezoid(roc["tpr"], roc["fpr"]) == pytest.approx(
        judge.metrics(pooled, reference="", **SETTINGS)["auc"][0]
    )
    assert roc["point"] in [list(pair) for pair in zip(roc["fpr"], roc["tpr"], strict=True)]
    assert sum(part[4] for part in found["calibration"][0]["bins"]) == 22
