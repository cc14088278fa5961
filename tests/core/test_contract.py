"""The input contract: old ones load, and each difference in what voxels mean is a sentence."""

from __future__ import annotations

import pytest

from rnfm.core.config import from_dict
from rnfm.core.contract import BiasRule, BrainRule, InputContract, IntensityRule

OLD = {  # as the first releases wrote it
    "axes": "RAS",
    "spacing_mm": [1.0, 1.0, 1.0],
    "intensity": {"rule": "zscore", "low": 0.5, "high": 99.5, "clip": 5.0},
    "channels": ["t1ce"],
    "crop": None,
}
LANDMARKS = tuple(n / 10 for n in range(11))


def test_an_old_contract_loads_and_equals_the_defaults() -> None:
    old = from_dict(InputContract, OLD)
    assert old == InputContract()
    assert old.differences(InputContract()) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"bias": BiasRule(rule="n4")}, "bias is {'rule': 'n4', 'shrink': 4, 'levels': 4, 'iterations': 50, "),
        ({"brain": BrainRule(rule="mask")}, "brain is {'rule': 'mask', 'program': ''}, expected {'rule': 'none', "),
        ({"brain": BrainRule(rule="command", program="hd-bet")}, "brain is {'rule': 'command', 'program': 'hd-bet'}"),
        ({"intensity": IntensityRule(rule="nyul", landmarks=LANDMARKS)}, "intensity is {'rule': 'nyul', "),
        ({"spacing_mm": (1, 1, 2)}, "spacing_mm is (1.0, 1.0, 2.0), expected (1.0, 1.0, 1.0)"),
    ],
)
def test_each_difference_is_named(change: dict, sentence: str) -> None:
    other = InputContract(**change)
    [found] = InputContract().differences(other)
    assert found.startswith(sentence)
    assert from_dict(InputContract, other.as_dict()) == other


def test_other_landmarks_are_another_rule() -> None:
    ours = IntensityRule(rule="nyul", landmarks=LANDMARKS)
    theirs = IntensityRule(rule="nyul", landmarks=tuple(x**2 for x in LANDMARKS))
    assert len(InputContract(intensity=ours).differences(InputContract(intensity=theirs))) == 1


def test_channels_and_crop_are_no_difference() -> None:
    assert InputContract().differences(InputContract(channels=("t1ce", "mask"), crop=(96, 96, 96))) == []
