"""Clinical columns as numbers: what each type becomes, and what an unseen category or a missing value does."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from rnfm.core import DataError
from rnfm.downstream.clinical import clinical_features, encoder

TABLE = pd.DataFrame(
    {
        "label": [0, 1, 0],
        "clinical_age_years": [50.0, None, 70.0],
        "clinical_wbrt": [True, None, False],
        "clinical_primary": ["lung", None, "breast"],
        "clinical_empty": [None, None, None],
    }
)


def test_numbers_and_flags_become_floats_and_texts_name_what_is_missing():
    found = clinical_features(TABLE, "table")
    assert found["clinical_age_years"].tolist()[::2] == [50.0, 70.0]
    assert found["clinical_wbrt"].tolist()[::2] == [1.0, 0.0]
    assert found["clinical_wbrt"].isna().tolist() == [False, True, False]
    assert found["clinical_primary"].tolist() == ["lung", "(missing)", "breast"]
    assert "label" not in found


def test_the_same_after_a_journey_through_parquet(tmp_path):
    TABLE.to_parquet(tmp_path / "t.parquet")
    before, after = clinical_features(TABLE, "t"), clinical_features(pd.read_parquet(tmp_path / "t.parquet"), "t")
    pd.testing.assert_frame_equal(before, after)


def test_the_encoder_by_hand():
    features = clinical_features(TABLE.drop(columns="clinical_empty"), "table")
    encoded = encoder(features).fit_transform(features)
    # age, wbrt (median 60 and 0.5), indicators of both, then (missing), breast, lung
    expected = [
        [-1, 1, -1, -1, 0, 0, 1],
        [0, 0, 1, 1, 1, 0, 0],
        [1, -1, -1, -1, 0, 1, 0],
    ]
    np.testing.assert_allclose(encoded, expected)


def test_a_new_category_and_a_value_beyond_training_are_borne():
    features = clinical_features(TABLE.drop(columns="clinical_empty"), "table")
    fitted = encoder(features).fit(features)
    new = pd.DataFrame({"clinical_age_years": [200.0], "clinical_wbrt": [np.nan], "clinical_primary": ["ovary"]})
    np.testing.assert_allclose(fitted.transform(new), [[1, 0, -1, 1, 0, 0, 0]])


def test_a_column_without_any_value_is_borne():
    features = clinical_features(TABLE, "table")
    assert np.isfinite(encoder(features).fit_transform(features)).all()


def test_no_clinical_value_at_all_is_refused():
    with pytest.raises(DataError) as caught:
        clinical_features(TABLE[["label", "clinical_empty"]], "cohort")
    assert str(caught.value).startswith("cohort: holds no clinical value. Index a cohort with clinical_ columns")
