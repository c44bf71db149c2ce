"""Searches of `graph` beside a writer: each answer is that of one moment while it was asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from paradox import index
from paradox.core.metric import METRICS, Metric
from paradox.core.types import F32Matrix, I64Vector, Neighbors
from paradox.index import AllowList
from paradox.kernels import oracle

DIM = 16
N_IDS = 6_000
N_KEPT = 40
"""The first ids are replaced again and again, and never removed."""
EFFORT = 300

FORMS: list[dict[str, Any]] = [
    {},
    {"keep": "float16", "compact": True},
    {"keep": "none"},
    {"keep": "none", "compact": True},
]
EVERY_FORM = pytest.mark.parametrize("options", FORMS, ids=str)

Change = tuple[str, I64Vector]


@dataclass(frozen=True)
class Asking:
    """What is asked for: under which metric, and how far distances are off by how it is kept."""

    metric: Metric
    relative: float = 1e-4
    absolute: float = 1e-5

    @classmethod
    def of(cls, metric: Metric, options: dict[str, Any]) -> Asking:
        if options.get("keep") == "none":
            return cls(metric, 0.02, 0.02 if metric == "cosine" else 3.0)
        return cls(metric, 2e-3, 0.05) if options.get("keep") == "float16" else cls(metric)

    def are_near(self, some: Any, others: Any) -> bool:
        return np.allclose(some, others, rtol=self.relative, atol=self.absolute)


@dataclass(frozen=True)
class Asked:
    """A search: `first` writes had ended when it began, and `last` begun when it ended."""

    kind: str
    about: int
    found: Neighbors
    first: int
    last: int


class History:
    """What every write left: of each id the version of its vector, -1 where it is not there."""

    def __init__(self) -> None:
        rng = np.random.default_rng(5)
        self._places = rng.normal(size=(N_IDS, DIM)) * 3
        self._moves = rng.normal(size=(400, DIM)) * 0.02
        self.states = [np.full(N_IDS, -1)]
        self.n_begun = 0

    @property
    def n_ended(self) -> int:
        return len(self.states) - 1

    def vectors(self, ids: I64Vector, versions: Any) -> F32Matrix:
        return (self._places[ids] + self._moves[versions]).astype(np.float32)

    def query(self, about: int) -> F32Matrix:
        return self._places[about : about + 1].astype(np.float32)

    def write(self, graph: Any, change: Change) -> None:
        what, ids = change
        self.n_begun += 1
        after = self.states[-1].copy()
        after[ids] = self.n_begun if what == "add" else -1
        if what == "add":
            graph.add(ids, self.vectors(ids, self.n_begun))
        else:
            graph.remove(ids)
        self.states.append(after)


def is_of(state: Any, history: History, asked: Asked, asking: Asking, among: Any) -> bool:
    """Tell whether an answer could be that of a state; a certified one is the only one."""
    there = np.flatnonzero(state >= 0)
    if among is not None:
        there = np.intersect1d(there, among)
    ids = asked.found.ids.ravel()
    ids = ids[ids >= 0]
    distances = asked.found.distances.ravel()[: len(ids)]
    if len(np.unique(ids)) != len(ids) or not np.isin(ids, there).all():
        return False
    query = history.query(asked.about)
    true = oracle.distances(query, history.vectors(ids, state[ids]), asking.metric)[0]
    if not asking.are_near(distances, true):
        return False
    is_sought = state[asked.about] >= 0 and asking.metric == "l2" and among is None
    if is_sought and asked.about not in ids:  # no other is nearly as near
        return False
    if not asked.found.certified:
        return asked.kind != "range" or asking.relative > 0.01
    every = oracle.distances(query, history.vectors(there, state[there]), asking.metric)[0]
    every.sort()
    n = min(len(every), len(ids)) if asked.kind == "range" else min(len(every), 10)
    return len(ids) == n and asking.are_near(distances, every[:n])


def changes(seed: int) -> Iterator[Change]:
    """Yield writes: growth from few, replacements, removals, one that is built in bulk."""
    rng = np.random.default_rng(seed)
    yield "add", np.arange(100)
    n = 100
    while n < 1_600:  # the arrays grow, and the graph is built anew
        more = int(rng.integers(40, 260))
        yield "add", np.concatenate([np.arange(n, n + more), np.arange(N_KEPT)])
        n += more
    for _ in range(14):  # many are replaced: nodes are bypassed, and then all is built anew
        others = rng.choice(np.arange(N_KEPT, n), 150, replace=False)
        yield "add", np.concatenate([others[:110], np.arange(N_KEPT)])
        yield "remove", others[110:]
    yield "add", np.arange(n, n + 2_100)  # in bulk, beside those there are
    for _ in range(3):
        yield "remove", rng.choice(np.arange(N_KEPT, n + 2_100), 900, replace=False)
        yield "add", np.arange(N_KEPT)


def asking(
    graph: Any, history: History, allowed: list[I64Vector], lists: list[AllowList], seed: int
) -> Callable[[list[Asked], threading.Event], None]:
    def ask(answers: list[Asked], is_over: threading.Event) -> None:
        rng = np.random.default_rng(seed)
        while not is_over.is_set():
            about = int(rng.integers(2 * N_KEPT))
            query, first = history.query(about), history.n_ended
            kind = ("near", "near", "filter", "range")[int(rng.integers(4))]
            if kind == "near":
                found = graph.search(query, 10, effort=EFFORT)
            elif kind == "range":
                found = graph.range_search(query[0], 40.0, limit=30)
            else:
                about_list = int(rng.integers(len(allowed)))
                allow = (lists if rng.integers(2) else allowed)[about_list]
                found = graph.search(query, 10, effort=EFFORT, allow=allow)
                kind = str(about_list)
            answers.append(Asked(kind, about, found, first, history.n_begun))

    return ask


@pytest.mark.parametrize(
    ("metric", "options"),
    [*((metric, {}) for metric in METRICS), ("cosine", FORMS[1]), *(("l2", f) for f in FORMS[2:])],
    ids=str,
)
def test_every_answer_is_that_of_one_moment_while_it_was_asked(
    metric: Metric, options: dict[str, Any]
) -> None:
    graph: Any = index.create("graph", dim=DIM, metric=metric, build_threads=2, **options)
    assert graph.beside_writer is graph
    history, is_over = History(), threading.Event()
    allowed = [np.arange(0, N_IDS, step) for step in (2, 400)]
    lists = [AllowList(ids) for ids in allowed]
    answers: list[list[Asked]] = [[] for _ in range(2)]
    raised: list[BaseException] = []

    def guarded(ask: Any, own: list[Asked]) -> None:
        try:
            ask(own, is_over)
        except BaseException as error:
            raised.append(error)

    readers = [
        threading.Thread(
            target=guarded, args=(asking(graph, history, allowed, lists, seed), answers[seed])
        )
        for seed in range(2)
    ]
    for reader in readers:
        reader.start()
    try:
        for change in changes(1):
            history.write(graph, change)
    finally:
        is_over.set()
        for reader in readers:
            reader.join()
    assert not raised
    asked = [one for own in answers for one in own]
    beside = 0
    for one in asked[:: max(1, len(asked) // 3_000)]:
        among = allowed[int(one.kind)] if one.kind.isdecimal() else None
        states = history.states[one.first : one.last + 1]
        asked_for = Asking.of(metric, options)
        assert any(is_of(state, history, one, asked_for, among) for state in states), one
        beside += one.last > one.first
    assert beside > 100
    assert len(graph) == int((history.states[-1] >= 0).sum())


@EVERY_FORM
def test_a_view_goes_on_showing_what_there_was(options: dict[str, Any]) -> None:
    """Even while all of it is replaced, removed, and led around."""
    rng = np.random.default_rng(3)
    base = rng.normal(size=(3_000, DIM)).astype(np.float32)
    graph: Any = index.create("graph", dim=DIM, metric="l2", **options)
    graph.add(np.arange(3_000), base)
    queries = base[::30] + np.float32(0.01)
    view = graph._view
    before = view.nearest(queries, 10, EFFORT, None, 1)
    true = oracle.distances(queries, base, "l2")
    asked_for = Asking.of("l2", options)
    is_true = asked_for.relative < 0.01
    for some in np.split(np.arange(3_000), 10):
        graph.add(some[:200], base[some[:200]] + np.float32(50))
        graph.remove(some[200:])
        after = view.nearest(queries, 10, EFFORT, None, 1)
        assert not after.certified
        hits = [len(np.intersect1d(a, b)) for a, b in zip(after.ids, before.ids, strict=True)]
        assert np.mean(hits) > 9.8
        assert asked_for.are_near(after.distances, np.take_along_axis(true, after.ids, 1))
        every = view.nearest(queries, 3_100, 2**31 - 1, None, 1)
        assert every.certified is is_true
        assert (np.sort(every.ids, 1)[:, 100:] == np.arange(3_000)).all()
    scanned = graph._view.nearest(base[:50] + np.float32(50), 1, EFFORT, None, 1)
    assert (scanned.ids[:, 0] == np.arange(50)).mean() >= (1.0 if is_true else 0.9)


@EVERY_FORM
def test_a_search_goes_as_far_while_most_is_being_replaced(options: dict[str, Any]) -> None:
    """How far depends on how many there were, not on how many the writer has left so far."""
    n = 6_000
    base = np.random.default_rng(5).normal(size=(n, DIM)).astype(np.float32)
    graph: Any = index.create("graph", dim=DIM, metric="l2", **options)
    graph.add(np.arange(n), base)
    queries, view = base[::30] + np.float32(0.1), graph._view
    before = view.nearest(queries, 10, 30, None, 1)
    graph._graph.remove(np.arange(1, n), graph._rows.seq + 1)  # as the next write does first
    after = view.nearest(queries, 10, 30, None, 1)
    np.testing.assert_array_equal(after.ids, before.ids)


@pytest.mark.parametrize("options", [{}, {"keep": "none"}], ids=str)
def test_an_effort_is_learnt_of_the_build_that_is_searched(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    base = np.random.default_rng(6).normal(size=(3_000, DIM)).astype(np.float32)
    graph: Any = index.create("graph", dim=DIM, metric="l2", **options)
    graph.add(np.arange(3_000), base)
    keys = [graph.effort_key]
    publish = graph._publish
    monkeypatch.setattr(graph, "_publish", lambda: (keys.append(graph.effort_key), publish()))
    graph._build_anew()
    graph._publish()
    assert keys[1] == keys[0] != graph.effort_key


@EVERY_FORM
def test_a_bulk_build_leaves_the_graph_that_is_searched_as_it_is(options: dict[str, Any]) -> None:
    base = np.random.default_rng(3).normal(size=(6_000, DIM)).astype(np.float32)
    graph: Any = index.create("graph", dim=DIM, metric="l2", **options)
    graph.add(np.arange(2_500), base[:2_500])
    view = graph._view
    before = view.nearest(base[::30], 10, 30, None, 1)
    graph.add(np.arange(2_500, 6_000), base[2_500:])
    after = view.nearest(base[::30], 10, 30, None, 1)
    np.testing.assert_array_equal(after.ids, before.ids)
    assert (graph.search(base[2_500::30], 1, effort=60).ids[:, 0] >= 2_500).mean() > 0.9


@EVERY_FORM
def test_nodes_are_bypassed_once_nobody_sees_them(options: dict[str, Any]) -> None:
    base = np.random.default_rng(4).normal(size=(3_000, DIM)).astype(np.float32)
    graph: Any = index.create("graph", dim=DIM, metric="l2", **options)
    graph.add(np.arange(3_000), base)
    view = graph._view
    graph.remove(np.arange(500))
    assert graph._graph.state()["n_bypassed"] == 0
    del view
    graph.remove(np.arange(500, 510))
    assert graph._graph.state()["n_bypassed"] == 510


@EVERY_FORM
def test_nodes_bypassed_before_a_bulk_are_bypassed_after_it(options: dict[str, Any]) -> None:
    """A bulk links all nodes anew, removed ones too."""
    base = np.random.default_rng(4).normal(size=(12_000, DIM)).astype(np.float32)
    graph: Any = index.create("graph", dim=DIM, metric="l2", **options)
    graph.add(np.arange(6_000), base[:6_000])
    graph.remove(np.arange(1_500))
    assert graph._graph.state()["n_bypassed"] == 1_500
    assert graph._graph.is_bulk(6_000)
    graph.add(np.arange(6_000, 12_000), base[6_000:])
    assert graph._graph.state()["n_bypassed"] == 1_500
    found = graph.search(base[6_000::50], 1, effort=60).ids[:, 0]
    assert (found == np.arange(6_000, 12_000, 50)).mean() > 0.95
