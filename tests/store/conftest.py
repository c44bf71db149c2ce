from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from paradox.core.types import F32Matrix
from paradox.store import RecordStore

DIM = 8


@pytest.fixture(params=["durable", "volatile"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Makes the one store of a test; both kinds must behave the same."""
    opened: list[RecordStore] = []

    def make(dim: int = DIM, **options: Any) -> RecordStore:
        if request.param == "durable":
            opened.append(RecordStore.open(tmp_path / "store", dim=dim, **options))
        else:
            opened.append(RecordStore.volatile(dim=dim, **options))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def store(make_store: Callable[..., RecordStore]) -> RecordStore:
    return make_store()


@pytest.fixture
def vectors() -> F32Matrix:
    return np.random.default_rng(7).standard_normal((64, DIM)).astype(np.float32)
