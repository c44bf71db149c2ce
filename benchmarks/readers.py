"""Insertions while other threads query: how fast they are, and what the readers notice of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle

import numpy as np

from benchmarks import datasets, tables
from benchmarks.climb import least_effort
from benchmarks.curve import P50, P99, QPS
from benchmarks.datasets import Dataset
from benchmarks.peers import Changing, Ids
from benchmarks.report import Row, row
from benchmarks.timing import answers
from benchmarks.truth import Truth
from paradox.core.types import F32Matrix, I64Vector

K = 10
RECALL = 0.95
N_READERS = 4
LEAST_TIMES, MOST_P99_TIMES = 2.0, 2.0
"""Goals: our insertions in hnswlib's, and the readers' p99 in that without a writer."""
LOOKING_EFFORT = 400
"""At which every inserted row must find itself."""
_BATCH = 100
_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Case:
    """What each contestant does on one set.

    Attributes:
        data: the set.
        n: rows that it is built on; the set has twice `n_inserted` more.
        n_inserted: rows inserted beside the readers, and again without them.
        seed: of the set.
        n_queries: how many the readers have.
        threads: of the build and the insertions.
        call_rows: rows of each insertion.
        idle_s: for which the readers are watched without a writer.
    """

    data: str
    n: int
    n_inserted: int
    seed: int
    n_queries: int
    threads: int
    call_rows: int
    idle_s: float

    def loaded(self) -> Dataset:
        """Return the set, with no more queries than the readers have."""
        n = self.n + 2 * self.n_inserted
        dataset = datasets.in_memory(datasets.load(self.data, n, seed=self.seed))
        return replace(dataset, queries=dataset.queries[: self.n_queries])


@dataclass(frozen=True, slots=True)
class Noticed:
    """What the readers noticed, all together."""

    queries_per_s: float
    p50_us: float
    p99_us: float
    recall: float


@dataclass(frozen=True, slots=True)
class Inserted:
    """What came of the insertions.

    Attributes:
        effort: of the readers.
        idle: with no writer, on the rows built on.
        beside: beside the writer; the recall is that on the rows there are afterwards.
        alone_per_s: rows inserted a second while nobody reads.
        beside_per_s: the same beside the readers.
        found_share: of the inserted rows, those that find themselves at the readers' effort.
        n_lost: inserted rows that do not find themselves at `LOOKING_EFFORT`.
        n_errors: calls that raised, or gave fewer than k ids, one twice, or one unknown so far.
        error: the first of them.
    """

    effort: int
    idle: Noticed
    beside: Noticed
    alone_per_s: float
    beside_per_s: float
    found_share: float
    n_lost: int
    n_errors: int
    error: str


def measure_case(case: Case, make: Callable[[], Changing], before: Truth, after: Truth) -> Inserted:
    """Build an index, and insert into it without readers and beside them, in this process.

    Args:
        case: what to measure.
        make: returns an empty index.
        before: the exact answers among the rows built on.
        after: those among these and the rows inserted beside readers.
    """
    dataset = case.loaded()
    index = make()
    index.build(dataset.base[: case.n], case.threads)
    queries, base = dataset.queries, dataset.base
    search = partial(index.search, k=K, threads=1)

    def recall(truth: Truth) -> float:
        return truth.recall(answers(search, queries, _BATCH), queries, base)

    reached = least_effort(index, K, RECALL, partial(recall, before), patience_s=_PATIENCE_S)
    errors = _Errors()
    writer = _Writer(index, case, errors)
    with _reading(search, queries, writer) as readers:
        time.sleep(case.idle_s)
    idle = _noticed(readers, reached.recall, errors)
    with _reading(search, queries, writer) as readers:
        beside_per_s = writer.insert(base)  # first, so that what must grow does so beside readers
    beside = _noticed(readers, recall(after), errors)
    alone_per_s = writer.insert(base)
    inserted = np.arange(case.n, len(base))
    n_found = len(inserted) - _n_missing(index, base, inserted)
    index.effort = LOOKING_EFFORT
    return Inserted(
        reached.effort,
        idle,
        beside,
        alone_per_s,
        beside_per_s,
        n_found / len(inserted),
        _n_missing(index, base, inserted),
        errors.n,
        errors.first,
    )


class _Errors:
    """What went wrong in any of the threads.

    Attributes:
        n: how often.
        first: the first in words.
    """

    def __init__(self) -> None:
        self._counting = threading.Lock()
        self.n = 0
        self.first = ""

    def note(self, error: Exception | str) -> None:
        """Count an error."""
        with self._counting:
            self.n += 1
            if not self.first:
                raised = isinstance(error, Exception)
                self.first = f"{type(error).__name__}: {error}" if raised else str(error)


class _Writer:
    """Inserts the rows of a set that are not in an index yet, in order.

    Attributes:
        n_known: ids below it may be found.
        errors: its own and the readers'.
    """

    def __init__(self, index: Changing, case: Case, errors: _Errors) -> None:
        self._index = index
        self._case = case
        self.n_known = case.n
        self.errors = errors

    def insert(self, base: F32Matrix) -> float:
        """Insert the next rows, call by call; return how many a second."""
        first, n_done, start = self.n_known, 0, time.perf_counter()
        for at in range(first, first + self._case.n_inserted, self._case.call_rows):
            ids = np.arange(at, min(at + self._case.call_rows, first + self._case.n_inserted))
            self.n_known = int(ids[-1]) + 1
            try:
                self._index.add(ids, base[ids], self._case.threads)
                n_done += len(ids)
            except Exception as error:  # whatever a library throws is counted
                self.errors.note(error)
        return n_done / (time.perf_counter() - start)


class _Reader(threading.Thread):
    """Asks query after query until told to stop."""

    def __init__(
        self,
        search: Callable[[F32Matrix], Ids],
        queries: Sequence[F32Matrix],
        writer: _Writer,
        stop: threading.Event,
    ) -> None:
        super().__init__()
        self._search = search
        self._queries = queries
        self._writer = writer
        self._stopped = stop
        self.times_ns: list[int] = []

    def run(self) -> None:
        """Ask, and time each answer."""
        for query in cycle(self._queries):
            if self._stopped.is_set():
                return
            start = time.perf_counter_ns()
            try:
                found = self._search(query)
            except Exception as error:  # whatever a library throws is counted
                self._writer.errors.note(error)
                continue
            self.times_ns.append(time.perf_counter_ns() - start)
            ids = set(found[0].tolist())
            if len(ids) < K or min(ids) < 0 or max(ids) >= self._writer.n_known:
                self._writer.errors.note(f"an answer of {found[0].tolist()}")


@contextmanager
def _reading(
    search: Callable[[F32Matrix], Ids], queries: F32Matrix, writer: _Writer
) -> Iterator[list[_Reader]]:
    """Have readers ask, each from another query on, until the end of the block."""
    stop = threading.Event()
    singles = [query[np.newaxis] for query in queries]
    parts = [number * len(singles) // N_READERS for number in range(N_READERS)]
    readers = [_Reader(search, singles[at:] + singles[:at], writer, stop) for at in parts]
    for reader in readers:
        reader.start()
    try:
        yield readers
    finally:
        stop.set()
        for reader in readers:
            reader.join()


def _noticed(readers: Sequence[_Reader], recall: float, errors: _Errors) -> Noticed:
    if not all(reader.times_ns for reader in readers):
        raise RuntimeError(f"a reader had no answer at all; {errors.first}")
    p50, p99 = np.percentile(np.concatenate([reader.times_ns for reader in readers]), [50, 99])
    queries_per_s = sum(1e9 / np.mean(reader.times_ns) for reader in readers)
    return Noticed(float(queries_per_s), p50 / 1e3, p99 / 1e3, recall)


def _n_missing(index: Changing, base: F32Matrix, ids: I64Vector) -> int:
    """Return how many rows a search for their own vector does not find, nor K equal ones."""
    found = answers(partial(index.search, k=K, threads=1), base[ids], _BATCH)
    absent = np.flatnonzero(~(found == ids[:, np.newaxis]).any(axis=1))
    return sum(not (base[found[i]] == base[ids[i]]).all() for i in absent)


def rows(title: str, found: Mapping[str, Inserted]) -> Iterator[Row]:
    """Yield the rows of one set: what readers noticed, what was inserted, goals."""
    for by, inserted in found.items():
        entry = partial(tables.entry, f"{title} readers", by)
        for what, noticed in (("no writer", inserted.idle), ("a writer", inserted.beside)):
            yield entry(f"recall@{K}", noticed.recall, f"{what}, effort {inserted.effort}")
            yield entry(QPS, noticed.queries_per_s, f"{what}, effort {inserted.effort}")
            yield entry(P50, noticed.p50_us, f"{what}, effort {inserted.effort}")
            yield entry(P99, noticed.p99_us, f"{what}, effort {inserted.effort}")
    for by, inserted in found.items():
        entry = partial(tables.entry, f"{title} inserted", by)
        yield entry("a second, alone", inserted.alone_per_s)
        yield entry("a second, beside readers", inserted.beside_per_s)
        yield entry("found, readers' effort", inserted.found_share)
        yield entry(f"lost, effort {LOOKING_EFFORT}", inserted.n_lost, target=0, better="less")
        yield entry("errors", inserted.n_errors, target=0, better="less")
        times = inserted.beside.p99_us / inserted.idle.p99_us
        yield entry("p99, × no writer", times, target=MOST_P99_TIMES, better="less")
    for by, inserted in found.items():
        if inserted.n_errors:
            error = inserted.error.replace(": ", ", ")
            yield tables.entry(f"{title} first errors", by, "errors", inserted.n_errors, error)
    peer = found.get("hnswlib")
    if peer is not None and peer.beside_per_s:
        for by, inserted in found.items():
            if inserted is not peer:
                times = inserted.beside_per_s / peer.beside_per_s
                case = f"{title} goals: insertions beside readers, {by} ÷ hnswlib"
                yield row(case, "times", times, target=LEAST_TIMES)
