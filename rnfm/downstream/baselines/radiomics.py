"""Hand-made features: the 107 original features of pyradiomics, with mRMR + SVM (the group's recipe) and L2 logistic regression.

Grey values are in arbitrary units, so they are cut into a fixed number of bins. Features are cached by content: the key
hashes the voxels of the lesion's box, its mask, the spacing, the settings and the library's version, so the cache can be
shared between runs and can never be stale.
"""

from __future__ import annotations

import hashlib
import json
import logging
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rnfm.core import files, keyed, progress
from rnfm.core.errors import DataError
from rnfm.downstream.lesions import Lesions
from rnfm.downstream.mrmr import MinimumRedundancy
from rnfm.downstream.protocol import Fit
from rnfm.downstream.tabular import Baseline, Learn, Rows, Scorer, chosen, grouped_folds, standardised

SETTINGS = {"binCount": 32, "label": 1, "force2D": False, "geometryTolerance": 1e-4}
SELECTED = 10


def features(lesions: Lesions, cache: Path) -> pd.DataFrame:
    """One row a lesion, 107 columns; NaN where a feature is not defined for so small a lesion."""
    rows: dict[int, dict[str, float | None]] = {}
    extract = None
    for row in progress.track(lesions.in_scan_order(), len(lesions), "radiomics", "lesions"):
        image, mask = lesions.box(row, margin=1)
        file = cache / f"{_key(image, mask, lesions.contract.spacing_mm)}.json"
        values = _cached(file)
        if values is None:
            extract = extract or _extractor()
            values = _extract(extract, image, mask, lesions.contract.spacing_mm)
            cache.mkdir(parents=True, exist_ok=True)
            files.write_json(file, values)
        rows[row] = values
    table = pd.DataFrame([rows[row] for row in range(len(lesions))], dtype=float)
    if table.empty:
        raise DataError("radiomics", "no lesion is large enough to be measured", "Check the masks with `rnfm data qc`")
    return table[sorted(table.columns)]  # one order, whether values come from the cache or not


def mrmr_svm(seed: int) -> Learn:
    """Ten features by minimum redundancy and maximum relevance, then an RBF SVM, calibrated on inner patient-grouped folds."""

    def learn(rows: Rows, fit: Fit) -> Scorer:
        from sklearn.calibration import CalibratedClassifierCV
        from sklearn.pipeline import make_pipeline
        from sklearn.svm import SVC

        svm = make_pipeline(
            standardised(rows.features), MinimumRedundancy(SELECTED), SVC(C=1.0, class_weight="balanced")
        )
        folds = grouped_folds(rows, keyed.seed64(seed, fit.protocol, fit.fold))
        model = CalibratedClassifierCV(svm, method="sigmoid", cv=folds, ensemble=False).fit(rows.features, rows.label)
        return lambda test: model.predict_proba(test.features)[:, 1]

    return learn


def _key(image: np.ndarray, mask: np.ndarray, spacing_mm: tuple[float, ...]) -> str:
    head = json.dumps([SETTINGS, metadata.version("pyradiomics-bhklab"), list(spacing_mm), list(image.shape)])
    content = hashlib.sha256(head.encode())
    content.update(np.ascontiguousarray(image, dtype="<f4").tobytes())
    content.update(np.packbits(mask).tobytes())
    return content.hexdigest()


def _cached(file: Path) -> dict[str, float | None] | None:
    try:
        values = json.loads(file.read_text())
    except (OSError, ValueError):  # not there, or damaged: computed again
        return None
    return values if isinstance(values, dict) else None


def _extractor() -> Any:
    import radiomics
    from radiomics.featureextractor import RadiomicsFeatureExtractor

    radiomics.setVerbosity(logging.CRITICAL)  # its warnings on small lesions are NaN in our table
    return RadiomicsFeatureExtractor(additionalInfo=False, **SETTINGS)


def _extract(
    extractor: Any, image: np.ndarray, mask: np.ndarray, spacing_mm: tuple[float, ...]
) -> dict[str, float | None]:
    """All features by name. SimpleITK's axes are the reverse of NumPy's, and so is the spacing."""
    import SimpleITK as sitk

    pair = []
    for array in (image.astype(np.float32), mask.astype(np.uint8)):
        volume = sitk.GetImageFromArray(array)
        volume.SetSpacing([float(mm) for mm in reversed(spacing_mm)])
        pair.append(volume)
    try:
        found = extractor.execute(*pair)
    except ValueError:  # one voxel, or one grey value: nothing can be measured
        return {}
    numbers = {name: float(value) for name, value in found.items()}
    return {name: value if np.isfinite(value) else None for name, value in numbers.items()}


BASELINE = Baseline(features, {"radiomics_mrmr_svm": mrmr_svm, "radiomics_l2": chosen(standardised)})
