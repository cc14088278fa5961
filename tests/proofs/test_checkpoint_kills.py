"""Proof: kill -9 while a checkpoint is being written, at a random moment, many times; what is resumed always verifies.

`make prove` runs it whole (200 kills; resumable: finished trials are kept in the JSON beside this file and not repeated);
`make test` runs the twin in tests/faults with 6. The writer is driven without DeepSpeed, so that a trial takes about a second.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rnfm.core.files import write_json
from rnfm.pretrain import checkpoint

TRIALS = int(os.environ.get("RNFM_PROOF_TRIALS", "200"))
RESULT = Path(__file__).with_suffix(".json")
WRITER = Path(__file__).parents[1] / "faults/checkpoint_writer.py"


@pytest.mark.timeout(3600)
def test_no_kill_of_the_writer_costs_the_last_good_checkpoint(tmp_path: Path) -> None:
    done = json.loads(RESULT.read_text()) if RESULT.exists() else {"trials": 0, "bad": 0, "stood": 0, "seed": 0}
    while done["trials"] < TRIALS:
        outcome = kill_once(tmp_path / str(done["trials"]), random.Random(done["trials"]).uniform(0, 0.4))
        done = {
            **done,
            "trials": done["trials"] + 1,
            "bad": done["bad"] + (outcome == "bad"),
            "stood": done["stood"] + (outcome == "stood"),
        }
        done["bad_rate_95_upper"] = 1 - 0.05 ** (1 / done["trials"]) if done["bad"] == 0 else None
        write_json(RESULT, done)
    assert done["bad"] == 0
    assert done["stood"] > 0.8 * done["trials"], "most kills came before the first checkpoint: they prove nothing"


def kill_once(folder: Path, delay_s: float) -> str:
    """'stood' if the newest checkpoint verifies after the kill, 'bad' if none or a damaged one is found, 'none' if none was due."""
    writer = subprocess.Popen([sys.executable, str(WRITER), str(folder)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    first = writer.stdout.readline().strip()  # the step of the first published checkpoint
    time.sleep(delay_s)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    if not first:
        return "none"
    try:
        newest, faults = checkpoint.newest(folder)
    except Exception:  # whatever keeps a run from resuming counts against us, foreseen or not
        return "bad"
    return "stood" if newest is not None and not faults and int(newest.name[5:]) >= int(first) else "bad"
