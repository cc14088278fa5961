"""Does the size of the lesion alone tell the two apart? One feature: log10 of the mask's volume in cubic millimetres."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from rnfm.downstream.lesions import Lesions
from rnfm.downstream.tabular import Baseline, chosen, standardised


def features(lesions: Lesions, cache: Path) -> pd.DataFrame:
    return pd.DataFrame({"log10_volume_mm3": np.log10(lesions.table["volume_mm3"].to_numpy(float))})


BASELINE = Baseline(features, {"volume_only": chosen(standardised, (1.0,))})
