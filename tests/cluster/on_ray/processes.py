"""A Ray of our own, the processes of its collections, to be killed and halted, and its drivers."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import psutil
import ray

from paradox.cluster import names
from paradox.cluster.collection import Collection

NAMESPACE = "tests"
ROOT = Path(__file__).resolve().parents[3]
_PATIENCE_S = 120.0


def start_ray(attempts: int = 3) -> None:
    """Start a Ray of two CPUs in this process, again where a loaded machine was too slow."""
    for attempt in range(attempts):
        try:
            ray.init(
                address="local",
                num_cpus=2,
                include_dashboard=False,
                object_store_memory=128 * 2**20,
                namespace=NAMESPACE,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
            return
        except Exception as error:
            if "timed out during startup" not in str(error) or attempt == attempts - 1:
                raise
            ray.shutdown()


def shard_actor(collection: Collection, shard: int) -> Any:
    return ray.get_actor(names.shard_actor(collection.name, shard), namespace=NAMESPACE)


def shard_process(collection: Collection, shard: int) -> psutil.Process:
    """Return the process that has a shard's files open, waiting until there is one."""
    folder = collection.settings.shard_folder(Path(collection.stats().storage), shard)
    found: list[psutil.Process] = []

    def look() -> bool:
        found[:] = [process for process in _shard_processes() if _holds(process, folder)]
        return len(found) == 1

    wait_until(look)
    return found[0]


def process_of(actor: str) -> psutil.Process:
    """Return the process of an actor that answers."""
    handle = ray.get_actor(actor, namespace=NAMESPACE)
    return psutil.Process(ray.get(handle.__ray_call__.remote(lambda self: os.getpid())))


def kill(process: psutil.Process) -> None:
    """SIGKILL a process, and wait until it is gone."""
    process.kill()
    process.wait(_PATIENCE_S)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until something holds; the patience is only there to end a test that hangs."""
    deadline = time.monotonic() + _PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def driver(script: str, *arguments: object, output: IO[Any] | int) -> subprocess.Popen[bytes]:
    """Start a driver of its own on the Ray of this process.

    The script finds the client of this cluster as `client`, and its arguments in `sys.argv`.
    """
    opening = f"""
import sys
import warnings
import numpy as np
import paradox
client = paradox.connect(namespace={NAMESPACE!r})
"""
    address = ray.get_runtime_context().gcs_address
    return subprocess.Popen(
        [sys.executable, "-c", opening + textwrap.dedent(script), *map(str, arguments)],
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd=ROOT,
        env={**os.environ, "RAY_ADDRESS": address},
    )


def _shard_processes() -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if "".join(process.info["cmdline"] or ()).startswith("ray::ShardActor")
    ]


def _holds(process: psutil.Process, folder: Path) -> bool:
    try:
        return any(Path(file.path).is_relative_to(folder) for file in process.open_files())
    except psutil.Error:
        return False
