"""Does brightness alone tell the two apart? One feature: the mean of the prepared image inside the mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from rnfm.downstream.lesions import Lesions
from rnfm.downstream.tabular import Baseline, chosen, standardised


def features(lesions: Lesions, cache: Path) -> pd.DataFrame:
    mean = np.empty(len(lesions))
    for row in lesions.in_scan_order():
        image, mask = lesions.box(row, margin=0)
        mean[row] = image[mask].mean(dtype=np.float64)
    return pd.DataFrame({"mean_intensity": mean})


BASELINE = Baseline(features, {"mean_intensity": chosen(standardised, (1.0,))})
