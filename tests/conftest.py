"""Which tests run side by side where pytest has several processes, and what several rooms need."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RAY = ("tests/cluster/on_ray/", "tests/examples/test_demo.py", "tests/test_cli.py")
"""Where tests start a Ray; a process of its own runs them all.

Two Rays at once on two cores answer too late for tests about deadlines, and find each other.
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a test that starts a Ray elsewhere."""
    for item in items:
        if item.get_closest_marker("ray") and not item.nodeid.startswith(RAY):
            raise pytest.UsageError(f"{item.nodeid} starts a Ray: name it in {__file__}")


@pytest.fixture
def times_synced(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], list[int]]:
    """Return a function that tells when a file or folder was synced: as which of all."""
    fsync, synced = os.fsync, list[tuple[int, int]]()

    def noted(descriptor: int) -> None:
        status = os.fstat(descriptor)
        synced.append((status.st_dev, status.st_ino))
        fsync(descriptor)

    def times(path: Path) -> list[int]:
        status = path.stat()
        return [n for n, file in enumerate(synced) if file == (status.st_dev, status.st_ino)]

    monkeypatch.setattr(os, "fsync", noted)
    return times


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give out tests file by file, and those that start a Ray together."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "ray" if nodeid.startswith(RAY) else super()._split_scope(nodeid)

        # Without these two a run whose process dies near its end never ends (xdist 3.8): finished
        # files are given out again, and the process in the place of the dead one waits for more.

        def remove_node(self, node: Any) -> Any:
            units = self.assigned_work[node]
            unfinished = {scope: unit for scope, unit in units.items() if not all(unit.values())}
            self.assigned_work[node] = unfinished
            return super().remove_node(node)

        def schedule(self) -> None:
            super().schedule()
            if not self.workqueue:
                for node in self.nodes:
                    node.shutdown()  # once it has done what it has

    return ByFile(config, log)
