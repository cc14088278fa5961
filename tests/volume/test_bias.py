"""N4 takes away a field that we multiplied in, leaves contrast alone, and gives the same bits every time."""

from __future__ import annotations

import numpy as np
import pytest

from rnfm.core.contract import BiasRule
from rnfm.core.ledger import Reason
from rnfm.volume import ScanFault
from rnfm.volume.bias import log_field, without_bias

N4 = BiasRule(rule="n4", shrink=2, levels=3)


@pytest.fixture(scope="module")
def biased() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two tissues in a ball, the field (1 +- 0.4 from end to end) that spoils them, and where the ball is."""
    x, y, z = np.indices((40, 44, 40)) - np.array([20, 22, 20]).reshape(3, 1, 1, 1)
    head = x**2 + y**2 + z**2 < 17**2
    tissue = np.where(x**2 + y**2 + z**2 < 11**2, 400.0, 300.0) + np.random.default_rng(0).normal(0, 6, head.shape)
    field = 1 + 0.4 * x / 17
    return (head * tissue * field).astype(np.float32), np.where(head, field, 1), head


def spread(values: np.ndarray) -> float:
    return float(values.std() / values.mean())


def test_the_field_goes_and_the_contrast_stays(biased) -> None:
    raw, field, head = biased
    found = without_bias(raw, head, N4)
    core = np.sqrt(sum((axis - n / 2) ** 2 for axis, n in zip(np.indices(raw.shape), raw.shape, strict=True))) < 10
    assert found.dtype == np.float32
    assert spread(raw[core]) > 0.1
    assert spread(found[core]) < 0.03  # the noise alone is 0.015
    ratio = np.log(field[head]) - log_field(raw, head, N4)[head]
    assert ratio.std() < 0.04  # but for a gain, which no rule sees
    shell = head & ~core
    assert found[core].mean() / found[shell].mean() > 1.1
    assert (found[~head] == 0).all()


def test_the_same_bits_every_time_and_rule_none_does_nothing(biased) -> None:
    raw, _, head = biased
    assert without_bias(raw, head, N4).tobytes() == without_bias(raw, head, N4).tobytes()
    assert without_bias(raw, head, BiasRule()) is raw


def test_a_foreground_without_positive_values_is_refused(biased) -> None:
    raw, _, head = biased
    with pytest.raises(ScanFault, match="its foreground holds too few values above 0 for N4") as error:
        without_bias(raw - 1000, head, N4)
    assert error.value.reason is Reason.BIAS_FAILED
