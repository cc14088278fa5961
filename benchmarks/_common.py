"""What all benchmarks share: the machine described, ratios with intervals over interleaved pairs, one JSON at the end."""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results"


def machine(*packages: str) -> dict[str, Any]:
    """Processor, cores we may use, memory, system and versions; no host name."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        cpu = names[0] if names else cpu
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": platform.system(),
        "python": platform.python_version(),
        **{package: metadata.version(package) for package in packages},
    }


def arguments(description: str) -> argparse.Namespace:
    """`--quick`: few rounds, done within 50 seconds."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="few rounds, done within 50 seconds")
    return parser.parse_args()


def clocked(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """(CPU seconds of this process, all threads, and of children it waited for; wall seconds; result)."""
    cpu, wall = _cpu_s(), time.perf_counter()
    result = work()
    return _cpu_s() - cpu, time.perf_counter() - wall, result


def _cpu_s() -> float:
    parts = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in parts)


def interleaved(
    contenders: dict[str, Callable[[], Any]], rounds: int, *, warm_up: bool = True
) -> dict[str, list[tuple[float, float]]]:
    """(CPU s, wall s) of each contender in each round; the order turns from round to round. One warm-up round first."""
    names = list(contenders)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for round_ in range(-1 if warm_up else 0, rounds):
        turn = round_ % len(names)
        for name in names[turn:] + names[:turn]:
            cpu, wall, _ = clocked(contenders[name])
            if round_ >= 0:
                times[name].append((cpu, wall))
    return times


def ratio(numerator: list[float], denominator: list[float]) -> dict[str, float]:
    """Median of the paired ratios, and the 95% interval of that median (bootstrap over the pairs)."""
    pairs = np.asarray(numerator) / np.asarray(denominator)
    draws = np.random.default_rng(0).integers(len(pairs), size=(2000, len(pairs)))
    low, high = np.percentile(np.median(pairs[draws], axis=1), (2.5, 97.5))
    return {"ratio": _short(np.median(pairs)), "low": _short(low), "high": _short(high), "pairs": len(pairs)}


def finish(name: str, figures: dict[str, Any], *packages: str, quick: bool) -> None:
    """Write results/NAME.json and print the same object as the last line."""
    result = {"benchmark": name, **figures, "quick": quick, "machine": machine(*packages)}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


def _short(value: float) -> float:
    return float(f"{value:.4g}")
