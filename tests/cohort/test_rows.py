"""From records to coded rows: order, sites, months, the one classified row a lesion, ledgers by code."""

from __future__ import annotations

from pathlib import Path

import pytest

from rnfm.cohort import rows
from rnfm.cohort.headers import Header, Inspected
from rnfm.cohort.keys import KeyTable
from rnfm.cohort.records import Fault, Finding, LesionRecord, ScanRecord
from rnfm.core.ledger import Entry, Reason

HEADER = Header((8, 8, 8), (1.0, 1.0, 1.0))


@pytest.fixture
def keys(tmp_path: Path) -> KeyTable:
    return KeyTable(tmp_path / "keys.csv", [])


def _item(name: str, day: int | None, *lesions: LesionRecord, mask: bool = True, order: int = 0, **more) -> Inspected:
    files = {"image": Path(f"/x/{name}.nii"), "mask": Path(f"/x/{name}_m.nii") if mask else None}
    scan = ScanRecord(patient=name[0], scan=name, day=day, order=order, lesions=lesions, **(files | more))
    return Inspected(scan, None if scan.fault else HEADER, scan.fault)


def _build(
    items: list[Inspected],
    keys: KeyTable,
    findings: tuple[Finding, ...] = (),
    site: str | None = None,
    rule: str = "rn_date_or_growth",
) -> rows.Coded:
    return rows.build(items, findings, keys, dataset="set", site=site, rule=rule)


def test_months_and_the_classified_row(keys: KeyTable) -> None:
    lesion = LesionRecord(number=2, label=1, srs_day=100, rn_day=200, mask_values=(21,), clinical={"age_years": 95.0})
    coded = _build([_item("a0", 0, lesion), _item("a9", 300, lesion), _item("a5", 180, lesion)], keys)
    assert [row["day"] for row in coded.rows] == [0, 180, 300]
    assert [round(row["months_since_srs"], 2) for row in coded.rows] == [-3.29, 2.63, 6.57]
    assert [row["classified"] for row in coded.rows] == [False, True, False]
    assert {row["lesion"] for row in coded.rows} == {f"{keys.code('set', 'patient', 'a')}-L2"}
    assert [row["timepoint"] for row in coded.rows] == [0, 1, 2]
    assert {row["modality"] for row in coded.rows} == {"T1CE"}
    assert coded.rows[0]["clinical_age_years"] == 90.0
    assert not any("rn" in name.split("_") for name in coded.rows[0])


@pytest.mark.parametrize(
    ("rule", "is_feature"), [("rn_date", False), ("rn_date_or_growth", False), ("first_growth", True)]
)
def test_the_time_is_a_feature_under_label_free_rules_only(keys: KeyTable, rule: str, is_feature: bool) -> None:
    """Also where a source calls it a clinical fact itself."""
    lesion = LesionRecord(number=1, label=1, srs_day=0, rn_day=40, clinical={"months_since_srs": 99.0, "sex": "F"})
    (row,) = _build([_item("a1", 30, lesion)], keys, rule=rule).rows
    assert row["months_since_srs"] == pytest.approx(30 / 30.4375)
    assert row["clinical_sex"] == "F"
    assert ("clinical_months_since_srs" in row) is is_feature
    assert row.get("clinical_months_since_srs", row["months_since_srs"]) == row["months_since_srs"]


def test_growth_chooses_for_lesions_without_necrosis(keys: KeyTable) -> None:
    looks = [(0, 2.0), (90, 1.0), (180, 1.2), (270, 1.1)]
    items = [_item(f"a{day}", day, LesionRecord(number=1, label=0, srs_day=10, volume_ml=ml)) for day, ml in looks]
    coded = _build(items, keys)
    assert [row["day"] for row in coded.rows if row["classified"]] == [180]
    assert [row["volume_ml"] for row in coded.rows] == [2.0, 1.0, 1.2, 1.1]


def test_a_lesion_whose_scans_were_all_refused_is_told(keys: KeyTable) -> None:
    lesion, fault = LesionRecord(number=3, label=1), Fault(Reason.UNREADABLE, "no header")
    coded = _build([_item("a1", 0, lesion, fault=fault), _item("a2", 9)], keys)
    code = f"{keys.code('set', 'patient', 'a')}-L3"
    assert coded.findings.entries == [Entry(code, "index", Reason.LESION_MISSING, "every scan of it was refused")]


def test_two_scans_of_one_day_are_told(keys: KeyTable) -> None:
    coded = _build([_item("a1", 5, order=0), _item("a2", 5, order=1), _item("a3", 6, order=2)], keys)
    assert [(entry.reason, entry.detail) for entry in coded.findings.entries] == [
        (Reason.SAME_DAY, "on 1 day there is more than one scan; they share a time point")
    ]


def test_without_days_the_order_of_time_points_is_kept(keys: KeyTable) -> None:
    coded = _build([_item(f"a{n}", None, order=order) for n, order in ((1, 2), (2, 0), (3, 1))], keys)
    assert [row["scan"] for row in coded.rows] == [keys.code("set", "scan", name) for name in ("a2", "a3", "a1")]


def test_scans_without_lesions_are_never_classified(keys: KeyTable) -> None:
    (row,) = _build([_item("a1", None, mask=False)], keys).rows
    assert (row["lesion"], row["classified"], row["has_mask"], row["label"]) == (None, False, False, None)


def test_a_lesion_is_classified_on_a_scan_with_a_mask_or_not_at_all(keys: KeyTable) -> None:
    lesion = LesionRecord(number=1, label=0, srs_day=0)
    coded = _build([_item("a1", 30, lesion), _item("a2", 60, lesion, mask=False)], keys)
    assert [row["classified"] for row in coded.rows] == [True, False]
    coded = _build([_item("b1", 30, lesion, mask=False)], keys)
    code = f"{keys.code('set', 'patient', 'b')}-L1"
    assert coded.findings.entries == [Entry(code, "index", Reason.LESION_MISSING, "no scan of this lesion has a mask")]


def test_the_site_is_the_users_else_the_sources_else_the_data_set(keys: KeyTable) -> None:
    items = [_item("a1", 0, site="north"), _item("b1", 0)]
    patients = [keys.code("set", "patient", name) for name in "ab"]
    sites = {row["patient"]: row["site"] for row in _build(items, keys).rows}
    assert [sites[code] for code in patients] == ["north", "set"]
    assert {row["site"] for row in _build(items, keys, site="mine").rows} == {"mine"}


def test_refused_scans_have_a_code_and_no_row(keys: KeyTable) -> None:
    refused = _item("a1", 0, fault=Fault(Reason.UNREADABLE, "no header"))
    coded = _build(
        [refused, _item("b1", 0)], keys, (Finding(patient="b", scan="b1", reason=Reason.NO_CONTRAST, detail="d"),)
    )
    assert coded.quarantine.entries == [Entry(keys.code("set", "scan", "a1"), "index", Reason.UNREADABLE, "no header")]
    assert [entry.code for entry in coded.findings.entries] == [keys.code("set", "scan", "b1")]
    assert [row["patient"] for row in coded.rows] == [keys.code("set", "patient", "b")]
