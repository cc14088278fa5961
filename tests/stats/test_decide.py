"""Net benefit, risk-coverage and power by hand."""

import numpy as np
import pytest

from rnfm import stats
from rnfm.core.errors import ConfigError, DataError
from rnfm.stats.decide import power_auc

Y = [1, 1, 0, 0, 0]
P = [0.9, 0.4, 0.6, 0.2, 0.1]


def test_net_benefit_by_hand():
    # t = 0.5: one true, one false positive of five: 1/5 - 1/5 * 1; t = 0.25: 2/5 - 1/5 * 1/3.
    assert stats.net_benefit(Y, P, [0.5, 0.25]).tolist() == pytest.approx([0.0, 2 / 5 - 1 / 15])
    # Treating all at t = prevalence is worth nothing: that is what the odds mean.
    assert stats.net_benefit(Y, np.ones(5), 0.4)[0] == pytest.approx(0)
    with pytest.raises(ConfigError, match="thresholds: must lie in 0 <= t < 1"):
        stats.net_benefit(Y, P, [1.0])


def test_risk_coverage_by_hand():
    found = stats.risk_coverage([1, 0, 0, 1], [0.95, 0.1, 0.8, 0.45])
    # Confidences 0.45, 0.4, 0.3, 0.05; the third and the fourth are wrong.
    np.testing.assert_allclose(found.coverage, [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(found.risk, [0, 0, 1 / 3, 0.5])
    assert found.area == pytest.approx((0 + 0 + 1 / 3 + 1 / 2) / 4)


def test_equal_confidences_are_answered_together():
    found = stats.risk_coverage([1, 0, 1], [0.8, 0.8, 0.8])
    assert (found.coverage.tolist(), found.risk.tolist()) == ([1.0], [pytest.approx(1 / 3)])


def test_power_grows_with_n_and_is_the_level_where_there_is_nothing_to_find():
    powers = [power_auc(n, 2 * n, 0.75) for n in (5, 10, 20, 40)]
    assert powers == sorted(powers)
    assert power_auc(40, 40, 0.5) == pytest.approx(0.025)  # one tail of a two-sided test
    with pytest.raises(DataError, match="counts: are 0 positives and 5 negatives"):
        power_auc(0, 5, 0.7)
