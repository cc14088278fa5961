"""Landmarks: worked out by hand, fitted on training patients only, travelling along, the same for another centre."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnfm.core.artifact import publish
from rnfm.core.contract import InputContract, IntensityRule
from rnfm.core.errors import ConfigError, DataError
from rnfm.volume import PrepareConfig, VolumeArchive, prepare, prepare_one
from rnfm.volume.intensity import apply_intensity, fit_intensity, undo_intensity
from rnfm.volume.landmarks import fit_landmarks

RULE = {"rule": "nyul", "low": 1, "high": 99}
RISING = st.lists(st.floats(0, 1000), min_size=11, max_size=11, unique=True).map(sorted)


def write_split(path: Path, roles: dict[str, str]) -> Path:
    with publish(path, "split", 1, contract={}, lineage={"config_hash": "x", "inputs": {}}) as draft:
        table = pa.table({"patient": list(roles), "role": list(roles.values())})
        parquet.write_table(table, draft.path / "split.parquet")
    return path


def test_landmarks_by_hand() -> None:
    # The first scan's percentiles lie at 0, .1, ... 1 of its range, the second's (another gain and offset) at their squares.
    line, square = np.linspace(0, 1, 11), np.linspace(0, 1, 11) ** 2
    found = fit_landmarks([line * 300 + 20, square * 5000 - 40])
    np.testing.assert_allclose(found, (line + square) / 2, atol=1e-12)
    assert fit_landmarks([line, [5.0] * 11]) == fit_landmarks([line])  # a flat scan teaches nothing
    with pytest.raises(ValueError, match="no scan has a foreground that varies"):
        fit_landmarks([[5.0] * 11])
    with pytest.raises(ValueError, match="no scan"):
        fit_landmarks([])


@settings(max_examples=40, deadline=None)
@given(st.lists(RISING, min_size=1, max_size=5), st.floats(0.01, 100), st.floats(-500, 500))
def test_they_rise_from_0_to_1_and_know_no_gain(vectors: list[list[float]], gain: float, offset: float) -> None:
    found = fit_landmarks(vectors)
    assert found[-1] == 1
    assert found[0] == 0
    assert (np.diff(found) > 0).all()
    IntensityRule(rule="nyul", landmarks=found)  # what a contract accepts
    louder = [[value * gain + offset for value in vector] for vector in vectors]
    np.testing.assert_allclose(fit_landmarks(louder), found, atol=1e-3)


def test_a_scan_goes_along_them_and_back() -> None:
    landmarks = tuple(np.linspace(0, 1, 11) ** 2)
    rule = IntensityRule(rule="nyul", low=0, high=100, landmarks=landmarks)
    values = np.arange(101, dtype=np.float32).reshape(1, 1, 101)  # percentiles are the values themselves
    found = fit_intensity(values, rule)
    assert list(found) == ["low", *(f"d{n}" for n in range(1, 10)), "high"]
    assert found["d3"] == pytest.approx(30)
    mapped = apply_intensity(values, found, rule)
    np.testing.assert_allclose(mapped[0, 0, [0, 30, 35, 100]], [0, 0.09, 0.125, 1], atol=1e-6)
    np.testing.assert_allclose(apply_intensity(values * 5 - 200, found, rule).ravel()[[0, 100]], [0, 1])
    np.testing.assert_allclose(undo_intensity(mapped, found, rule), values, atol=1e-3)


def test_equal_percentiles_do_no_harm() -> None:
    rule = IntensityRule(rule="nyul", landmarks=tuple(np.linspace(0, 1, 11)))
    flat = np.full((2, 3, 4), 7, np.float32)
    assert np.isfinite(apply_intensity(flat, fit_intensity(flat, rule), rule)).all()


def nyul(cohort, **more) -> PrepareConfig:
    out = cohort.path.parent / more.pop("name", "volumes")
    return PrepareConfig(**({"cohort": cohort.path, "out": out, "spacing_mm": (3, 3, 3), "intensity": RULE} | more))


def test_prepare_fits_on_training_patients_only(make_cohort: Callable, save, head_arrays, tmp_path: Path) -> None:
    cohort = make_cohort(4)
    # A patient who would spoil the fit, were it looked at: brightness of another shape.
    save(cohort.images[3], np.square(head_arrays(3)[0].astype(np.float32)))
    roles = {f"P-{i:08X}": "train" if i < 3 else "external" for i in range(4)}
    split = write_split(tmp_path / "split", roles)
    archive = VolumeArchive.open(prepare(nyul(cohort, fit_on=split)).path)
    vectors = [fit_intensity(undo_free(path), IntensityRule(**RULE)).values() for path in cohort.images[:3]]
    expected = fit_landmarks([list(vector) for vector in vectors])
    np.testing.assert_allclose(archive.contract.intensity.landmarks, expected, atol=1e-9)
    assert archive.artifact.lineage["inputs"]["split"]
    attributes = json.loads((archive.artifact.path / "volumes.zarr" / "zarr.json").read_text())["attributes"]
    assert attributes["intensity"]["landmarks"] == list(archive.contract.intensity.landmarks)
    again = prepare(nyul(cohort, fit_on=split))
    assert not again.fresh
    # One scan alone, as `predict` prepares it, and another centre by the same landmarks: the same voxels.
    alone = prepare_one(cohort.images[3], None, archive.contract)
    stored = archive.image(cohort.codes[3])
    np.testing.assert_array_equal(alone.image.astype(np.float16).astype(np.float32), stored)
    other = prepare(nyul(cohort, landmarks_from=archive.artifact.path, name="elsewhere"))
    assert VolumeArchive.open(other.path).contract == archive.contract
    np.testing.assert_array_equal(VolumeArchive.open(other.path).image(cohort.codes[3]), stored)


def undo_free(path: Path) -> np.ndarray:
    """The raw foreground of a scan on the canonical grid, by the steps before the rule."""
    from rnfm.volume.single import canonical

    found = canonical(path, None, InputContract(spacing_mm=(3, 3, 3)))
    return found.data[found.head]


def test_what_is_refused(make_cohort: Callable, tmp_path: Path) -> None:
    cohort = make_cohort(2)
    strangers = write_split(tmp_path / "split", {"P-FFFFFFFF": "train", "P-00000000": "holdout"})
    cases = {
        r"rule nyul needs landmarks\. Give --fit-on SPLIT .* or --landmarks-from ARCHIVE": {},
        r"rule nyul needs landmarks, from one source": {"fit_on": strangers, "landmarks_from": strangers},
        r"none of its training patients is in this cohort": {"fit_on": strangers},
        r"is given, but intensity rule zscore has no landmarks": {"fit_on": strangers, "intensity": {"rule": "zscore"}},
    }
    for sentence, more in cases.items():
        with pytest.raises(ConfigError, match=sentence):
            prepare(nyul(cohort, **more))
    plain = prepare(nyul(cohort, intensity={"rule": "zscore"}, name="plain"))
    with pytest.raises(ConfigError, match=r"holds no landmarks \(its intensity rule is not nyul\)"):
        prepare(nyul(cohort, landmarks_from=plain.path))
    with pytest.raises(ConfigError, match=r"intensity: rule nyul has no landmarks"):
        prepare_one(cohort.images[0], None, InputContract(intensity=IntensityRule(rule="nyul")))
    for image in cohort.images:
        image.write_bytes(b"")
    ours = write_split(tmp_path / "ours", {"P-00000000": "train"})
    with pytest.raises(DataError, match=r"none of 1 training scans can be used to fit landmarks \(1 corrupt\)"):
        prepare(nyul(cohort, fit_on=ours))


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ({"rule": "zscore", "landmarks": [0, 1]}, "landmarks belong to rule nyul, not to zscore"),
        ({"rule": "nyul", "landmarks": [0, 1]}, "must be 11 rising numbers"),
        ({"rule": "nyul", "landmarks": [0.5] * 11}, "must be 11 rising numbers"),
        ({"rule": "nyul", "low": 20}, "needs low below 10 and high above 90"),
    ],
)
def test_rules_that_contradict_themselves(rule: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        IntensityRule(**rule)
