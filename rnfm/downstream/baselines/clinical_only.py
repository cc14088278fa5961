"""Does the clinical table alone tell the two apart? L2 logistic regression on the encoded columns."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from rnfm.downstream.clinical import clinical_features, encoder
from rnfm.downstream.lesions import Lesions
from rnfm.downstream.tabular import Baseline, chosen


def features(lesions: Lesions, cache: Path) -> pd.DataFrame:
    return clinical_features(lesions.table, "cohort")


BASELINE = Baseline(features, {"clinical_only": chosen(encoder)})
