"""Named one-line mutations of the source, each with the test that must fail: proof that the tests can fail.

    make mutate                      all of them
    python tests/mutations.py NAME   one

Each mutation is applied to a copy of the tree in a temporary folder; the checkout is never touched. A mutation whose test
still passes "survives", and the command exits with 1.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Mutation:
    name: str
    file: str
    old: str
    new: str
    test: str


MUTATIONS: tuple[Mutation, ...] = (
    Mutation(
        "artifact-skips-content",
        "rnfm/core/artifact.py",
        "elif (deep or name in HEADS) and files.sha256(file)",
        "elif name in HEADS and files.sha256(file)",
        "tests/core/test_artifact.py::test_each_damage_is_found",
    ),
    Mutation(
        "artifact-leaves-halves",
        "rnfm/core/artifact.py",
        "        shutil.rmtree(draft.path, ignore_errors=True)",
        "        pass",
        "tests/core/test_artifact.py::test_an_exception_leaves_nothing",
    ),
    Mutation(
        "config-forgives-unknown-keys",
        "rnfm/core/config.py",
        'extra="forbid"',
        'extra="ignore"',
        "tests/core/test_config.py::test_all_faults_at_once_with_the_nearest_name",
    ),
    Mutation(
        "keys-run-together",
        "rnfm/core/keyed.py",
        '"\\x1f".join',
        '"".join',
        "tests/core/test_small.py::test_keyed_numbers_are_the_same_for_ever",
    ),
    Mutation(
        "spool-forgets-what-was-not-sent",
        "rnfm/tracking/spool.py",
        "return events[sent:], sent, run_id",
        "return [], sent, run_id",
        "tests/tracking/test_tracking.py::test_a_dead_store_never_stops_or_delays_a_run_and_sync_loses_nothing",
    ),
    Mutation(
        "secrets-leave",
        "rnfm/tracking/redact.py",
        '    if _KEY.search(key) and value not in (None, ""):',
        "    if False:",
        "tests/tracking/test_tracking.py::test_redaction",
    ),
)


def main(names: list[str]) -> int:
    chosen = [mutation for mutation in MUTATIONS if not names or mutation.name in names]
    survivors = []
    for mutation in chosen:
        verdict = apply(mutation)
        print(f"{verdict:9}{mutation.name}", flush=True)
        survivors += [mutation.name] if verdict != "killed" else []
    print(f"killed {len(chosen) - len(survivors)} of {len(chosen)} planted")
    return 1 if survivors else 0


def apply(mutation: Mutation) -> str:
    """'killed' if the test fails on the mutated copy, 'survived' if it passes, 'stale' if the source line is gone."""
    source = (ROOT / mutation.file).read_text()
    if source.count(mutation.old) < 1:
        return "stale"
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        ignore = shutil.ignore_patterns("__pycache__")
        for name in ("rnfm", "tests", "benchmarks", "launch"):
            if (ROOT / name).exists():
                shutil.copytree(ROOT / name, copy / name, ignore=ignore)
        shutil.copy(ROOT / "pyproject.toml", copy)
        (copy / mutation.file).write_text(source.replace(mutation.old, mutation.new, 1))
        environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-m", "pytest", "-x", "-q", mutation.test]
        result = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    return {0: "survived", 1: "killed"}.get(result.returncode, f"error {result.returncode}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
