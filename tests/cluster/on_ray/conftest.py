"""One small Ray for each module, and a client of it whose storage is a temporary folder."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import ray
from processes import NAMESPACE, start_ray

import paradox
from paradox.cluster.client import Client
from paradox.cluster.collection import Collection

DIM = 16


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PARADOX_HOME", str(home))
        environment.delenv("RAY_ADDRESS", raising=False)
        start_ray()
        try:
            yield paradox.connect(namespace=NAMESPACE)
        finally:
            ray.shutdown()


@pytest.fixture
def make(client: Client) -> Iterator[Callable[..., Collection]]:
    """Make collections of two shards, or of other settings, and drop them at the end."""
    made: list[str] = []

    def make(**changes: Any) -> Collection:
        name = f"made-{next(_NUMBERS)}"
        given: dict[str, Any] = {"dim": DIM, "index": "exact", "shards": 2}
        collection = client.create(name, **(given | changes))
        made.append(name)
        return collection

    yield make
    for name in set(made) & set(client.list()):
        client.drop(name)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


_NUMBERS = itertools.count()
