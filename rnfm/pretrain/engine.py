"""DeepSpeed behind two questions: what does the generated JSON say, and what is the state of each parameter?

Canonical state: for every parameter its fp32 master weight, the two moments and the step count, whole and by name. It is
read and written through DeepSpeed's own accessors (plain optimiser state at ZeRO 0), so that a checkpoint does not know
how many ranks or which ZeRO stage wrote it. The accessors are collective: every rank walks the parameters in one order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rnfm.core.errors import ConfigError
from rnfm.pretrain.config import PretrainConfig

if TYPE_CHECKING:
    import torch
    from torch import nn

MOMENTS = ("exp_avg", "exp_avg_sq")
_NO_DECAY = ("position", "token", "bias")


def micro_batch(global_batch: int, accumulation: int, world_size: int) -> int:
    """Samples a forward pass on one rank. Raises ConfigError with the nearest world sizes that divide."""
    if global_batch % accumulation:
        raise ConfigError(
            "accumulation", f"{accumulation} does not divide the global batch {global_batch}", "Choose a divisor"
        )
    share = global_batch // accumulation
    if share % world_size == 0:
        return share // world_size
    valid = [n for n in range(1, share + 1) if share % n == 0]
    near = [n for n in valid if n < world_size][-1:] + [n for n in valid if n > world_size][:1]
    raise ConfigError(
        f"world size {world_size}",
        f"does not divide the {share} samples of a micro-step (global batch {global_batch} / accumulation {accumulation})",
        f"Start with {' or '.join(map(str, near))} processes, or change the global batch (which changes the result)",
    )


def deepspeed_json(config: PretrainConfig, world_size: int) -> dict[str, Any]:
    """The DeepSpeed configuration; written into the run folder, never edited by hand."""
    return {
        "train_batch_size": config.global_batch,
        "train_micro_batch_size_per_gpu": micro_batch(config.global_batch, config.accumulation, world_size),
        "gradient_accumulation_steps": config.accumulation,
        "gradient_clipping": config.optim.clip,
        "bf16": {"enabled": config.engine.precision == "bf16"},
        "zero_optimization": {"stage": config.engine.zero},
        # Our own torch AdamW: DeepSpeed's would be compiled on the spot.
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "steps_per_print": 2**31,
    }


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Two groups: matrices with decay; norms, biases, positions and tokens without."""
    decay: list[Any] = []
    plain: list[Any] = []
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            spared = parameter.ndim < 2 or any(word in name.rsplit(".", 1)[-1] for word in _NO_DECAY)
            (plain if spared else decay).append(parameter)
    return [{"params": decay, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]


def build(config: PretrainConfig, module: nn.Module, world_size: int) -> Any:
    """A DeepSpeed engine around `module` with torch's AdamW."""
    import deepspeed
    import torch

    groups = parameter_groups(module, config.optim.weight_decay)
    optimizer = torch.optim.AdamW(groups, lr=config.optim.lr, betas=config.optim.betas, fused=torch.cuda.is_available())
    engine, *_ = deepspeed.initialize(
        model=module, optimizer=optimizer, config=deepspeed_json(config, world_size), dist_init_required=False
    )
    return engine


def set_lr(engine: Any, lr: float) -> None:
    for group in engine.optimizer.param_groups:
        group["lr"] = lr


def read_state(engine: Any) -> Iterator[tuple[str, dict[str, torch.Tensor]]]:
    """(name, {"weight", "exp_avg", "exp_avg_sq"}) of each parameter, whole, fp32, on the CPU. Collective."""
    from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state

    _link_moments(engine)
    for name, parameter in engine.module.named_parameters():
        if not parameter.requires_grad:
            continue
        if engine.zero_optimization_stage() == 0:
            state = engine.optimizer.state[parameter]
            found = {"weight": parameter.data, **{moment: state[moment] for moment in MOMENTS}}
        else:
            found = {"weight": safe_get_full_fp32_param(parameter)}
            found |= {moment: safe_get_full_optimizer_state(parameter, moment) for moment in MOMENTS}
        yield name, {key: value.detach().to("cpu", copy=True).float().contiguous() for key, value in found.items()}


def read_weights(engine: Any) -> dict[str, torch.Tensor]:
    """Master weights and buffers by name, whole, fp32, on the CPU. Collective."""
    from deepspeed.utils import safe_get_full_fp32_param

    stage = engine.zero_optimization_stage()
    weights = {}
    for name, parameter in engine.module.named_parameters():
        whole = parameter.data if stage == 0 or not parameter.requires_grad else safe_get_full_fp32_param(parameter)
        weights[name] = whole.detach().to("cpu", copy=True).float()
    return weights


def write_state(engine: Any, state: dict[str, dict[str, torch.Tensor]], step: int) -> None:
    """Set every parameter's weight, moments and step count in a fresh engine. Collective."""
    import deepspeed
    import torch
    from deepspeed.utils import safe_set_full_fp32_param, safe_set_full_optimizer_state

    stage = engine.zero_optimization_stage()
    _make_optimizer_state(engine, step)
    for name, parameter in engine.module.named_parameters():
        if not parameter.requires_grad:
            continue
        saved = state[name]
        if stage == 0:
            parameter.data.copy_(saved["weight"])
            own = engine.optimizer.state[parameter]
            for moment in MOMENTS:
                own[moment].copy_(saved[moment])
            continue
        safe_set_full_fp32_param(parameter, saved["weight"])
        for moment in MOMENTS:
            safe_set_full_optimizer_state(parameter, saved[moment], moment)
        # The setter touches the master only; the module's own copy would keep the old weights.
        if stage == 3:
            with deepspeed.zero.GatheredParameters([parameter], modifier_rank=0), torch.no_grad():
                parameter.data.copy_(saved["weight"])
        else:
            parameter.data.copy_(saved["weight"])


def _make_optimizer_state(engine: Any, step: int) -> None:
    """A fresh optimiser has no state before its first step: make zeros where DeepSpeed's accessors expect them."""
    import torch

    stage = engine.zero_optimization_stage()
    outer = engine.optimizer
    if stage == 0:
        owners = [parameter for group in outer.param_groups for parameter in group["params"]]
        states = outer.state
    else:
        partitions = outer.single_partition_of_fp32_groups if stage < 3 else outer.fp32_partitioned_groups_flat
        owners, states = list(partitions), outer.optimizer.state
    for owner in owners:
        states[owner] = {
            "step": torch.tensor(float(step)),
            **{moment: torch.zeros_like(owner.data) for moment in MOMENTS},
        }
    _link_moments(engine)


def _link_moments(engine: Any) -> None:
    """At stages 1-2, let the accessors see the moments of every parameter group.

    DeepSpeed links them after the first group's first step, when the groups behind it have none yet, and never again.
    """
    if engine.zero_optimization_stage() in (1, 2):
        engine.optimizer._hp_optimizer_states_linked = False
        engine.optimizer._lazy_init_hp_params_optimizer_state()
