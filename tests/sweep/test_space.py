"""The space against the schema: what each way of writing means, and every fault on its sentence."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnfm.core.errors import ConfigError
from rnfm.sweep.space import Choices, Interval, Range, flat, points, resolve


@pytest.fixture
def base(toy: Any) -> Any:
    return toy.config_class()(journal="journal")


@pytest.mark.parametrize(
    ("written", "axis"),
    [
        ({"head.depth": [1, 3]}, Choices((1, 3))),
        ({"head.lr": ["1e-4", 0.1]}, Choices((0.0001, 0.1))),  # YAML 1.1 reads 1e-4 as text
        ({"head.depth": {"low": 2, "high": 8, "step": 3}}, Choices((2, 5, 8))),
        ({"head.lr": {"low": 0.1, "high": 0.3, "step": 0.1}}, Choices((0.1, 0.2, 0.3))),
        ({"head.depth": {"low": 1, "high": 8}}, Interval(1, 8, whole=True)),
        ({"head.lr": {"low": "1e-4", "high": 0.5, "log": True}}, Interval(1e-4, 0.5, log=True)),
        ({"head": {"lr": {"low": 0.1, "high": 0.5}}}, Interval(0.1, 0.5)),  # as --space.head.lr gives it
        ({"pooling": ["token", "mean"]}, Choices(("token", "mean"))),
        ({"options.scale": [1, 2]}, Choices((1.0, 2.0))),  # below a free mapping any name goes
        ({"head": [{"lr": 0.1}, {"depth": 3}]}, Choices(({"lr": 0.1, "depth": 2}, {"lr": 0.001, "depth": 3}))),
    ],
)
def test_each_way_of_writing_an_axis(base: Any, written: dict[str, Any], axis: Any) -> None:
    [found] = resolve(base, written).values()
    assert found == axis


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ({}, "it holds no key"),
        ({"head.lrr": [0.1]}, "'head.lrr' is not a key (did you mean 'head.lr'?)"),
        ({"out": ["a", "b"]}, "'out' changes no score"),
        ({"journal": ["a", "b"]}, "'journal' is fixed, so it cannot be searched"),
        ({"head.depth": 3}, "head.depth: neither a list of choices nor {low, high}, got 3"),
        ({"head.depth": []}, "head.depth: the list of choices is empty"),
        ({"head.depth": [3, "3"]}, "head.depth: lists 3 twice"),
        ({"head.depth": [1, 9]}, "head.depth: input should be less than or equal to 8, got 9"),
        ({"head.depth": {"low": 1, "high": 9}}, "head.depth: input should be less than or equal to 8, got 9"),
        ({"head.depth": {"low": 0.5, "high": 2}}, "head.depth: input should be a valid integer, got a number with a fractional part, got 0.5"),
        ({"head.lr": {"low": 0.2, "high": 0.1}}, "low must be smaller than high"),
        ({"head.lr": {"low": 0, "high": 0.1, "log": True}}, "a log scale needs low above 0"),
        ({"head.lr": {"low": 0.1, "high": 0.2, "log": True, "step": 1}}, "log and step exclude each other"),
        ({"head.lr": {"low": 0.1}}, "head.lr: 'high' is missing"),
        ({"head.lr": {"low": 0.1, "high": 0.2, "stepp": 1}}, "head.lr: 'stepp' is not a key (did you mean 'step'?)"),
        ({"flag": {"low": 0, "high": 1}}, "flag: takes no numbers, so it has no range; list its choices"),
        ({"pooling": {"low": 0, "high": 1}}, "pooling: input should be a valid string, got 0"),
    ],
)  # fmt: skip
def test_each_fault(base: Any, written: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(base, written, fixed=["journal"])
    assert fault in caught.value.cause


def test_all_faults_of_all_keys_at_once(base: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(base, {"head.depth": [0, 9], "pool": ["mean"], "out": ["x"]})
    assert caught.value.cause == (
        "4 faults in the space: head.depth: input should be greater than or equal to 1, got 0; "
        "head.depth: input should be less than or equal to 8, got 9; 'pool' is not a key (did you mean 'pooling'?); "
        "'out' changes no score"
    )


def test_points_of_a_space() -> None:
    assert points({"a": Choices((1, 2, 3)), "b": Choices((True, False))}) == 6
    assert points({"a": Choices((1, 2, 3)), "b": Interval(0, 1)}) is None


@given(st.integers(-50, 50), st.integers(1, 40), st.integers(0, 30), st.integers(1, 1000))
def test_steps_start_at_low_and_reach_high_where_they_can(low: int, step: int, count: int, scale: int) -> None:
    span = Range(low=low / scale, high=(low + step * count) / scale + 1e-12, step=step / scale)
    values = span.stepped()
    assert len(values) == count + 1
    assert values == pytest.approx([(low + i * step) / scale for i in range(count + 1)])


def test_flat_keeps_ranges_and_free_values_whole() -> None:
    tree = {"a": {"b": {"low": 1, "high": 2}, "c": [1]}, "d": {}}
    assert dict(flat(tree)) == {"a.b": {"low": 1, "high": 2}, "a.c": [1], "d": {}}
