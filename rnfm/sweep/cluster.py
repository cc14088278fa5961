"""Ray for the length of one sweep: on this machine's loopback, or a cluster that runs already.

A local Ray is reachable from this machine only (its servers listen on 127.0.0.1) and by this program only: it asks for a
token that is made anew each time, handed to Ray's own processes through their environment and never written to disk.
Whoever reaches a Ray without a token can run any program, and on a login node all users share one loopback.
(A program that imported Ray itself before sweeping gets a Ray that listens on every interface, behind the same token.)
A cluster given by address keeps its own rules: its RAY_AUTH_MODE and token come from the user's environment.

At the end no process stays: those that Ray started under this session's folder are asked, then made, to end; no other is touched.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rnfm.core.errors import ConfigError, RnfmError

if TYPE_CHECKING:
    import psutil

STORE_BYTES = 100 << 20
"""Trials hand back a few numbers; Ray's default is a third of the machine's memory."""

# Ray's longest socket path below its folder has about 75 characters and a UNIX socket takes 107.
LONGEST_TEMPORARY = 24
PATIENCE_S = 10.0
ANSWER_WITHIN_S = 5.0

_ALWAYS = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is sent anywhere
    "RAY_AIR_NEW_OUTPUT": "0",  # with verbose=0 the only setting that prints nothing at all
    "RAY_DEDUP_LOGS": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # MLflow has the curves; no CSV, JSON and TensorBoard files beside it
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C ends the sweep instead of publishing half of it
}


def require_answer(address: str | None) -> None:
    """Raise ConfigError if nobody listens at host:port of `address`; Ray itself would try for ten minutes, aloud."""
    host, colon, port = (address or "").removeprefix("ray://").rpartition(":")
    if not colon:
        return  # none, or "auto": Ray finds its own cluster or says so at once
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_WITHIN_S).close()
    except (OSError, ValueError) as error:
        raise _away(str(address), error) from None


@contextlib.contextmanager
def connected(*, address: str | None, parallel: int) -> Iterator[None]:
    """Ray is there inside, with `parallel` cores if we start it. Raises ConfigError if `address` does not answer."""
    with _environment(_ALWAYS if address else {**_ALWAYS, **_local_only()}):
        if address is None:
            with _local(parallel):
                yield
        else:
            with _remote(address):
                yield


@contextlib.contextmanager
def _local(parallel: int) -> Iterator[None]:
    import ray

    folder = _short_folder()
    try:
        with _started_here(folder):
            try:
                ray.init(
                    num_cpus=parallel,
                    include_dashboard=False,
                    object_store_memory=STORE_BYTES,
                    _temp_dir=str(folder),
                    log_to_driver=False,
                    logging_level=logging.CRITICAL,
                )
            except Exception as error:
                detail = " ".join(str(error).split())[:200]
                raise RnfmError(
                    "Ray", f"did not start on this machine ({detail})", "`rnfm doctor` shows memory and disk"
                ) from error
            yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _started_here(folder: Path) -> Iterator[None]:
    """Whatever Ray starts under `folder` inside has ended when this block has."""
    import ray

    try:
        yield
    finally:
        ours = processes_under(folder)
        ray.shutdown()
        end(ours)


@contextlib.contextmanager
def _remote(address: str) -> Iterator[None]:
    import ray

    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
    except Exception as error:
        raise _away(address, error) from error
    try:
        yield
    finally:
        ray.shutdown()


def _away(address: str, error: Exception) -> ConfigError:
    detail = " ".join(str(error).split())[:200]
    mend = "Start it, give its RAY_AUTH_TOKEN, or leave --address out"
    return ConfigError(f"Ray at {address}", f"does not answer ({detail})", mend)


def processes_under(folder: Path) -> list[psutil.Process]:
    """This process' descendants that name `folder` on their command line, with their own (workers rename themselves)."""
    import psutil

    found: dict[int, psutil.Process] = {}
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if any(str(folder) in word for word in child.cmdline()):
                for process in (child, *child.children(recursive=True)):
                    found[process.pid] = process
    return list(found.values())


def end(processes: list[psutil.Process]) -> None:
    """Wait for `processes`, then ask those that are left to end, then make them. A pid that was given anew is not touched."""
    import psutil

    _, left = psutil.wait_procs(processes, timeout=PATIENCE_S)
    for stop in (psutil.Process.terminate, psutil.Process.kill):
        for process in left:
            with contextlib.suppress(psutil.Error):
                stop(process)
        _, left = psutil.wait_procs(left, timeout=PATIENCE_S)


def _local_only() -> dict[str, str]:
    # Ray's switch for loopback-only servers is named after the systems on which it is the default.
    # A token that the user has set for other clusters must not leak into this one's processes either.
    loopback = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    return {**loopback, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": _token()}


@functools.cache
def _token() -> str:
    """One a process, since Ray's client reads it once and keeps it."""
    return secrets.token_hex(32)


def _short_folder() -> Path:
    usual = tempfile.gettempdir()
    return Path(tempfile.mkdtemp(prefix="rnfm-", dir=usual if len(usual) <= LONGEST_TEMPORARY else "/tmp"))


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Variables set inside, and as they were outside. Ray reads some at its import: nothing here imports it earlier."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
