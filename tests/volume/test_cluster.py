"""A real Ray of two nodes on loopback: the same bytes, no process left, and one sentence where no cluster answers."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from rnfm.core.errors import ConfigError
from rnfm.volume import PrepareConfig, VolumeArchive, prepare

RAY = Path(sys.executable).with_name("ray")
START_WITHIN_S = 90


@dataclass
class TwoNodes:
    """`environment` is what a driver needs; `folder` is in the command line of every process of this cluster."""

    address: str
    folder: Path
    environment: dict[str, str]

    def family(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter(["cmdline"]):
            if any(str(self.folder) in word for word in process.info["cmdline"] or ()):
                found += [process, *process.children(recursive=True)]
        return list({process.pid: process for process in found}.values())


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[TwoNodes]:
    """A head and a second node, each of one core, on 127.0.0.1, behind a token of their own."""
    folder = Path(tempfile.mkdtemp(prefix="rn-", dir="/tmp"))  # short: Ray puts sockets below it
    port = free_port()
    environment = {
        **os.environ, "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }  # fmt: skip
    small = ["--num-cpus=1", "--object-store-memory=80000000", "--disable-usage-stats"]
    cluster = TwoNodes(f"127.0.0.1:{port}", folder, environment)
    head = ["--head", f"--port={port}", "--node-ip-address=127.0.0.1", f"--temp-dir={folder}"]
    try:
        for words in (
            [*head, "--include-dashboard=false"],
            [f"--address={cluster.address}", "--node-ip-address=127.0.0.1"],
        ):
            started = subprocess.run(
                [RAY, "start", *words, *small], env=environment, capture_output=True, text=True, timeout=START_WITHIN_S
            )
            assert started.returncode == 0, started.stdout + started.stderr
        yield cluster
    finally:
        family = cluster.family()
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family, timeout=10)
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def settings(cohort, name: str, **more) -> PrepareConfig:
    return PrepareConfig(cohort=cohort.path, out=cohort.path.parent / name, spacing_mm=(3, 3, 3), max_bad=0.9, **more)


def driver(code: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """`prepare` in a process of its own, since Ray's client keeps its token for the life of a process."""
    head = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from pathlib import Path, PosixPath\n"
    head += "from rnfm.volume import PrepareConfig, prepare; import dangerous_recipes as recipes\n"
    return subprocess.run(
        [sys.executable, "-c", head + code], env=environment, capture_output=True, text=True, timeout=240
    )


@pytest.mark.slow
def test_auto_finds_no_cluster_and_says_so(make_cohort: Callable, tmp_path: Path) -> None:
    """In a folder of its own, and before the other test has started its Ray, so that none is found."""
    cohort = make_cohort(1)
    config = settings(cohort, "there", engine="ray").as_dict()
    alone = {**os.environ, "RAY_TMPDIR": str(tmp_path)}
    alone.pop("RAY_ADDRESS", None)
    code = f"try: prepare(PrepareConfig(**{config!r}))\nexcept Exception as error: print(type(error).__name__, error)"
    said = driver(code, alone).stdout
    assert said.startswith("ConfigError Ray at auto: does not answer (")
    assert "Start it (`ray start --head`), give its address with --ray-address" in said
    assert not (cohort.path.parent / "there").exists()


def test_an_address_where_nobody_listens_is_refused_before_work(make_cohort: Callable) -> None:
    cohort = make_cohort(1)
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(ConfigError, match=f"Ray at {address}: does not answer .*leave out --engine ray"):
        prepare(settings(cohort, "there", engine="ray", ray_address=address))
    with pytest.raises(ConfigError, match="Ray at head:x: does not answer"):
        prepare(settings(cohort, "there", engine="ray", ray_address="head:x"))


@pytest.mark.slow
def test_two_nodes_write_the_same_bytes_and_survive_a_scan_that_kills(
    two_nodes: TwoNodes, make_cohort: Callable, tmp_path: Path
) -> None:
    cohort = make_cohort(5)
    cohort.images[1].write_bytes(cohort.images[1].read_bytes()[:-500])
    assert prepare(settings(cohort, "here")).refused == {"corrupt": 1}
    before = {process.pid for process in two_nodes.family()}
    config = settings(cohort, "there", engine="ray", ray_address=two_nodes.address, workers=2)
    diary = tmp_path / "diary"
    code = (
        f"dies = recipes.Dies(PosixPath({str(cohort.images[3])!r}), diary=PosixPath({str(diary)!r}), times=1)\n"
        f"result = prepare(PrepareConfig(**{config.as_dict()!r}), {{{cohort.codes[3]!r}: dies}})\n"
        "import ray; print(result.scans, result.refused, ray.is_initialized())"
    )
    ran = driver(code, two_nodes.environment)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == "4 {'corrupt': 1} False"
    assert diary.read_text().count(cohort.images[3].name) == 2  # killed its worker once, came through alone
    assert VolumeArchive.open(config.out).digest == VolumeArchive.open(cohort.path.parent / "here").digest
    for _ in range(100):
        left = [p for p in two_nodes.family() if p.pid not in before and "rnfm.volume.worker" in p.cmdline()]
        if not left:
            break
        time.sleep(0.1)
    assert not left
    assert not [p for p in psutil.Process().children(recursive=True) if "ray" in p.name()]
