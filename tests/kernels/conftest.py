from __future__ import annotations

from collections.abc import Iterator

import pytest
from kernel_cases import forced

from paradox import kernels


@pytest.fixture(params=kernels.available())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs the test once on every level this machine has."""
    with forced(request.param):
        yield request.param
