"""Ray's surroundings: the environment while it runs, and which processes are ended when it is over."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from rnfm.core.errors import ConfigError
from rnfm.sweep import cluster

SLEEP = "import sys, time; time.sleep(60)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
)
# A parent that names the folder, with a child that does not (as Ray's workers, which rename themselves).
FAMILY = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {SLEEP!r}]); print('ready', flush=True); time.sleep(60)"


def started(code: str, *words: str) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.PIPE, text=True)
    if code != SLEEP:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    return process


def test_only_the_family_of_the_session_folder_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "PATIENCE_S", 0.5)
    ours, stubborn = started(FAMILY, f"--temp-dir={tmp_path}"), started(STUBBORN, str(tmp_path))
    stranger = started(SLEEP, str(tmp_path.parent / "another"))
    try:
        found = cluster.processes_under(tmp_path)
        assert {process.pid for process in found} > {ours.pid, stubborn.pid}
        assert len(found) == 3
        cluster.end(found)
        assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in found)
        assert stranger.poll() is None
    finally:
        for process in (ours, stubborn, stranger):
            process.kill()
            process.wait()


def test_processes_that_end_by_themselves_are_waited_for(tmp_path: Path) -> None:
    process = started("import time; print('ready', flush=True); time.sleep(0.3)", str(tmp_path))
    began = time.monotonic()
    cluster.end(cluster.processes_under(tmp_path))
    assert time.monotonic() - began < cluster.PATIENCE_S
    assert process.wait() == 0  # asked for nothing, killed by nobody


def test_variables_are_as_before_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "of another cluster")
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    with cluster._environment({**cluster._ALWAYS, **cluster._local_only()}):
        assert os.environ["RAY_AUTH_MODE"] == "token"
        assert os.environ["RAY_AUTH_TOKEN"] != "of another cluster"
        assert len(os.environ["RAY_AUTH_TOKEN"]) == 64
        assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert os.environ["RAY_AUTH_TOKEN"] == "of another cluster"
    assert "RAY_AUTH_MODE" not in os.environ


def test_the_folder_leaves_room_for_socket_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cluster.tempfile, "gettempdir", lambda: str(tmp_path / ("long" * 20)))
    folder = cluster._short_folder()
    try:
        assert len(str(folder)) <= cluster.LONGEST_TEMPORARY + len("/rnfm-12345678")
    finally:
        folder.rmdir()


@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "ray://127.0.0.1:{port}", "[::1]:{port}"])
def test_an_address_where_nobody_listens_is_refused_at_once(address: str) -> None:
    with socket.socket() as taken:  # bound and not listening: nobody else can answer there
        taken.bind(("127.0.0.1", 0))
        address = address.format(port=taken.getsockname()[1])
        with pytest.raises(ConfigError, match=r"does not answer .* Start it, give its RAY_AUTH_TOKEN") as caught:
            cluster.require_answer(address)
        assert str(caught.value).startswith(f"Ray at {address}: ")


def test_a_malformed_port_is_refused_and_what_ray_resolves_is_left_to_it() -> None:
    with pytest.raises(ConfigError, match="Ray at host:x: does not answer"):
        cluster.require_answer("host:x")
    with socket.create_server(("127.0.0.1", 0)) as server:
        cluster.require_answer(f"127.0.0.1:{server.getsockname()[1]}")
    cluster.require_answer("auto")
    cluster.require_answer(None)
