"""A Ray cluster on this machine that outlives the command that started it.

`ray stop` ends every Ray on the machine; this one is started as one process group and ended alone.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import psutil

from paradox.core import config
from paradox.core.errors import RetryableError
from paradox.core.files import write_atomically

_RAY_PORT, _DASHBOARD_PORT = 6379, 8265
_START_TIMEOUT_S = 90.0
_STOP_TIMEOUT_S = 30.0
# What `ray start` prints last, before it says that it blocks.
_ADDRESS = re.compile(r"ray start --address='([^']+)'")
_DASHBOARD = re.compile(r"RAY_API_SERVER_ADDRESS='([^']+)'")


class LocalCluster(msgspec.Struct, frozen=True):
    """A cluster that `start` started.

    Attributes:
        address: where drivers join, host:port.
        dashboard_url: the Ray dashboard, "" if it was not asked for.
        pid: the process that holds the cluster; it ends with it.
        started_at: when that process started, seconds since the epoch; tells it from a later
            process of the same number.
    """

    address: str
    dashboard_url: str
    pid: int
    started_at: float

    def alive(self) -> bool:
        """Tell whether its process still runs."""
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            return process.is_running() and abs(process.create_time() - self.started_at) < 1
        return False


def running() -> LocalCluster | None:
    """Return the cluster that an earlier `start` left running, or None."""
    with contextlib.suppress(FileNotFoundError, msgspec.MsgspecError):
        cluster = msgspec.json.decode(_record().read_bytes(), type=LocalCluster)
        return cluster if cluster.alive() else None
    return None


def start(*, num_cpus: int | None = None, dashboard: bool = True) -> LocalCluster:
    """Start a cluster here, or return the one that already runs.

    Args:
        num_cpus: logical CPUs to offer; None offers the machine's.
        dashboard: start Ray's dashboard too.

    Raises:
        RetryableError: it did not come up in time; the message names its log.
    """
    if (cluster := running()) is not None:
        return cluster
    folder = config.home()
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "ray.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"),
                f"--port={_free_port(_RAY_PORT)}",
                f"--include-dashboard={str(dashboard).lower()}",
                f"--dashboard-port={_free_port(_DASHBOARD_PORT)}",
                "--disable-usage-stats",
                *([f"--num-cpus={num_cpus}"] if num_cpus is not None else []),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    address, dashboard_url = _wait_until_up(process, log)
    created = psutil.Process(process.pid).create_time()
    cluster = LocalCluster(address, dashboard_url, process.pid, created)
    write_atomically(_record(), msgspec.json.encode(cluster))
    return cluster


def stop() -> LocalCluster | None:
    """End the cluster that `start` left running; return it, or None where there is none."""
    cluster = running()
    if cluster is None:
        return None
    holder = psutil.Process(cluster.pid)
    family = [holder, *holder.children(recursive=True)]
    holder.send_signal(signal.SIGTERM)
    _, left = psutil.wait_procs(family, timeout=_STOP_TIMEOUT_S)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    _record().unlink(missing_ok=True)
    return cluster


def _record() -> Path:
    return config.home() / "cluster.json"


def _free_port(usual: int) -> int:
    """Return the usual port if it is free, else any free one."""
    for port in (usual, 0):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise RetryableError("no free port on 127.0.0.1")


def _wait_until_up(process: subprocess.Popen[bytes], log: Path) -> tuple[str, str]:
    """Wait until Ray says that it runs; return its address and its dashboard's, "" for none."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        said = log.read_text(errors="replace")
        if "--block" in said and (address := _ADDRESS.search(said)):
            dashboard = _DASHBOARD.search(said)
            return address[1], dashboard[1] if dashboard else ""
        if process.poll() is not None:
            break
        time.sleep(0.1)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    raise RetryableError(f"Ray did not start; its output is in {log}")
