"""Axes as Ray Tune samples them."""

from __future__ import annotations

from typing import Any

import pytest

from rnfm.sweep.space import Choices, Interval


def drawn(axis: Choices | Interval, count: int = 300) -> list[Any]:
    pytest.importorskip("ray")
    import numpy as np

    from rnfm.sweep.tune import domain

    return domain(axis, whole=False).sample(size=count, random_state=np.random.RandomState(0))


def test_whole_numbers_reach_both_ends() -> None:
    assert set(drawn(Interval(2, 4, whole=True))) == {2, 3, 4}
    assert set(drawn(Interval(1, 4, log=True, whole=True))) == {1, 2, 3, 4}


def test_a_log_scale_gives_each_decade_its_share() -> None:
    values = drawn(Interval(1e-4, 1.0, log=True))
    assert all(1e-4 <= value <= 1.0 for value in values)
    assert sum(value < 1e-2 for value in values) / len(values) == pytest.approx(0.5, abs=0.1)
    even = drawn(Interval(1e-4, 1.0))
    assert sum(value < 1e-2 for value in even) / len(even) < 0.05


def test_choices_are_drawn_or_tried_whole() -> None:
    from rnfm.sweep.tune import domain

    assert set(drawn(Choices(("a", "b")))) == {"a", "b"}
    assert domain(Choices(("a", "b")), whole=True) == {"grid_search": ["a", "b"]}
