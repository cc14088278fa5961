"""Clinical columns as numbers: which there are, and an encoder that is fitted inside a fold.

    clinical_age_years   float        -> median where missing, -1..1, and a 0/1 column "was missing"
    clinical_wbrt        bool, null   -> the same, as 0/1
    clinical_primary     text, null   -> one-hot; missing is a category; a category never seen in training is all zeros

What a column *is* comes from its type, never from its values, so looking at it teaches nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from rnfm.core.errors import DataError

PREFIX = "clinical_"
MISSING = "(missing)"


def clinical_features(table: pd.DataFrame, thing: object) -> pd.DataFrame:
    """The `clinical_*` columns of `table`: float64 with NaN, or text. Raises DataError if there is none, or all are empty."""
    columns = [name for name in table.columns if name.startswith(PREFIX)]
    if not any(table[name].notna().any() for name in columns):
        raise DataError(
            thing, "holds no clinical value", "Index a cohort with clinical_ columns, or leave clinical methods out"
        )
    return pd.DataFrame({name: _plain(table[name]) for name in columns}, index=table.index)


def encoder(features: pd.DataFrame) -> Any:
    """A column transformer for the output of `clinical_features`, unfitted."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, OneHotEncoder

    numbers = [name for name in features.columns if pd.api.types.is_float_dtype(features[name])]
    texts = [name for name in features.columns if name not in numbers]
    impute = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    return ColumnTransformer(
        [
            ("number", make_pipeline(impute, MinMaxScaler((-1, 1), clip=True)), numbers),
            ("category", OneHotEncoder(handle_unknown="ignore", sparse_output=False), texts),
        ]
    )


def _plain(column: pd.Series) -> pd.Series:
    known = column.dropna()
    is_number = pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)
    # A nullable boolean read from Parquet arrives as objects: True, False, None.
    if is_number or (column.dtype == object and all(isinstance(value, bool | np.bool_) for value in known)):
        return pd.Series(
            [np.nan if pd.isna(value) else float(value) for value in column], index=column.index, dtype=float
        )
    return pd.Series([MISSING if pd.isna(value) else str(value) for value in column], index=column.index, dtype=object)
