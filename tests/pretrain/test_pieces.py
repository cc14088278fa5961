"""Schedules, batch arithmetic, the generated DeepSpeed JSON, parameter groups."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from rnfm.core.errors import ConfigError
from rnfm.pretrain.config import PretrainConfig
from rnfm.pretrain.engine import deepspeed_json, micro_batch, parameter_groups
from rnfm.pretrain.schedule import warmup_cosine


def test_warmup_cosine_by_hand() -> None:
    values = [warmup_cosine(step, steps=6, peak=1.0, floor=0.1, warmup=0.34) for step in range(6)]
    expected = [0.5, 1.0] + [0.1 + 0.45 * (1 + math.cos(math.pi * i / 3)) for i in range(4)]
    assert values == pytest.approx(expected)
    assert values[-1] == pytest.approx(0.1)


@given(st.integers(1, 500), st.floats(0, 0.99))
def test_the_schedule_stays_between_floor_and_peak(steps: int, warmup: float) -> None:
    values = [warmup_cosine(step, steps=steps, peak=1.0, floor=0.0, warmup=warmup) for step in range(steps)]
    assert all(0 <= value <= 1 for value in values)


@given(st.integers(1, 64), st.integers(1, 8), st.integers(1, 32))
def test_batch_arithmetic_is_exact_or_refused_with_a_world_that_works(
    share: int, accumulation: int, world: int
) -> None:
    total = share * accumulation
    try:
        assert micro_batch(total, accumulation, world) * accumulation * world == total
    except ConfigError as error:
        assert share % world != 0
        named = [int(word) for word in error.mend.split("processes")[0].split() if word.isdigit()]
        assert named
        assert all(share % n == 0 for n in named)


def test_deepspeed_json_follows_the_configuration() -> None:
    config = PretrainConfig.model_validate(
        {"shards": "s", "global_batch": 24, "accumulation": 2, "engine": {"zero": 2, "precision": "bf16"}}
    )
    generated = deepspeed_json(config, world_size=3)
    assert (
        generated["train_batch_size"],
        generated["train_micro_batch_size_per_gpu"],
        generated["gradient_accumulation_steps"],
    ) == (24, 4, 2)
    assert generated["zero_optimization"] == {"stage": 2}
    assert generated["bf16"] == {"enabled": True}


def test_norms_biases_tokens_and_positions_do_not_decay() -> None:
    class Toy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.norm = nn.Linear(3, 2), nn.LayerNorm(2)
            self.cls_token = nn.Parameter(self.linear.weight.new_zeros(1, 1, 2))
            self.position = nn.Parameter(self.linear.weight.new_zeros(4, 2))

    toy = Toy()
    decay, plain = parameter_groups(toy, 0.1)
    assert [id(p) for p in decay["params"]] == [id(toy.linear.weight)]
    assert (len(plain["params"]), decay["weight_decay"], plain["weight_decay"]) == (5, 0.1, 0.0)


def test_what_may_differ_between_starts() -> None:
    base = PretrainConfig.model_validate({"shards": "s"})
    moved = PretrainConfig.model_validate(
        {"shards": "elsewhere", "out": "x", "engine": {"zero": 3}, "max_steps": 5, "keep": 9}
    )
    other = PretrainConfig.model_validate({"shards": "s", "seed": 1, "engine": {"zero": 1, "precision": "bf16"}})
    assert moved.changed_results(base.as_dict()) == []
    assert other.changed_results(base.as_dict()) == ["engine.precision", "seed"]
