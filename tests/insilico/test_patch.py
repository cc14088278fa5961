"""Calibration: what simple readers may learn from the simulated lesions, and what they may not.

The bands are those the cohort is built for: volume alone 0.55-0.65, mean intensity alone 0.45-0.60, clinical columns alone
0.55-0.70, the hidden trait >= 0.92; here they are widened by the standard error of an AUC of 400 lesions (0.03).
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from rnfm.insilico import render_patch

LESIONS, SE = 400, 0.03


def reading(index: int) -> dict[str, NDArray[np.float64]]:
    """What the readers see of one lesion."""
    patch = render_patch(0, "site_a", index, size_vox=20, voxel_mm=2.0)
    outlined = patch.mask_DHW > 0
    inside = patch.image_DHW[outlined] / patch.scanner.gain
    return {
        "label": np.array([patch.label]),
        "oracle": np.array([patch.traits.hidden]),
        "volume": np.array([np.log(outlined.sum())]),
        "mean": np.array([inside.mean()]),
        "clinical": np.array(list(patch.clinical.values())),
        "texture": texture(patch.image_DHW / patch.scanner.gain, outlined, patch.mask_DHW == 2),
    }


def texture(image: NDArray[np.float64], outlined: NDArray[np.bool_], dead: NDArray[np.bool_]) -> NDArray[np.float64]:
    """A small hand-made radiomics: spread of intensities, edges at two scales, necrotic share, raggedness of the outline."""
    inside = image[outlined]
    edges = [ndimage.gaussian_gradient_magnitude(image, sigma)[outlined].mean() for sigma in (0.7, 1.4)]
    spots = [ndimage.gaussian_laplace(image, sigma)[outlined].std() for sigma in (0.7, 1.4)]
    shell = outlined & ~ndimage.binary_erosion(outlined)
    shape = [shell.sum() / outlined.sum() ** (2 / 3), dead.sum() / outlined.sum(), np.log(outlined.sum())]
    centre = ndimage.center_of_mass(outlined)
    away = np.linalg.norm(np.argwhere(outlined) - centre, axis=1)
    profile = [np.corrcoef(away, inside)[0, 1], inside.mean(), inside.std(), *np.percentile(inside, (5, 25, 75, 95))]
    return np.array([*edges, *spots, *shape, *profile])


@pytest.fixture(scope="module")
def readings() -> dict[str, NDArray[np.float64]]:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        found = list(pool.map(reading, range(LESIONS), chunksize=20))
    return {name: np.stack([item[name] for item in found]) for name in found[0]}


def area(readings: dict[str, NDArray[np.float64]], name: str) -> float:
    """AUC of one number as it is, of several by cross-validated logistic regression."""
    label, values = readings["label"].ravel(), readings[name]
    if values.shape[1] > 1:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=2000))
        values = cross_val_predict(model, values, label, cv=10, method="predict_proba")[:, 1:]
    return float(roc_auc_score(label, values.ravel()))


@pytest.mark.parametrize(
    ("reader", "low", "high"),
    [
        ("volume", 0.55, 0.65),
        ("mean", 0.45, 0.60),
        ("clinical", 0.55, 0.70),
        ("texture", 0.65, 0.80),
    ],
)
def test_a_reader_reaches_its_band(
    readings: dict[str, NDArray[np.float64]], reader: str, low: float, high: float
) -> None:
    assert low - SE <= area(readings, reader) <= high + SE


def test_the_hidden_trait_tells_the_classes(readings: dict[str, NDArray[np.float64]]) -> None:
    assert area(readings, "oracle") >= 0.92


def test_prevalence(readings: dict[str, NDArray[np.float64]]) -> None:
    assert readings["label"].mean() == pytest.approx(0.40, abs=0.05)


def test_a_patch_is_its_site_alone() -> None:
    one, again, other = (render_patch(3, site, 5, size_vox=16, voxel_mm=3.0) for site in ("pool", "pool", "site_b"))
    assert np.array_equal(one.image_DHW, again.image_DHW)
    assert one.traits != other.traits
    assert all(size * step <= 48 + 1e-6 for size, step in zip(one.image_DHW.shape, one.spacing_mm, strict=True))
    assert set(np.unique(one.mask_DHW)) <= {0, 1, 2}
