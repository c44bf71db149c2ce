"""Sequences of calls that no one wrote down, beside an oracle; and readers beside a writer.

What is certified must be the oracle's answer. What is not must still be of live ids, each once, as
many as there could be, at their true distances, nearest first.
"""

from __future__ import annotations

import copy
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from paradox import index
from paradox.core.metric import METRICS, Metric
from paradox.core.types import Neighbors
from paradox.kernels import oracle
from paradox.memory import LatentMemoryEngine

DIM = 8


@dataclass(frozen=True)
class Case:
    """A backend and its options.

    Attributes:
        first: vectors that come at once before all others, where it needs many for a structure.
        error: of distances that are not those of vectors as kept, relative to their spread.
    """

    backend: str
    options: dict[str, Any] = field(default_factory=dict)
    first: int = 0
    error: float = 0.0


CASES = {
    "exact": Case("exact"),
    "exact-coded": Case("exact", {"codes": True}),
    "exact-float16": Case("exact", {"dtype": "float16"}),
    "exact-int8": Case("exact", {"dtype": "int8", "codes": True}),
    "graph": Case("graph", {"build_effort": 20}),
    "graph-many": Case("graph", {"build_effort": 20, "codes": False}, 600),
    "graph-compact": Case("graph", {"build_effort": 20, "compact": True, "keep": "float16"}, 600),
    "graph-none": Case("graph", {"build_effort": 20, "keep": "none"}, error=0.02),
    "auto": Case("auto", {"exact_below": 120}),
    "hnsw": Case("hnsw", {"ef_construction": 20, "M": 4}),
    "hnsw-many": Case("hnsw", {"ef_construction": 20, "M": 4}, 1_500),
    "ivf": Case("ivf", {}, 2_000),
    "ivf-float16": Case("ivf", {"keep": "float16", "lists": 20}, 2_000),
    "ivf-none": Case("ivf", {"keep": "none"}, error=0.02),
    "ivf-none-many": Case("ivf", {"keep": "none", "lists": 40}, 2_000, error=0.02),
    "ivfpq": Case("ivfpq", {}, 5_000),
    "ivfpq-few": Case("ivfpq"),
}
IDS = st.one_of(st.integers(-6, 60), st.sampled_from([-(2**63), 2**63 - 1, 2**32, -2])).filter(
    lambda i: i != -1
)
SEEDS = st.integers(0, 2**20)


def vectors(n: int, seed: int) -> Any:
    """Return few different vectors of whole numbers, so that many are equal or equally far."""
    drawn = np.random.default_rng(seed).integers(-4, 5, (n, DIM)).astype(np.float32)
    drawn[~drawn.any(axis=1), 0] = 1
    return drawn


class Sequence(RuleBasedStateMachine):
    """An index, and the vectors that it should hold."""

    def __init__(self, case: Case, metric: Metric) -> None:
        super().__init__()
        self._case, self._metric = case, metric
        self._index: Any = index.create(case.backend, dim=DIM, metric=metric, **case.options)
        self._held: dict[int, Any] = {}
        self._folder = tempfile.TemporaryDirectory()

    def teardown(self) -> None:
        self._folder.cleanup()

    @initialize(seed=SEEDS)
    def begin(self, seed: int) -> None:
        if self._case.first:
            self._add(np.arange(self._case.first) + 100, seed)

    @rule(ids=st.lists(IDS, min_size=1, max_size=12, unique=True), seed=SEEDS)
    def add(self, ids: list[int], seed: int) -> None:
        self._add(np.array(ids, np.int64), seed)

    @rule(begin=st.integers(0, 400), n=st.integers(100, 300), seed=SEEDS)
    def add_many(self, begin: int, n: int, seed: int) -> None:
        self._add(np.arange(begin, begin + n), seed)

    @rule(ids=st.lists(IDS, max_size=12))
    def remove(self, ids: list[int]) -> None:
        self._remove(np.array(ids, np.int64))

    @rule(keep=st.integers(0, 5))
    def remove_many(self, keep: int) -> None:
        self._remove(np.array([i for i in self._held if i % 6 >= keep], np.int64))

    @rule(
        k=st.sampled_from([1, 3, 10, 700]),
        effort=st.sampled_from([None, 1, 2, 8, 100, 2**31 - 1]),
        allow=st.sampled_from([None, "few", "many", "unknown", "list"]),
        threads=st.sampled_from([1, 3]),
        seed=SEEDS,
    )
    def search(
        self, k: int, effort: int | None, allow: str | None, threads: int, seed: int
    ) -> None:
        queries, may_be = vectors(3, seed), self._allowed(allow, seed)
        given = index.AllowList(may_be) if allow == "list" and may_be is not None else may_be
        found = self._index.search(queries, k, effort=effort, allow=given, threads=threads)
        assert found.ids.shape == found.distances.shape == (3, k)
        ids = np.fromiter(self._held, np.int64, len(self._held))
        ids = np.sort(ids if may_be is None else ids[np.isin(ids, may_be)])
        for q in range(3):
            self._check(queries[q], ids, found.ids[q], found.distances[q], k, found.certified)
        if self._case.backend == "exact" or not ids.size or effort == 2**31 - 1:
            assert found.certified or self._case.error

    @rule(seed=SEEDS, limit=st.integers(1, 40))
    def range_search(self, seed: int, limit: int) -> None:
        query = vectors(1, seed)[0]
        ids = np.sort(np.fromiter(self._held, np.int64, len(self._held)))
        if not len(ids):
            return
        distances = self._distances(query, ids)
        # Between two distances where there are several: equal ones may be rounded apart.
        some = np.unique(distances.round(6))
        radius = float(some[len(some) // 3 : len(some) // 3 + 2].mean())
        found = self._index.range_search(query, radius, limit=limit)
        if self._case.error:
            assert np.isin(found.ids, ids).all()
            assert (found.distances <= radius).all()
            return
        assert found.certified
        n = min(limit, int((distances <= radius).sum()))
        assert len(found.ids) == n
        self._check(query, ids, found.ids, found.distances, n, certified=True)

    @rule(mmap=st.booleans())
    def save_and_load(self, mmap: bool) -> None:
        path = Path(self._folder.name) / "index.pdx"
        self._index.save(path)
        self._index = index.load(path, mmap=mmap)

    @rule()
    def be_copied(self) -> None:
        self._index = copy.deepcopy(self._index)

    @rule(k=st.sampled_from([1, 10]), recall=st.sampled_from([0.5, 0.9, 1.0]), seed=SEEDS)
    def tune(self, k: int, recall: float, seed: int) -> None:
        effort = self._index.tune(vectors(8, seed), k, recall)
        assert effort == self._index.stats().effort
        assert effort is None or effort >= 1

    @invariant()
    def it_holds_what_was_added(self) -> None:
        assert len(self._index) == self._index.stats().n_live == len(self._held)

    def _add(self, ids: Any, seed: int) -> None:
        some = vectors(len(ids), seed)
        self._index.check(some)
        self._index.add(ids, some)
        self._held.update(zip(ids.tolist(), some, strict=True))

    def _remove(self, ids: Any) -> None:
        known = {i for i in ids.tolist() if i in self._held}
        assert self._index.remove(ids) == len(known)
        for i in known:
            del self._held[i]

    def _allowed(self, allow: str | None, seed: int) -> Any:
        held = np.fromiter(self._held, np.int64, len(self._held))
        unknown = np.array([10**9, -(10**9)])
        if allow is None:
            return None
        if allow == "unknown" or not len(held):
            return unknown
        share = 20 if allow == "few" else 2
        picked = held[np.random.default_rng(seed).integers(share, size=len(held)) == 0]
        return np.concatenate([picked, picked[:3], unknown])

    def _distances(self, query: Any, ids: Any) -> Any:
        rows = np.array([self._held[i] for i in ids.tolist()], np.float32).reshape(-1, DIM)
        return oracle.distances(query[np.newaxis], rows, self._metric)[0]

    def _check(
        self, query: Any, ids: Any, found: Any, distances: Any, k: int, certified: bool
    ) -> None:
        n = min(k, len(ids))
        assert (found[n:] == -1).all()
        assert np.isposinf(distances[n:]).all()
        found, distances = found[:n], distances[:n]
        assert len(set(found.tolist())) == n
        assert np.isin(found, ids).all()
        assert (np.diff(distances) >= 0).all()
        true = self._distances(query, found)
        if self._case.error:
            spread = np.abs(self._distances(query, ids)).max() if n else 1.0
            np.testing.assert_allclose(distances, true, atol=self._case.error * spread)
        else:
            np.testing.assert_allclose(distances, true, rtol=1e-6, atol=1e-6)
        if certified:
            every = self._distances(query, ids)
            np.testing.assert_allclose(true, np.sort(every)[:n], rtol=0, atol=1e-12)
            if self._metric != "cosine":  # where equal ones are not equal to the last bit
                np.testing.assert_array_equal(found, ids[np.lexsort((ids, every))[:n]])


def run_sequences(name: str, metric: Metric, n: int, steps: int) -> None:
    run_state_machine_as_test(
        lambda: Sequence(CASES[name], metric),
        settings=settings(
            max_examples=n,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", CASES)
def test_any_sequence_of_calls_is_answered_as_by_the_oracle(name: str, metric: Metric) -> None:
    run_sequences(name, metric, 8, 20)


@pytest.mark.slow
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", CASES)
def test_long_sequences_are_answered_as_by_the_oracle(name: str, metric: Metric) -> None:
    run_sequences(name, metric, 25, 40)


class Crowd:
    """One who adds and deletes, and readers beside it, of an engine."""

    def __init__(self, engine: LatentMemoryEngine) -> None:
        self._engine = engine
        self._added: set[int] = set()
        self._deleted: set[int] = set()  # those whose deletion has returned
        self._is_over = threading.Event()
        self.n_searches = 0
        self.errors: list[BaseException] = []

    def run(self, rounds: int, readers: int = 2) -> None:
        threads = [threading.Thread(target=self._guarded, args=(self._write, rounds))]
        threads += [
            threading.Thread(target=self._guarded, args=(self._read, i)) for i in range(readers)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _guarded(self, what: Any, argument: int) -> None:
        try:
            what(argument)
        except BaseException as error:
            self.errors.append(error)
            self._is_over.set()

    def add(self, ids: Any, seed: int) -> None:
        self._added = self._added | set(ids.tolist())
        halves = [{"half": i % 2} for i in ids.tolist()]
        self._engine.add(vectors(len(ids), seed), ids=ids, payload=halves)

    def _write(self, rounds: int) -> None:
        rng = np.random.default_rng(0)
        for i in range(rounds):
            self.add(np.arange(150 * i, 150 * (i + 1)), i)
            live = np.array(sorted(self._added - self._deleted))
            self.add(rng.choice(live, 20, replace=False), 1_000 + i)
            gone = rng.choice(live, 60, replace=False)
            assert self._engine.delete(gone) == 60
            self._deleted = self._deleted | set(gone.tolist())
        self._is_over.set()

    def _read(self, seed: int) -> None:
        n = 0
        while not self._is_over.is_set() or n == 0:
            n += 1
            gone_before = self._deleted
            odd_only = n % 3 == 0
            found: Neighbors = self._engine.query(
                vectors(2, 10_000 * seed + n),
                k=(5, 60)[n % 2],
                effort=(1, 8, 200)[n % 3],
                filter="half = 1" if odd_only else None,
            )
            for ids, distances in zip(found.ids, found.distances, strict=True):
                real = set(ids[ids != -1].tolist())
                assert len(real) == (ids != -1).sum()
                assert real <= self._added
                assert not real & gone_before
                assert not odd_only or all(i % 2 for i in real)
                assert (np.sort(distances) == distances).all()
            self.n_searches += 1


@pytest.mark.parametrize("name", ["exact", "graph", "auto", "hnsw", "ivf", "ivf-none", "ivfpq"])
@pytest.mark.parametrize("metric", METRICS)
def test_readers_beside_a_writer_find_nothing_that_is_gone(name: str, metric: Metric) -> None:
    case = CASES[name]
    engine = LatentMemoryEngine(
        DIM,
        metric=metric,
        index=case.backend,
        index_options=dict(case.options),
        schema={"half": int},
    )
    first = np.arange(10**6, 10**6 + case.first)
    crowd = Crowd(engine)
    if case.first:
        crowd.add(first, 1)
    crowd.run(rounds=12)
    engine.close()
    for error in crowd.errors:
        raise error
    assert crowd.n_searches > 0
