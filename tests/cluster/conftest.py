from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from in_process import LocalCollection, NoLauncher, settings

from paradox.cluster.supervisor import Supervisor


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


@pytest.fixture
def make_collection(tmp_path: Path) -> Iterator[Callable[..., LocalCollection]]:
    """Make collections in this process, of `shards` shards and other settings."""
    made: list[LocalCollection] = []
    supervisor = Supervisor(tmp_path / "root", NoLauncher())

    def make(name: str = "papers", **changes: Any) -> LocalCollection:
        made.append(LocalCollection(settings(name, **changes), supervisor))
        return made[-1]

    yield make
    for collection in made:
        collection.close()
