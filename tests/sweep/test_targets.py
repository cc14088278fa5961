"""The registry of targets names things that exist, and the configuration offers exactly those."""

from __future__ import annotations

import typing

import pytest

from rnfm.core.config import Config, fields
from rnfm.sweep import SweepConfig
from rnfm.sweep.space import UNSCORED
from rnfm.sweep.targets import TARGETS


def test_the_command_line_offers_the_registry() -> None:
    assert typing.get_args(SweepConfig.model_fields["target"].annotation) == tuple(TARGETS)


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_can_be_imported(name: str) -> None:
    config_class = TARGETS[name].config_class()
    assert issubclass(config_class, Config)
    assert callable(TARGETS[name].score_function())
    assert {"out", "overwrite"} <= {key for key, _ in fields(config_class)} & set(UNSCORED)
