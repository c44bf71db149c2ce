"""A Ray cluster on this machine that outlives the command that started it.

`ray stop` ends every Ray on the machine; this one is started as one process group and ended alone.
It asks for this user's token, which is made if there is none: `ray.init` does so for a cluster it
starts, `ray start` by itself does not (docs/adr/0009).
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import psutil

from paradox.core import config
from paradox.core.errors import InvalidArgument, RetryableError
from paradox.core.files import write_atomically

# That a token is asked for is what is wanted here; Ray would tell it at every `connect`.
logging.getLogger("ray._private.authentication.authentication_token_setup").addFilter(
    lambda told: not told.getMessage().startswith("Token authentication is enabled")
)

_RAY_PORT, _DASHBOARD_PORT = 6379, 8265
_START_TIMEOUT_S = 90.0
_STOP_TIMEOUT_S = 30.0
# Ray would wait 30 s for its actors to leave before it ends; shards never do.
_RAY_SETTINGS = ("RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=0",)
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
        with_token: whether it answers only those who have this user's token.
    """

    address: str
    dashboard_url: str
    pid: int
    started_at: float
    with_token: bool

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
        if cluster.alive():
            return cluster
        _forget(cluster)  # the machine was restarted, or someone killed it
    return None


def start(*, num_cpus: int | None = None, dashboard: bool = True) -> LocalCluster:
    """Start a cluster here, or return the one that already runs; this process may then join it.

    Args:
        num_cpus: logical CPUs to offer; None offers the machine's.
        dashboard: start Ray's dashboard too.

    Raises:
        InvalidArgument: `RAY_AUTH_TOKEN_PATH` names no token.
        RetryableError: it did not come up in time; the message names its log.
    """
    if (cluster := running()) is not None:
        if cluster.with_token:
            _use_token()
        return cluster
    with_token = _use_token()
    folder = config.home()
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "ray.log"
    command = [
        *("env", *_RAY_SETTINGS),
        *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"),
        f"--include-dashboard={str(dashboard).lower()}",
        "--disable-usage-stats",
        *([f"--num-cpus={num_cpus}"] if num_cpus is not None else []),
    ]
    with contextlib.suppress(RetryableError):  # on a busy machine Ray gives up "during startup"
        return _started(command, log, with_token=with_token)
    return _started(command, log, with_token=with_token)


def stop() -> LocalCluster | None:
    """End the cluster that `start` left running; return it, or None where there is none."""
    cluster = running()
    if cluster is None:
        return None
    family = _family(cluster.pid)
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(cluster.pid).terminate()
    _, left = psutil.wait_procs(family, timeout=_STOP_TIMEOUT_S)
    _kill(left)
    _forget(cluster)
    return cluster


def _use_token() -> bool:
    """Have this process, and what it starts, use this user's token; made if there is none.

    Returns:
        False where `RAY_AUTH_MODE` says that no token is wanted.
    """
    from ray._private.authentication import authentication_token_setup as setup
    from ray.exceptions import AuthenticationError

    wanted: bool = setup.enable_token_auth_by_default()
    before = os.umask(0o077)  # the token is a secret, and Ray leaves its file's mode to the umask
    try:
        setup.ensure_token_if_auth_enabled()
        return wanted
    except AuthenticationError as error:
        raise InvalidArgument(f"Ray's token: {error}") from error
    except OSError as error:
        raise RetryableError(f"Ray's token cannot be made: {error}") from error
    finally:
        os.umask(before)


def _started(command: list[str], log: Path, *, with_token: bool) -> LocalCluster:
    """Start a cluster and note it down; whatever goes wrong, Ctrl-C too, nothing is left of it."""
    ports = (
        f"--port={_free_port(_RAY_PORT)}",
        f"--dashboard-port={_free_port(_DASHBOARD_PORT)}",
    )
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, *ports],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        address, dashboard_url = _wait_until_up(process, log)
        created = psutil.Process(process.pid).create_time()
        cluster = LocalCluster(address, dashboard_url, process.pid, created, with_token)
        write_atomically(_record(), msgspec.json.encode(cluster))
    except BaseException:
        _kill(_family(process.pid))
        process.wait()
        raise
    return cluster


def _family(pid: int) -> list[psutil.Process]:
    """Return a process and all that descend from it; none if it is gone."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def _forget(cluster: LocalCluster) -> None:
    """Remove the notes of a cluster that is gone: ours, and Ray's own.

    Ray's is where `ray.init` looks for a cluster to join; it tries one that is gone for minutes.
    """
    from ray._common.utils import reset_ray_address
    from ray._private.utils import read_ray_address

    if read_ray_address() == cluster.address and not _answers(cluster.address):
        reset_ray_address()
    _record().unlink(missing_ok=True)


def _answers(address: str) -> bool:
    """Tell whether something listens at host:port; a later cluster may have taken the port."""
    host, _, port = address.rpartition(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1.0):
        return True
    return False


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
    lines = log.read_text(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
    raise RetryableError(f"Ray did not start: {last:.300}; all it said is in {log}")
