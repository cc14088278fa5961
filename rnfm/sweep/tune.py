"""Ray Tune at work: the space in its terms, trials side by side, one line on standard error as each ends.

Imported only inside `cluster.connected`: Ray reads some of its settings at its import.
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.experiment import Trial as RayTrial
from ray.tune.search.basic_variant import BasicVariantGenerator

from rnfm.core.errors import RnfmError
from rnfm.sweep.config import SweepConfig
from rnfm.sweep.result import Trial, settings
from rnfm.sweep.space import Choices, Interval, Space
from rnfm.sweep.trial import METRIC, Task, number_of, plain, trainable


def fit(config: SweepConfig, task: Task, space: Space, *, whole: bool, storage: Path) -> list[Trial]:
    """Run all trials and return them by number; a failed one does not stop the others. Tune's own files go to `storage`."""
    lines = _Lines()
    tuner = tune.Tuner(
        tune.with_resources(trainable(task), {"cpu": 1}),
        param_space={key: domain(axis, whole=whole) for key, axis in space.items()},
        tune_config=tune.TuneConfig(
            num_samples=1 if whole else config.trials,
            max_concurrent_trials=config.parallel,
            reuse_actors=True,  # a process' start and its imports cost seconds, once a slot instead of once a trial
            search_alg=BasicVariantGenerator(random_state=config.seed),
            trial_dirname_creator=lambda trial: trial.trial_id,  # by default it spells out every value
        ),
        run_config=tune.RunConfig(name="tune", storage_path=str(storage), verbose=0, callbacks=[lines]),
    )
    with contextlib.redirect_stdout(io.StringIO()):  # a thread of Ray's speaks there; it is for the summary
        results = tuner.fit()
    if len(results) != len(lines.trials):
        raise RnfmError(
            "Ray Tune", f"started {len(results)} trials and ended {len(lines.trials)}", "Run the sweep again"
        )
    return sorted(lines.trials, key=lambda trial: trial.number)


def domain(axis: Choices | Interval, *, whole: bool) -> Any:
    """An axis as Tune samples it. Tune's integer ranges leave their upper end out, ours hold it."""
    if isinstance(axis, Choices):
        return tune.grid_search(list(axis.values)) if whole else tune.choice(list(axis.values))
    if axis.whole:
        low, beyond = int(axis.low), int(axis.high) + 1
        return tune.lograndint(low, beyond) if axis.log else tune.randint(low, beyond)
    return tune.loguniform(axis.low, axis.high) if axis.log else tune.uniform(axis.low, axis.high)


class _Lines(tune.Callback):
    """Collects trials as they end and says so."""

    def __init__(self) -> None:
        self.trials: list[Trial] = []

    def on_trial_complete(self, iteration: int, trials: list[RayTrial], trial: RayTrial, **info: Any) -> None:
        last = trial.last_result
        score = last[METRIC] if last["error"] is None else None
        self._add(Trial(number_of(trial.trial_id), plain(trial.config), score, last["seconds"], last["error"]), trials)

    def on_trial_error(self, iteration: int, trials: list[RayTrial], trial: RayTrial, **info: Any) -> None:
        # Only a process that dies gets here: whatever a trial raises, it reports itself.
        cause = "its process died without a word, most often for lack of memory"
        self._add(Trial(number_of(trial.trial_id), plain(trial.config), None, None, cause), trials)

    def _add(self, ended: Trial, known: Sequence[RayTrial]) -> None:
        self.trials.append(ended)
        outcome = f"failed: {ended.error}" if ended.score is None else f"score {ended.score:.4f}"
        best = max((trial.score for trial in self.trials if trial.score is not None), default=None)
        took = "" if ended.seconds is None else f", {ended.seconds:.0f} s"
        so_far = "" if best is None else f", best {best:.4f}"
        print(
            f"trial {ended.number}: {outcome}{took} ({settings(ended.values)}){so_far}",
            file=sys.stderr,
            flush=True,
        )
