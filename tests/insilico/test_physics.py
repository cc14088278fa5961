"""The signal equation against hand-computed values, and the statistics of magnitude noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnfm.insilico import physics


def signal_by_hand(t1_s: float, pd: float, contrast_mm: float, tr_s: float, flip_deg: float) -> float:
    """The steady state of a spoiled sequence by running it: tip, read, relax, until nothing changes."""
    r1 = 1 / t1_s + 4.3 * contrast_mm
    along = pd
    for _ in range(20_000):
        along_after_tip = along * math.cos(math.radians(flip_deg))
        along = pd + (along_after_tip - pd) * math.exp(-tr_s * r1)
    return along * math.sin(math.radians(flip_deg))


@pytest.mark.parametrize("contrast_mm", [0.0, 0.2, 1.0, 5.0])
@pytest.mark.parametrize("tissue", [physics.WHITE, physics.CSF, physics.TUMOUR, physics.NECROSIS])
@pytest.mark.parametrize(("tr_ms", "flip_deg"), [(5.0, 10.0), (8.2, 20.0), (28.0, 30.0)])
def test_signal_is_the_steady_state_of_the_sequence(
    tissue: physics.Tissue, contrast_mm: float, tr_ms: float, flip_deg: float
) -> None:
    expected = signal_by_hand(tissue.t1_s, tissue.pd, contrast_mm, tr_ms / 1000, flip_deg)
    found = float(physics.Sequence(tr_ms, flip_deg).signal(tissue.t1_s, tissue.pd, contrast_mm))
    assert found == pytest.approx(expected, rel=2e-4)


def test_white_matter_by_pocket_calculator() -> None:
    # TR 8.2 ms, 20 deg, T1 0.85 s, PD 0.70: E1 = exp(-0.0082 / 0.85) = 0.990399
    # S = 0.70 * 0.342020 * 0.009601 / (1 - 0.939693 * 0.990399) = 0.0022986 / 0.0693289 = 0.033155
    assert physics.Sequence(8.2, 20.0).of(physics.WHITE) == pytest.approx(0.033155, rel=1e-3)


def test_shorter_t1_of_the_lower_field_is_brighter() -> None:
    assert physics.Sequence(8.0, 20.0, 0.8).of(physics.WHITE) == pytest.approx(
        float(physics.Sequence(8.0, 20.0).signal(0.85 * 0.8, 0.70)), rel=1e-6
    )


@given(target=st.floats(0.02, 0.2))
def test_dose_reaches_its_target(target: float) -> None:
    sequence = physics.Sequence(8.0, 20.0)
    dose_mm = physics.solve_dose(lambda dose: float(sequence.signal(1.3, 0.88, dose)), target)
    reached = float(sequence.signal(1.3, 0.88, dose_mm))
    assert reached == pytest.approx(max(target, sequence.of(physics.TUMOUR)), rel=1e-3)


@pytest.mark.parametrize(("target", "dose_mm"), [(1e9, 12.0), (-1.0, 0.0)])
def test_dose_out_of_reach_is_the_nearer_end(target: float, dose_mm: float) -> None:
    assert physics.solve_dose(lambda dose: dose, target) == pytest.approx(dose_mm, abs=1e-3)


def test_rician_moments() -> None:
    rng = np.random.default_rng(0)
    sigma, amplitude = 0.3, 1.1
    empty = physics.add_rician(np.zeros(400_000, np.float32), sigma, rng)
    assert empty.mean() == pytest.approx(sigma * math.sqrt(math.pi / 2), rel=0.005)  # Rayleigh
    assert empty.var() == pytest.approx(sigma**2 * (2 - math.pi / 2), rel=0.01)
    full = physics.add_rician(np.full(400_000, amplitude, np.float32), sigma, rng).astype(np.float64)
    assert (full**2).mean() == pytest.approx(amplitude**2 + 2 * sigma**2, rel=0.005)
    fourth = amplitude**4 + 8 * sigma**2 * amplitude**2 + 8 * sigma**4
    assert (full**4).mean() == pytest.approx(fourth, rel=0.01)
