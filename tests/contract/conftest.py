"""Every backend under every metric."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from paradox.core.metric import Metric
from paradox.index import IndexBackend
from tests.contract.backends import MAKES, METRICS, Make, filled


@pytest.fixture(params=MAKES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=METRICS)
def metric(request: pytest.FixtureRequest) -> Metric:
    chosen: Metric = request.param
    return chosen


@pytest.fixture
def make(name: str) -> Make:
    return MAKES[name]


@pytest.fixture
def full(name: str, metric: Metric) -> IndexBackend:
    return filled(name, metric)


@pytest.fixture
def fresh(make: Make) -> Callable[..., IndexBackend]:
    return make
