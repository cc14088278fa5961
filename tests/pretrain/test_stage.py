"""Whole runs: learning, exact resume after SIGKILL, ranks and launchers, refusals."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from rnfm import foundation, pretrain
from rnfm.core.artifact import Artifact
from rnfm.core.errors import ConfigError, DataError, NoCheckpointError, RnfmError, StoppedEarly
from rnfm.core.run import RunFolder


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "foundation/model.safetensors")


def difference(a: Path, b: Path) -> float:
    one, other = weights(a), weights(b)
    assert one.keys() == other.keys()
    return max(float((one[key] - other[key]).abs().max()) for key in one)


def losses(out: Path) -> list[float]:
    return [row["train/loss"] for row in RunFolder(out).read_metrics() if "train/loss" in row]


def test_it_learns_and_leaves_what_it_should(settings, tmp_path: Path) -> None:
    config = settings(steps=40, validate_every=20)
    result = pretrain.run(config)
    curve = losses(config.out)
    assert len(curve) == 40
    assert curve[-1] < 0.8 * curve[0]
    assert result.metrics["val/loss"] < 0.8 * result.metrics["first_val/loss"]
    assert {"val/mean_intensity", "val/blurred_input"} <= set(result.metrics)
    assert sorted(p.name for p in config.out.iterdir()) == [
        "checkpoints", "config.resolved.yaml", "deepspeed.json", "env.json", "foundation", "logs", "metrics.jsonl"
    ]  # fmt: skip
    assert [p.name for p in sorted((config.out / "checkpoints").iterdir())] == ["step-00000036", "step-00000040"]
    model, _ = foundation.load(result.foundation)
    assert model.forward_features(torch.zeros(1, 1, 16, 16, 16)).cls_BE.shape == (1, 96)
    lineage = Artifact.open(result.foundation, "foundation").lineage
    assert lineage["patients"] == [f"P-{i:08X}" for i in range(10)]
    again = pretrain.run(config)
    assert not again.fresh
    assert "up to date" in again.summary()


def test_no_pickle_stands_in_a_run_folder(settings) -> None:
    config = settings()
    pretrain.run(config)
    names = {path.suffix for path in config.out.rglob("*") if path.is_file()}
    assert names <= {".json", ".jsonl", ".yaml", ".safetensors", ".log", ".md"}


def test_stop_and_go_equals_going_on(settings, tmp_path: Path) -> None:
    whole, parts = (
        settings(out=str(tmp_path / "whole")),
        settings(out=str(tmp_path / "parts"), max_steps=3, checkpoint_every=100),
    )
    pretrain.run(whole)
    with pytest.raises(StoppedEarly, match="stopped at step 3 of 8 with a checkpoint saved"):
        pretrain.run(parts)
    with pytest.raises(StoppedEarly, match="stopped at step 6 of 8"):
        pretrain.run(parts)
    pretrain.run(parts)
    assert difference(whole.out, parts.out) == 0.0
    assert losses(whole.out) == losses(parts.out)


@pytest.mark.slow
@pytest.mark.parametrize("zero", [1, 2, 3])
def test_each_zero_stage_resumes_exactly_and_agrees_with_stage_0(settings, tmp_path: Path, zero: int) -> None:
    plain, staged = (
        settings(out=str(tmp_path / "plain"), steps=6),
        settings(out=str(tmp_path / "staged"), steps=6, engine={"zero": zero}, max_steps=3),
    )
    pretrain.run(plain)
    with pytest.raises(StoppedEarly):
        pretrain.run(staged)
    pretrain.run(staged)
    whole = settings(out=str(tmp_path / "whole"), steps=6, engine={"zero": zero})
    pretrain.run(whole)
    assert difference(whole.out, staged.out) == 0.0
    assert difference(plain.out, staged.out) < 1e-5


def test_a_stage_may_change_between_starts(settings, tmp_path: Path) -> None:
    plain = settings(out=str(tmp_path / "plain"))
    pretrain.run(plain)
    for zero, stop in [(0, 3), (2, 3), (1, None)]:
        config = settings(out=str(tmp_path / "mixed"), engine={"zero": zero}, max_steps=stop)
        if stop:
            with pytest.raises(StoppedEarly):
                pretrain.run(config)
        else:
            pretrain.run(config)
    assert difference(plain.out, tmp_path / "mixed") < 1e-5


def test_bf16_with_accumulation_runs_and_resumes_exactly(settings, tmp_path: Path) -> None:
    settings_of = {"engine": {"zero": 1, "precision": "bf16"}, "accumulation": 2, "steps": 4}
    whole = settings(out=str(tmp_path / "whole"), **settings_of)
    parts = settings(out=str(tmp_path / "parts"), max_steps=2, **settings_of)
    pretrain.run(whole)
    with pytest.raises(StoppedEarly):
        pretrain.run(parts)
    pretrain.run(parts)
    assert difference(whole.out, parts.out) == 0.0


@pytest.mark.slow
def test_sigkill_in_mid_epoch_and_a_fresh_process_ends_with_the_same_weights(
    settings, launch, begin, tmp_path: Path
) -> None:
    whole = settings(out=str(tmp_path / "whole"), steps=60, checkpoint_every=3)
    killed = settings(out=str(tmp_path / "killed"), steps=60, checkpoint_every=3)
    assert launch(whole, launcher="alone").returncode == 0
    process = begin(killed)
    deadline = time.monotonic() + 120
    while len(losses(killed.out)) < 5 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    done = len(losses(killed.out))
    assert 5 <= done < 60, "the kill came too late to prove anything"
    assert not (killed.out / "foundation").exists()
    second = launch(killed, launcher="alone")
    assert second.returncode == 0, second.stderr
    assert "resumed from step-" in second.stderr
    assert difference(whole.out, killed.out) == 0.0
    assert losses(killed.out) == losses(whole.out)  # no step missing, none twice


@pytest.mark.slow
def test_two_ranks_under_torchrun_learn_what_one_rank_learns(settings, launch, tmp_path: Path) -> None:
    one, two = settings(out=str(tmp_path / "one"), steps=24), settings(out=str(tmp_path / "two"), steps=24)
    pretrain.run(one)
    finished = launch(two, ranks=2)
    assert finished.returncode == 0, finished.stderr[-3000:]
    curve = losses(two.out)
    assert curve[-1] < 0.8 * curve[0]
    assert difference(one.out, two.out) <= 1e-5
    assert (two.out / "logs/rank1.log").exists()


@pytest.mark.slow
def test_another_order_on_one_rank_is_noticed(settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail: other samples in half of each batch move the weights far more than 1e-5."""
    from rnfm.archive.order import EpochOrder

    one, shuffled = settings(out=str(tmp_path / "one"), steps=24), settings(out=str(tmp_path / "shuffled"), steps=24)
    pretrain.run(one)
    batch = EpochOrder.batch

    def other(self, step: int, **kwargs):
        indices = batch(self, step, **kwargs)
        half = len(indices) // 2
        indices[half:] = (indices[half:] + 1) % self.samples
        return indices

    monkeypatch.setattr(EpochOrder, "batch", other)
    pretrain.run(shuffled)
    assert difference(one.out, shuffled.out) > 1e-4


@pytest.mark.slow
def test_the_deepspeed_launcher_and_ranks_may_change_between_starts(settings, launch, tmp_path: Path) -> None:
    one = settings(out=str(tmp_path / "one"))
    pretrain.run(one)
    moved = settings(out=str(tmp_path / "moved"), max_steps=4)
    first = launch(moved, ranks=2, launcher="deepspeed")
    assert "stopped at step 4 of 8" in first.stderr + first.stdout, (first.stderr + first.stdout)[-3000:]
    pretrain.run(settings(out=str(tmp_path / "moved")))
    assert difference(one.out, moved.out) <= 1e-5


@pytest.mark.slow
def test_sigterm_saves_and_exits_75(settings, begin) -> None:
    config = settings(steps=5000, checkpoint_every=100000, validate_every=100000)
    process = begin(config)
    deadline = time.monotonic() + 120
    while len(losses(config.out)) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 75, error
    assert "with a checkpoint saved. Run the same command again to go on." in error
    assert len(list((config.out / "checkpoints").glob("step-*"))) == 1


def test_damaged_checkpoints_are_passed_over_and_if_none_is_left_nothing_is_touched(settings, tmp_path: Path) -> None:
    config = settings(max_steps=6, checkpoint_every=2, keep=3)
    with pytest.raises(StoppedEarly):
        pretrain.run(config)
    kept = sorted((config.out / "checkpoints").iterdir())
    assert [path.name for path in kept] == ["step-00000002", "step-00000004", "step-00000006"]
    _flip(kept[2] / "rank00000.safetensors")
    go_on = settings(checkpoint_every=100)
    pretrain.run(go_on)
    assert "passed over step-00000006" in (config.out / "logs/rank0.log").read_text()
    assert "resumed from step-00000004" in (config.out / "logs/rank0.log").read_text()
    whole = settings(out=str(tmp_path / "whole"))
    pretrain.run(whole)
    assert difference(whole.out, config.out) == 0.0

    (config.out / "foundation").rename(tmp_path / "aside")
    for path in (config.out / "checkpoints").iterdir():
        _flip(path / "state.json")
    before = sorted(os.walk(config.out))
    with pytest.raises(NoCheckpointError, match="none of 2 checkpoints verifies") as caught:
        pretrain.run(go_on)
    assert caught.value.exit_code == 5
    assert sorted(os.walk(config.out)) == before


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_changed_settings_that_change_the_result_are_refused_by_name(settings) -> None:
    with pytest.raises(StoppedEarly):
        pretrain.run(settings(max_steps=2))
    with pytest.raises(ConfigError, match="change the result: objective_options.mask_ratio, optim.lr"):
        pretrain.run(settings(optim={"lr": 1e-3}, objective_options={"mask_ratio": 0.5}))
    with pytest.raises(ConfigError, match="holds step-00000002 and --resume never was given"):
        pretrain.run(settings(resume="never"))
    pretrain.run(settings(overwrite=True, optim={"lr": 1e-3}))


def test_a_loss_that_is_not_finite_stops_before_any_weight_moves(settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from rnfm.pretrain import loop

    steps = []
    accumulate = loop.accumulate

    def poisoned(config, engine, *rest):
        loss, *others = accumulate(config, engine, *rest)
        if not hasattr(engine, "counted"):
            original, engine.counted = engine.step, True
            engine.step = lambda: (steps.append(1), original())
        return (float("nan") if len(steps) == 5 else loss, *others)

    monkeypatch.setattr(loop, "accumulate", poisoned)
    config = settings()
    with pytest.raises(RnfmError, match="step 6: the loss is not finite .* no rank has updated its weights"):
        pretrain.run(config)
    assert len(steps) == 5
    assert [path.name for path in (config.out / "checkpoints").iterdir()] == ["step-00000004"]


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"objective": "mea"}, ConfigError, "did you mean 'mae'"),
        ({"objective_options": {"mask_rato": 0.5}}, ConfigError, "did you mean 'mask_ratio'"),
        ({"model": {"patch": 5}}, ConfigError, "5 does not divide the crop"),
        ({"global_batch": 100}, DataError, "holds 64 training samples, fewer than one global batch of 100"),
        ({"global_batch": 9, "accumulation": 2}, ConfigError, "2 does not divide the global batch 9"),
        ({"resume": "nowhere"}, ConfigError, "resume: nowhere: no checkpoint folder here"),
    ],
)
def test_bad_settings_are_one_sentence(settings, changes, error, sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        pretrain.run(settings(**changes))


def test_bf16_with_stage_0_is_refused(settings) -> None:
    with pytest.raises(ValueError, match="use zero 1, which is the same mathematics"):
        settings(engine={"precision": "bf16"})


def test_everything_is_in_mlflow(settings, tmp_path: Path) -> None:
    from rnfm.tracking import FOUNDATION, client

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    config = settings(steps=6, max_steps=3, tracking={"enabled": True, "uri": uri})
    with pytest.raises(StoppedEarly):
        pretrain.run(config)
    result = pretrain.run(config)
    store = client(uri)
    runs = [run for e in store.search_experiments() for run in store.search_runs([e.experiment_id])]
    assert [run.info.run_id for run in runs] == [result.run_id]  # one run, continued
    assert [m.step for m in store.get_metric_history(result.run_id, "train/loss")] == [1, 2, 3, 4, 5, 6]
    version = store.search_model_versions(f"name='{FOUNDATION}'")[0]
    assert version.tags["digest"] == Artifact.open(result.foundation).digest
    assert version.run_id == result.run_id
