"""Paradox under measurement: its index backends, and the whole engine over one."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.contestant import ladder
from paradox import LatentMemoryEngine, index
from paradox.core.metric import Metric
from paradox.core.types import F32Matrix, I64Matrix, I64Vector
from paradox.index.allow import AllowList
from paradox.index.ivf import IvfIndex
from paradox.index.ivf_source import BLOCK_ROWS

_SCANS = frozenset({"exact"})
_LISTS = frozenset({"ivf", "ivfpq"})
_A_CALL = 40
"""Queries asked at once: the engine remembers 64 of a call to tune itself on."""


class Backend:
    """One of Paradox's index backends."""

    depth = 1
    depths: Sequence[int] = (1,)
    threads_of_batches: int | None = None

    def __init__(self, metric: Metric, name: str, **options: Any) -> None:
        self._metric = metric
        self._name = name
        self._options = options
        self._allowed: AllowList | None = None
        self.effort = 0
        self.can_be_asked = name not in _SCANS
        """For a recall: whatever is always exact has nothing to find."""

    def efforts(self, k: int) -> Sequence[int]:
        """See `Adjustable`; a scan has no knob."""
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
        effort = self.effort or None
        found = self._index.search(queries, k, effort=effort, allow=self._allowed, threads=threads)
        return found.ids

    def allow(self, ids: I64Vector) -> None:
        """See `Filtered`; the rows are looked up once, as the engine does for a filter."""
        self._allowed = AllowList(ids)

    def add(self, ids: I64Vector, rows: F32Matrix, threads: int) -> None:
        """See `Changing`; on the threads it was built with."""
        self._index.add(ids, rows)

    def remove(self, ids: I64Vector) -> None:
        """See `Changing`."""
        self._index.remove(ids)


class MappedLists(Backend):
    """Inverted lists streamed into a file that is mapped; no vectors are kept."""

    def __init__(self, metric: Metric) -> None:
        super().__init__(metric, "ivf", keep="none")

    def build(self, base: F32Matrix, threads: int) -> None:
        """See `Contestant`; the base comes in blocks."""
        ids = np.arange(len(base))
        begins = range(0, len(base), BLOCK_ROWS)
        blocks = ((ids[i : i + BLOCK_ROWS], base[i : i + BLOCK_ROWS]) for i in begins)
        with tempfile.TemporaryDirectory(prefix="paradox-") as folder:
            self._index = IvfIndex.build(  # what is mapped stays when its name goes
                blocks,
                Path(folder, "lists.px"),
                metric=self._metric,
                n=len(base),
                quiet=True,
                build_threads=threads,
                **self._options,
            )

    @property
    def resident_bytes(self) -> int:
        """What searches scan, counted as memory though it is mapped."""
        return self._index.stats().resident_bytes

    @property
    def mapped_bytes(self) -> int:
        """The rest of the file, of which searches read what they measure."""
        return self._index.stats().mapped_bytes


class Engine:
    """The whole engine over a backend; it tunes itself on its own records.

    It is told its threads when it is made, so that its batches are those of one thread alone.
    """

    can_be_asked = True
    threads_of_batches: int | None = 1

    def __init__(self, metric: Metric, backend: str) -> None:
        self._metric = metric
        self._backend = backend
        self._recall: float | None = None
        self.effort = 0

    def efforts(self, k: int) -> Sequence[int]:
        """See `Adjustable`."""
        return ladder(1 if self._backend in _LISTS else k)

    def build(self, base: F32Matrix, threads: int) -> None:
        """See `Contestant`."""
        options = {"build_threads": threads} if self._backend != "auto" else {}
        self._engine = LatentMemoryEngine(
            base.shape[1],
            metric=self._metric,
            index=self._backend,
            index_options=options,
            threads=1,
        )
        self._engine.add(base, ids=np.arange(len(base)))

    def ask(self, queries: F32Matrix, k: int, recall: float) -> int | None:
        """Ask queries for a recall, which is all a caller does; return the effort it came to.

        Enough of them that nothing is learnt from those asked later.
        """
        self._recall = recall
        self.effort = 0
        for some in np.array_split(queries, max(1, len(queries) // _A_CALL)):
            self._engine.query(some, k, recall=recall)
        return self._engine.query(queries[:1], k, recall=recall).effort

    def search(self, queries: F32Matrix, k: int, threads: int) -> I64Matrix:
        """See `Contestant`; effort 0 is whatever reaches the recall asked for."""
        recall = None if self.effort else self._recall
        return self._engine.query(queries, k, effort=self.effort or None, recall=recall).ids

    def add(self, ids: I64Vector, rows: F32Matrix, threads: int) -> None:
        """See `Changing`; on the threads it was built with."""
        self._engine.add(rows, ids=ids)

    def remove(self, ids: I64Vector) -> None:
        """See `Changing`."""
        self._engine.delete(ids)


BACKENDS: dict[str, Callable[[Metric], Backend]] = {
    **{name: partial(Backend, name=name) for name in index.backends() if name != "auto"},
    "graph-float16": partial(Backend, name="graph", keep="float16"),
    "graph-compact": partial(Backend, name="graph", compact=True),
    "graph-none-compact": partial(Backend, name="graph", compact=True, keep="none"),
    "graph-none": partial(Backend, name="graph", keep="none"),
    "ivf-mapped": MappedLists,
}
ENGINES: dict[str, Callable[[Metric], Engine]] = {
    f"engine:{name}": partial(Engine, backend=name) for name in index.backends() if name != "exact"
}
