"""Paradox under measurement: its index backends, and the whole engine over one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from benchmarks.peers.contestant import ladder
from paradox import LatentMemoryEngine, index
from paradox.core.metric import Metric
from paradox.core.types import F32Matrix, I64Matrix

_SCANS = frozenset({"exact"})
_LISTS = frozenset({"ivf", "ivfpq"})


class Backend:
    """One of Paradox's index backends."""

    depth = 1
    depths: Sequence[int] = (1,)
    threads_of_batches: int | None = None

    def __init__(self, metric: Metric, name: str, **options: Any) -> None:
        self._metric = metric
        self._name = name
        self._options = options
        self.effort = 0
        self.can_be_asked = name not in _SCANS
        """For a recall: whatever is always exact has nothing to find."""

    def efforts(self, k: int) -> Sequence[int]:
        """See `Approximate`; a scan has no knob."""
        if self._name in _SCANS:
            return [0]
        return ladder(1 if self._name in _LISTS else k)

    def build(self, base: F32Matrix, threads: int) -> None:
        """See `Contestant`."""
        options = {} if self._name in _SCANS else {"build_threads": threads}
        self._index = index.create(
            self._name, dim=base.shape[1], metric=self._metric, **options | self._options
        )
        self._index.add(np.arange(len(base)), np.ascontiguousarray(base))

    def ask(self, queries: F32Matrix, k: int, recall: float) -> int | None:
        """Have the backend find its own effort for a recall; return it."""
        self.effort = 0
        return self._index.tune(queries, k, recall)

    def search(self, queries: F32Matrix, k: int, threads: int) -> I64Matrix:
        """See `Contestant`; effort 0 is the one `ask` found."""
        return self._index.search(queries, k, effort=self.effort or None, threads=threads).ids


class Engine:
    """The whole engine over a backend; it tunes itself on its own records."""

    can_be_asked = True

    def __init__(self, metric: Metric, backend: str) -> None:
        self._metric = metric
        self._backend = backend
        self._recall: float | None = None

    def build(self, base: F32Matrix, threads: int) -> None:
        """See `Contestant`."""
        options = {"build_threads": threads} if self._backend != "auto" else {}
        self._engine = LatentMemoryEngine(
            base.shape[1], metric=self._metric, index=self._backend, index_options=options
        )
        self._engine.add(base, ids=np.arange(len(base)))

    def ask(self, queries: F32Matrix, k: int, recall: float) -> int | None:
        """Ask one query for a recall, which is all a caller does; return the effort it took."""
        self._recall = recall
        return self._engine.query(queries[:1], k, recall=recall).effort

    def search(self, queries: F32Matrix, k: int, threads: int) -> I64Matrix:
        """See `Contestant`; by the recall asked for."""
        return self._engine.query(queries, k, recall=self._recall).ids


BACKENDS: dict[str, Callable[[Metric], Backend]] = {
    name: partial(Backend, name=name) for name in index.backends() if name != "auto"
}
ENGINES: dict[str, Callable[[Metric], Engine]] = {
    f"engine:{name}": partial(Engine, backend=name) for name in index.backends() if name != "exact"
}
