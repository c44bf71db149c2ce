"""Which tests run side by side where pytest has several processes."""

from __future__ import annotations

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


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give out tests file by file, and those that start a Ray together."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "ray" if nodeid.startswith(RAY) else super()._split_scope(nodeid)

    return ByFile(config, log)
