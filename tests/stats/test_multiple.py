"""Holm's procedure against R."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnfm import stats
from rnfm.core.errors import DataError


def test_equal_to_r():
    # > p.adjust(c(0.01, 0.02, 0.03, 0.04, 0.05), "holm")  [1] 0.05 0.08 0.09 0.09 0.09
    assert stats.holm([0.01, 0.02, 0.03, 0.04, 0.05]).tolist() == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])
    # > p.adjust(c(0.5, 0.001, 0.3), "holm")  [1] 0.600 0.003 0.600
    assert stats.holm([0.5, 0.001, 0.3]).tolist() == pytest.approx([0.6, 0.003, 0.6])


def test_a_test_that_was_not_made_is_not_in_the_family():
    np.testing.assert_allclose(stats.holm([0.02, np.nan, 0.03]), [0.04, np.nan, 0.04])
    with pytest.raises(DataError, match=r"p: holds values outside 0\.\.1"):
        stats.holm([1.2])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_never_smaller_never_out_of_order(p):
    adjusted = stats.holm(p)
    assert np.all(adjusted >= np.array(p))
    assert np.all(adjusted <= 1)
    order = np.argsort(p, kind="stable")
    assert np.all(np.diff(adjusted[order]) >= 0)
