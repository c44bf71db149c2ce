"""Which tests run side by side where pytest has several processes."""

from __future__ import annotations

import pytest


@pytest.hookimpl(tryfirst=True)  # before that of xdist, which reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put all tests that start a Ray into one process, and those of a file into one.

    Two Rays at once on two cores answer too late for tests about deadlines.
    """
    for item in items:
        group = "ray" if item.get_closest_marker("ray") else item.nodeid.partition("::")[0]
        item.add_marker(pytest.mark.xdist_group(group))
