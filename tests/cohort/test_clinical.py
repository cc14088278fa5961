"""Clinical columns: types, and what may never become a feature: identities, dates, outcomes."""

from __future__ import annotations

import pytest

from rnfm.cohort import clinical


@pytest.mark.parametrize(
    ("name", "cells", "expected"),
    [
        ("age", ["61", "n/a", "93"], {"age_years": [61.0, None, 90.0]}),
        ("Gender", ["male", "F", ""], {"sex": ["M", "F", None]}),
        ("wbrt", ["yes", "no", "NA"], {"wbrt": [True, False, None]}),
        ("KPS (percent)", ["90", "100", "80"], {"kps_percent": [90.0, 100.0, 80.0]}),
        ("primary", ["NSCLC", "breast", "NSCLC"], {"primary": ["NSCLC", "breast", "NSCLC"]}),
        ("dose", ["18", "inf", "18"], {"dose": ["18", "inf", "18"]}),
        ("nothing", ["", "n/a", "nan"], {}),
    ],
)
def test_types(name: str, cells: list[str], expected: dict[str, list[object]]) -> None:
    kept, left_out = clinical.columns({name: cells})
    assert kept == expected
    assert left_out == []


@pytest.mark.parametrize(
    ("name", "cells", "why"),
    [
        ("patient_name", ["a", "a"], "names a person"),
        ("MRN", ["1", "2"], "names a person"),
        ("birth", ["1950", "1960"], "names a person"),
        ("overall_survival", ["1", "2"], "known after the outcome"),
        ("death", ["1", "0"], "known after the outcome"),
        ("rn_volume", ["1", "0"], "known after the outcome"),
        ("scanned", ["2020-01-02", "n/a"], "holds dates"),
        ("visit", ["20200102", ""], "holds dates"),
        ("visit", ["3.4.2020", ""], "holds dates"),
        ("number", ["10482230", "10482231"], "holds numbers that look like identifiers"),
        ("remark", ["ab", "cd", "ef", "gh"], "free text, or a value of its own for each row"),
    ],
)
def test_forbidden_columns_are_left_out_and_named(name: str, cells: list[str], why: str) -> None:
    assert clinical.columns({name: cells}) == ({}, [f"{name} ({why})"])


def test_a_column_named_twice_is_kept_once() -> None:
    kept, left_out = clinical.columns({"sex": ["M"], "gender": ["F"]})
    assert kept == {"sex": ["M"]}
    assert left_out == ["gender (named twice)"]
